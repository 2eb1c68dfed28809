"""Run a build under other circumstances: time, umask, user, locale, path length, hash seed, directory order."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.cli import environment
from tests.support.faults import NOBODY

_SOURCE = Path(__file__).with_name("circumstances.c")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """One way in which a build differs from another. ``days`` moves the wall clock, ``order`` shuffles directories."""

    name: str
    timezone: str = "UTC"
    locale: str = "C.UTF-8"
    umask: int = 0o022
    hash_seed: str = "0"
    days: int = 0
    order: int | None = None
    other_user: bool = False


# Ten: no two have anything in common that could show in the bytes.
TEN = (
    Circumstances("a"),
    Circumstances("b" * 90, "Asia/Tokyo", "C", 0o077, "1", days=40, order=1),
    Circumstances("c", "America/St_Johns", "C.UTF-8", 0o002, "2", days=-40, order=2, other_user=True),
    Circumstances("d d", "UTC", "POSIX", 0o027, "3", order=3),
    Circumstances("e/" * 30 + "e", "Pacific/Kiritimati", "C.UTF-8", 0o022, "4", days=1),
    Circumstances("f", "Europe/Berlin", "de_DE.UTF-8", 0o000, "5", days=20, order=5),
    Circumstances("g" * 40, "UTC", "tr_TR.UTF-8", 0o077, "6", order=6, other_user=True),
    Circumstances("h", "Etc/GMT+12", "C", 0o007, "4294967295", days=-20, order=7),
    Circumstances("ï/ü", "Asia/Kathmandu", "C.UTF-8", 0o022, "random", days=10, order=8),
    Circumstances("j" * 7, "UTC", "C", 0o037, "9", order=9),
)


def preload(directory: Path) -> Path | None:
    """Return the library that changes time and directory order, compiled into ``directory``; None without a compiler."""
    library = directory / "circumstances.so"
    if shutil.which("gcc") is None:
        return None
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, _SOURCE, "-ldl", "-lpthread"], check=True)
    library.chmod(0o755)
    return library


def run_under(
    circumstances: Circumstances, argv: list[str | os.PathLike[str]], work: Path, library: Path | None
) -> None:
    """Run a command in ``work`` (its caches and HOME are in there, and nothing else) and fail with its words."""
    changes: dict[str, str | os.PathLike[str] | None] = {
        "TZ": circumstances.timezone,
        "LC_ALL": circumstances.locale,
        "PYTHONHASHSEED": circumstances.hash_seed,
        "PONCHO_CACHE_DIR": work / "cache",
        "HOME": work,
        "TMPDIR": work,
    }
    if library is not None:
        changes |= {"LD_PRELOAD": library, "SHIFT_SECONDS": str(circumstances.days * 86400)}
        changes["SHUFFLE_SEED"] = None if circumstances.order is None else str(circumstances.order)
    other = circumstances.other_user and other_user_can(work)
    if other:
        for path in (work, *work.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    done = subprocess.run(
        list(map(os.fspath, argv)),
        env=environment(changes),
        cwd=work,
        preexec_fn=_become(circumstances.umask, other=other),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{circumstances.name}: {done.stderr[-3000:]}"


def other_user_can(place: Path) -> bool:
    """Tell whether another user may run this interpreter and reach ``place``."""
    if os.getuid() != 0:
        return False
    probe = [sys.executable, "-c", f"import os, ssl, poncho; os.listdir({str(place)!r})"]
    try:
        subprocess.run(
            probe,
            cwd=Path(__file__).parents[2],
            preexec_fn=_become(0o022, other=True),
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _become(umask: int, *, other: bool) -> Callable[[], None]:
    def become() -> None:
        os.umask(umask)
        if other:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)

    return become
