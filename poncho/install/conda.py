"""Install locked conda packages into a new prefix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from poncho._types import Reporter, silent
from poncho.engine.base import CondaEngine
from poncho.lock.model import LockedConda


def install_conda(
    records: Sequence[LockedConda],
    prefix: Path,
    *,
    engine: CondaEngine,
    platform: str,
    offline: bool = False,
    reporter: Reporter = silent,
) -> None:
    """Install exactly ``records`` into the new directory ``prefix`` (absolute) for the conda subdir ``platform``.

    No records make an empty prefix: an environment of data alone is one, too. Raises FetchError and BuildError as the
    engine does.
    """
    if not records:
        (prefix / "conda-meta").mkdir(parents=True, exist_ok=True)
        return
    engine.install(records, prefix, platform=platform, offline=offline, reporter=reporter)
