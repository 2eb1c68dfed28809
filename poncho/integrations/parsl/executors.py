"""Let the workers of an executor run inside a package, by the executor's and the provider's own options."""

from __future__ import annotations

import copy
import dataclasses
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from parsl.app.app import AppBase
from parsl.executors.base import ParslExecutor
from parsl.executors.high_throughput.executor import HighThroughputExecutor
from parsl.executors.taskvine import TaskVineExecutor
from parsl.executors.workqueue.executor import WorkQueueExecutor

from poncho._arguments import several
from poncho._types import Reporter, silent
from poncho.errors import UsageError
from poncho.integrations.command import Placed, place, shell_text
from poncho.integrations.packages import Engine, EnginePackage, Source, engine_package
from poncho.runner import RUNNER, runner_path

Staging = Literal["auto", "shared", "transfer"]
Executor = TypeVar("Executor", bound=ParslExecutor)

# Parsl's interchange refuses workers of another Parsl version; functions and results are pickled by dill.
PARSL = Engine("Parsl", exact=("parsl",), pinned=("dill",))
_MARK = "_poncho_package"
_STARTED = ("interchange_proc", "submit_process", "_submit_process")


def in_package(
    executor: Executor,
    package: Source | None = None,
    *,
    pack: bool = False,
    apps: Iterable[Callable[..., Any]] = (),
    extra: Sequence[str] = (),
    staging: Staging = "auto",
    stage_to: Path | str | None = None,
    store: str | None = None,
    python_path: Sequence[Path | str] = (),
    reporter: Reporter = silent,
) -> Executor:
    """Return ``executor``, set so that its workers run inside a package.

    The executor must not have started. It is changed, as it holds locks and queues and cannot be copied; its provider and
    the configurations in it, which Parsl shares between executors, are copied before.

    ``package`` is a package file or a spec (see ``engine_package``). ``pack=True`` builds it from what ``apps`` import; without
    ``apps``, from the apps of the main program. A package is built once for each content. ``extra`` are more pip
    requirements for what is built.

    ``staging``: ``"shared"`` means that nodes see the package under its path (or in ``stage_to``, a directory that they see,
    where it and the runner are then copied); ``"transfer"`` lets HTCondor carry it, by ``CondorProvider.transfer_input_files``;
    ``"auto"`` is transfer with a CondorProvider, else shared. TaskVine always carries it, to its workers, by itself. ``store``
    is the directory on the nodes to unpack into, instead of the runner's choice (docs/store.md). ``python_path`` are
    directories of the program's own modules that workers import; with ``pack`` they are found.

    Raises UsageError for an executor of another kind and for options that exclude each other, PonchoError of the build.
    """
    _check_unused(executor)
    functions = _functions(package, pack, apps)
    if not isinstance(executor, (HighThroughputExecutor, WorkQueueExecutor, TaskVineExecutor)):
        raise UsageError(
            f"{type(executor).__name__} starts no workers that could run in a package",
            hint="use HighThroughputExecutor, MPIExecutor, WorkQueueExecutor or TaskVineExecutor",
        )
    if isinstance(executor, WorkQueueExecutor) and executor.pack:
        raise UsageError(
            "WorkQueueExecutor(pack=True) sends a package with each task",
            hint="leave pack out of the executor: in_package starts the workers inside one",
        )
    carried = _carried(executor, staging, stage_to)
    built = engine_package(package, PARSL, functions=functions, extra=extra, reporter=reporter)
    modules = [*map(Path, several(python_path)), *own_roots(built.own_modules)]
    if isinstance(executor, TaskVineExecutor):
        _task_vine(executor, built, modules, store)
    else:
        _workers(executor, built, modules, store, None if carried else stage_to, carried)
    setattr(executor, _MARK, built.path)
    return executor


def own_roots(files: Iterable[Path]) -> list[Path]:
    """Return the directories from which the program's own modules in ``files`` are imported.

    A module that is loaded tells it by its name; for one that only a function's body imports it is the deepest entry of
    sys.path above the file.
    """
    wanted = {file.resolve() for file in files}
    roots: dict[Path, Path] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name != "__main__" and isinstance(file, str) and (path := Path(file).resolve()) in wanted:
            roots[path] = path.parents[name.count(".") + (path.name == "__init__.py")]
    entries = [Path(entry or ".").resolve() for entry in sys.path]
    for path in wanted - roots.keys():
        above = [entry for entry in entries if path.is_relative_to(entry)]
        if above:
            roots[path] = max(above, key=lambda entry: len(entry.parts))
    return sorted(set(roots.values()))


def _check_unused(executor: ParslExecutor) -> None:
    if getattr(executor, _MARK, None) is not None:
        raise UsageError(
            f"executor {executor.label!r} has its package already", hint="make one executor for each package"
        )
    if any(getattr(executor, name, None) is not None for name in _STARTED):
        raise UsageError(f"executor {executor.label!r} has started", hint="call in_package before parsl.load")


def _functions(package: Source | None, pack: bool, apps: Iterable[Callable[..., Any]]) -> list[Callable[..., Any]]:
    given: list[Callable[..., Any]] = [apps] if callable(apps) else list(apps)
    if pack == (package is not None):
        raise UsageError(
            "a package and pack=True exclude each other" if pack else "no package: neither one was named nor pack=True",
            hint="name a package or spec, or pass pack=True and apps=[…]",
        )
    if not pack:
        if given:
            raise UsageError(
                "apps are for pack=True; the package that is named stays what it is", hint="leave apps out"
            )
        return []
    if not given:
        given = [value for value in vars(sys.modules["__main__"]).values() if isinstance(value, AppBase)]
    if not given:
        raise UsageError("pack=True found no apps in the main program", hint="pass them: apps=[my_app]")
    return given


def _carried(executor: Any, staging: str, stage_to: Path | str | None) -> bool:
    """Tell whether the provider carries the package to the nodes. Raises UsageError where it cannot."""
    if staging not in ("auto", "shared", "transfer"):
        raise UsageError(f"staging={staging!r} is unknown", hint='use "auto", "shared" or "transfer"')
    if isinstance(executor, TaskVineExecutor):
        if staging == "shared" or stage_to is not None:
            raise UsageError(
                "TaskVine carries the package to its workers itself", hint="leave staging and stage_to out"
            )
        return True
    can = hasattr(executor.provider, "transfer_input_files")
    if staging == "transfer" and not can:
        raise UsageError(
            f"{type(executor.provider).__name__} carries no files to the nodes",
            hint="put the package where they see it: stage_to=DIRECTORY",
        )
    if stage_to is not None and staging == "transfer":
        raise UsageError("stage_to is for nodes that share a directory, not for transfer", hint="leave one of them out")
    return can and staging != "shared" and stage_to is None


def _workers(
    executor: Any,
    built: EnginePackage,
    modules: Sequence[Path],
    store: str | None,
    stage_to: Path | str | None,
    carried: bool,
) -> None:
    """Put the runner before the command that starts workers: on every node of a block that command runs once."""
    paths = [str(path.absolute()) for path in modules]
    if carried:
        provider = copy.copy(executor.provider)
        tops = [top for root in modules for top in _own_tops(root, built)]
        files = [str(runner_path()), str(built.path), *map(str, tops)]
        if any("," in file for file in files):
            raise UsageError("HTCondor lists files with commas; one of the paths has one", hint="rename it")
        provider.transfer_input_files = [*provider.transfer_input_files, *files]
        provider.resources = {}
        if store is not None:
            provider.worker_init += f"export PONCHO_STORE={shell_text([store])}\n"
            store = None
        executor._provider = provider
        placed, paths = Placed(f"./{RUNNER}", built.path.name), ["."] if tops else []
    else:
        placed = place(built.path, stage_to)
    words = placed.argv(store=store, python_path=paths)
    if isinstance(executor, HighThroughputExecutor):
        # launch_cmd is formatted twice: by the executor with its settings, by the launch with block_id.
        executor.launch_cmd = f"{shell_text(words, formatted=2)} {executor.launch_cmd}"
        return
    if carried:
        # Parsl writes "./" before the command, for the worker that HTCondor carries.
        words[0] = words[0].removeprefix("./")
        executor.worker_executable = f"{shell_text(words)} ./{executor.worker_executable}"
    else:
        executor.worker_executable = f"{shell_text(words)} {executor.worker_executable}"


def _own_tops(root: Path, built: EnginePackage) -> list[Path]:
    """Return what to carry of ``root``: the top-level modules and packages that functions import, else all of it."""
    own = [path.resolve().relative_to(root) for path in built.own_modules if path.resolve().is_relative_to(root)]
    return sorted({root / path.parts[0] for path in own}) if own else [root]


def _task_vine(executor: Any, built: EnginePackage, modules: Sequence[Path], store: str | None) -> None:
    """Let TaskVine carry the package to workers, once each, and run every task in it."""
    config = executor.manager_config
    if config.app_pack or config.env_pack:
        raise UsageError(
            "TaskVineManagerConfig has app_pack or env_pack of its own", hint="leave it out: in_package sets env_pack"
        )
    if store is not None:
        raise UsageError("TaskVine unpacks into its worker's cache, not into a store", hint="leave store out")
    if modules:
        listed = ", ".join(str(path) for path in modules)
        raise UsageError(
            f"TaskVine carries no modules of your own to its tasks: {listed}",
            hint="install them (pip install -e) so that they are packed, or define them in the main program",
        )
    executor.manager_config = dataclasses.replace(config, env_pack=str(built.path))
