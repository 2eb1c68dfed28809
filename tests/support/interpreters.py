"""Real interpreters of this machine, repackaged and installed: what the tests of base and install stand on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from poncho._types import silent
from poncho.base import BaseChannel, base_channel
from poncho.engine import select_engine
from poncho.engine.base import SolveRequest
from poncho.store import BuilderCache


def environment_with_only(directory: Path, home: Path) -> dict[str, str]:
    """Return an environment in which nothing but ``directory`` offers interpreters (beside the running one's)."""
    return {"PATH": str(directory), "HOME": str(home), "PYENV_ROOT": str(home / "none")}


def install_base(base: BaseChannel, prefix: Path, cache: BuilderCache) -> None:
    """Solve for python and pip in the base channel and install them into ``prefix`` with the real engine."""
    engine = select_engine(None, cache=cache)
    request = SolveRequest(channels=(base.url,), specs=("python", "pip"), platform=base.platform)
    records = engine.solve(request, reporter=silent)
    engine.install(records, prefix, platform=base.platform, offline=False, reporter=silent)


def make_base_prefix(prefix: Path, cache: BuilderCache, python: str | None = None) -> Path:
    """Install this machine's interpreter (the running one by default) as a conda environment at ``prefix``."""
    install_base(base_channel(python, cache=cache), prefix, cache)
    return prefix


def run_python(prefix: Path, code: str, *arguments: str) -> str:
    """Run ``code`` in the Python of ``prefix`` with an empty environment, away from it, and return what it printed."""
    answer = subprocess.run(
        [str(prefix / "bin" / "python"), "-c", code, *arguments],
        env={},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


def uv_managed_copy(root: Path) -> Path:
    """Copy the running interpreter into uv's layout below ``root`` and return uv's install directory."""
    version = ".".join(map(str, sys.version_info[:3]))
    home = root / "uv" / "python" / f"cpython-{version}-linux-{os.uname().machine}-gnu"
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    skipped = shutil.ignore_patterns("site-packages", "__pycache__", "test", "config-*")
    for part in (f"lib/{name}", f"include/{name}"):
        source = Path(sys.base_prefix) / part
        if source.is_dir():
            shutil.copytree(source, home / part, symlinks=True, ignore=skipped)
    for library in (Path(sys.base_prefix) / "lib").glob("libpython*"):
        if not library.name.endswith(".a"):
            shutil.copy2(library, home / "lib" / library.name, follow_symlinks=False)
    (home / "bin").mkdir()
    shutil.copy2(Path(sys.base_prefix) / "bin" / name, home / "bin" / name)
    (home / "bin" / "python3").symlink_to(name)
    return root / "uv" / "python"
