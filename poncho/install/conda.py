"""Install locked conda packages into a new prefix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from poncho._types import Event, Reporter, silent
from poncho.engine.base import CondaEngine
from poncho.errors import BuildError, DiskFullError, FetchError
from poncho.install.intact import Wrong, damaged_packages, discard_packages, new_ones, remember, wrong_conda_files
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
    wrong: list[Wrong] = []
    try:
        engine.install(records, prefix, platform=platform, offline=offline, reporter=reporter)
        wrong = new_ones(wrong_conda_files(prefix), cache)
        names = {one.package for one in wrong}
        damaged = [record for record in records if record.name in names]
    except DiskFullError:
        raise
    except (FetchError, BuildError):
        # With a file missing in its cache an engine says that a package cannot be had.
        damaged = damaged_packages(records, cache)
        if not damaged:
            raise
    if not damaged:
        return
    what = f"the cache's copy of conda package {damaged[0].name} is damaged" + (f" ({wrong[0]})" if wrong else "")
    if offline and (not wrong or any(one.is_lost for one in wrong)):
        raise BuildError(what, hint="build once without --offline: it is fetched again")
    if offline:
        reporter(Event("warning", "install", f"{what}, or was made so: without --offline it is fetched again"))
        return
    reporter(Event("warning", "install", f"{what}: it is fetched again"))
    discard_packages(damaged, cache)
    remove_tree(prefix)
    engine.install(records, prefix, platform=platform, offline=offline, reporter=reporter)
    still = new_ones(wrong_conda_files(prefix), cache)
    remember(still, cache)
    for one in still:
        reporter(Event("warning", "install", f"conda package {one.package}: {one}, in the package itself"))
