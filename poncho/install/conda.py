"""Install locked conda packages into a new prefix."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from poncho._types import Reporter, silent
from poncho.engine.base import CondaEngine
from poncho.errors import BuildError, DiskFullError, FetchError
from poncho.install.intact import damaged_packages, discard_packages, wrong_conda_files
from poncho.install.mending import Mending
from poncho.lock.model import LockedConda
from poncho.store import BuilderCache, remove_tree


def install_conda(
    records: Sequence[LockedConda],
    prefix: Path,
    *,
    engine: CondaEngine,
    platform: str,
    cache: BuilderCache,
    offline: bool = False,
    reporter: Reporter = silent,
) -> None:
    """Install exactly ``records`` into the new directory ``prefix`` (absolute) for the conda subdir ``platform``.

    No records make an empty prefix: an environment of data alone is one, too. What the engine's cache holds damaged is
    fetched again, once. Raises FetchError and BuildError as the engine does.
    """
    if not records:
        (prefix / "conda-meta").mkdir(parents=True, exist_ok=True)
        return

    def install() -> None:
        engine.install(records, prefix, platform=platform, offline=offline, reporter=reporter)

    def again(names: Sequence[str]) -> bool:
        all_new = discard_packages([record for record in records if record.name in names], cache)
        remove_tree(prefix)
        install()
        return all_new

    look = partial(wrong_conda_files, prefix)
    mending = Mending("conda", "install", "package", look, again, cache, offline, reporter)
    try:
        install()
    except DiskFullError:
        raise
    except (FetchError, BuildError):
        # With a file missing in its cache an engine says that a package cannot be had.
        damaged = damaged_packages(records, cache)
        if not damaged:
            raise
        mending.mend([record.name for record in damaged])
    else:
        mending.mend()
