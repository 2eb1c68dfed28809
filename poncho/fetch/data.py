"""All data of a package at once: each variable's source fetched to a directory of its own, side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from poncho._frozen import Frozen
from poncho._types import Event, Reporter, silent
from poncho.errors import FetchError, PonchoError
from poncho.fetch.gitcommand import terminate_running
from poncho.fetch.repository import fetch_git, resolve_git
from poncho.fetch.web import fetch_http, resolve_http
from poncho.lock.model import LockedGit, LockedHttp
from poncho.spec.model import GitSource, HttpSource
from poncho.spec.names import check_variable
from poncho.store import BuilderCache

DATA_DIRECTORY = "poncho/data"
_PARALLEL = 6
_PATIENCE = 1.0  # seconds that threads get to notice that they are to end

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class FetchedData:
    """What was fetched, by variable; ``variables`` are paths relative to the environment's directory."""

    git: Mapping[str, LockedGit]
    http: Mapping[str, LockedHttp]
    variables: Mapping[str, str]


def fetch_data(
    git: Mapping[str, GitSource | LockedGit],
    http: Mapping[str, HttpSource | LockedHttp],
    root: Path,
    *,
    cache: BuilderCache,
    offline: bool = False,
    reporter: Reporter = silent,
) -> FetchedData:
    """Fetch every source to ``root/NAME``; ``root`` is ``poncho/data`` of the environment being built.

    What comes back is in the order of names, whatever came first. When some fail, all others are still tried, and the
    first by name is raised with the others in its message and in ``context["failures"]``. Raises SpecError for a name
    that cannot be a variable.
    """
    _check_names(git, http)

    def place_git(name: str, report: Reporter) -> tuple[LockedGit, str]:
        locked = fetch_git(git[name], root / name, cache=cache, offline=offline, reporter=report)
        inside = (locked.subdirectory or "").strip("/")
        return locked, "/".join(part for part in (DATA_DIRECTORY, name, inside) if part)

    def place_http(name: str, report: Reporter) -> tuple[LockedHttp, str]:
        locked, place = fetch_http(http[name], root / name, cache=cache, offline=offline, reporter=report)
        return locked, f"{DATA_DIRECTORY}/{place.relative_to(root).as_posix()}"

    tasks: dict[str, Callable[[Reporter], tuple[LockedGit | LockedHttp, str]]] = {
        **{name: lambda report, name=name: place_git(name, report) for name in git},  # type: ignore[misc]
        **{name: lambda report, name=name: place_http(name, report) for name in http},  # type: ignore[misc]
    }
    done = _side_by_side(tasks, reporter)
    return FetchedData(
        git=Frozen({name: one for name, (one, _) in done.items() if isinstance(one, LockedGit)}),
        http=Frozen({name: one for name, (one, _) in done.items() if isinstance(one, LockedHttp)}),
        variables=Frozen({name: place for name, (_, place) in done.items()}),
    )


def resolve_data(
    git: Mapping[str, GitSource | LockedGit],
    http: Mapping[str, HttpSource | LockedHttp],
    *,
    cache: BuilderCache,
    offline: bool = False,
    reporter: Reporter = silent,
) -> tuple[Mapping[str, LockedGit], Mapping[str, LockedHttp]]:
    """Lock every source, its bytes or its commit brought into the cache. Failures are those of ``fetch_data``."""
    _check_names(git, http)
    commits = {
        name: lambda report, source=source: resolve_git(source, cache=cache, offline=offline, reporter=report)
        for name, source in git.items()
    }
    files = {
        name: lambda report, source=source: resolve_http(source, cache=cache, offline=offline, reporter=report)
        for name, source in http.items()
    }
    done = _side_by_side({**commits, **files}, reporter)
    return (
        Frozen({name: one for name, one in done.items() if isinstance(one, LockedGit)}),
        Frozen({name: one for name, one in done.items() if isinstance(one, LockedHttp)}),
    )


class _StoppedError(Exception):
    """The build was interrupted; whoever still works on it should end."""


def _side_by_side(tasks: Mapping[str, Callable[[Reporter], _T]], reporter: Reporter) -> dict[str, _T]:
    stop = threading.Event()

    def report(event: Event) -> None:
        # Every download reports as it goes on, so this is where it can be told to end.
        if stop.is_set():
            raise _StoppedError
        reporter(event)

    futures: dict[str, Future[_T]] = {name: Future() for name in sorted(tasks)}
    waiting = iter(tuple(futures))
    turn = threading.Lock()

    def work() -> None:
        while not stop.is_set():
            with turn:
                name = next(waiting, None)
            if name is None:
                return
            try:
                futures[name].set_result(tasks[name](report))
            except BaseException as error:
                futures[name].set_exception(error)

    # Not an executor: its threads are waited for when the interpreter ends, and a silent server would hold up Ctrl-C.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(_PARALLEL, len(tasks)))]
    try:
        for thread in threads:
            thread.start()
        failures = {name: error for name, future in futures.items() if (error := future.exception()) is not None}
    except BaseException:
        stop.set()
        terminate_running()
        for thread in threads:
            thread.join(_PATIENCE / len(threads))
        raise
    if failures:
        _raise_first(failures)
    return {name: future.result() for name, future in futures.items()}


def _raise_first(failures: Mapping[str, BaseException]) -> None:
    name, first = next(iter(failures.items()))
    if not isinstance(first, PonchoError):
        raise first
    others = [other for other in failures if other != name]
    also = f" (also failed: {', '.join(others)})" if others else ""
    context = {
        **first.context,
        "variable": name,
        "failures": {one: str(error) for one, error in failures.items()},
    }
    if type(first) is FetchError:
        raise FetchError(f"{name}: {first.message}{also}", hint=first.hint, context=context) from first
    raise first


def _check_names(git: Mapping[str, object], http: Mapping[str, object]) -> None:
    for name in (*git, *http):
        check_variable(name)
    both = sorted(git.keys() & http.keys())
    if both:
        raise FetchError(f"{both[0]}: stands in both git and http", hint="a variable can point to one of them")
