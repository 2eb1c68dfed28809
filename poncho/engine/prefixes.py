"""What an engine checks about the directory it installs into."""

from __future__ import annotations

from pathlib import Path

from poncho.errors import BuildError


def require_new_prefix(prefix: Path) -> None:
    """Raise BuildError unless ``prefix`` is absolute and does not exist, or is an empty directory."""
    if not prefix.is_absolute():
        raise BuildError(f"{prefix}: the prefix must be an absolute path")
    if prefix.is_dir():
        if next(prefix.iterdir(), None) is not None:
            raise BuildError(f"{prefix}: is not empty", hint="an environment is installed into a new directory only")
    elif prefix.exists() or prefix.is_symlink():
        raise BuildError(f"{prefix}: exists and is not a directory")
