"""Commands that start Dask's workers inside a package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from poncho._types import Reporter, silent
from poncho.integrations.command import place, shell_text
from poncho.integrations.packages import Engine, Source, engine_package

# The protocol between client, scheduler and workers; and what else pickles and frames its messages.
DASK = Engine("Dask", exact=("distributed", "dask"), pinned=("cloudpickle", "msgpack", "tornado", "toolz"))


def python_command(
    package: Source,
    *,
    extra: Sequence[str] = (),
    stage_to: Path | str | None = None,
    store: str | None = None,
    reporter: Reporter = silent,
) -> str:
    """Return the text that stands for ``python`` in a shell and is the Python of ``package``.

    For ``SSHCluster(remote_python=…)``, and for ``python=…`` of the clusters of dask-jobqueue. ``package`` is a package file,
    or a spec, to which the versions of Dask that are installed here are added. The nodes see it under its path, or in
    ``stage_to``, a directory that they see, into which it and the runner are copied. ``store`` is the directory on the nodes to
    unpack into, instead of the runner's choice. Raises PonchoError.
    """
    return shell_text([*_words(package, extra, stage_to, store, reporter), "python"])


def worker_command(
    package: Source,
    scheduler: str,
    *options: str,
    extra: Sequence[str] = (),
    stage_to: Path | str | None = None,
    store: str | None = None,
    reporter: Reporter = silent,
) -> list[str]:
    """Return the argument list of ``dask worker SCHEDULER OPTIONS…`` inside ``package``; as for ``python_command``."""
    return [*_words(package, extra, stage_to, store, reporter), "dask", "worker", scheduler, *options]


def _words(
    package: Source, extra: Sequence[str], stage_to: Path | str | None, store: str | None, reporter: Reporter
) -> list[str]:
    built = engine_package(package, DASK, extra=extra, reporter=reporter)
    return place(built.path, stage_to).argv(store=store)
