"""The mounted images of the node's store: which directory has one, and how to take it away (docs/store.md)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

IMAGE = Path("poncho/image")
_COMMANDS = (("umount", "-l"), ("fusermount3", "-u", "-z"), ("fusermount", "-u", "-z"))
_SECONDS = 30


def is_mounted(directory: Path) -> bool:
    """Tell whether an image is mounted in this directory of the store; one whose daemon died counts too."""
    try:
        return os.lstat(directory / IMAGE).st_dev != os.lstat(directory).st_dev
    except FileNotFoundError:
        return False
    except OSError:
        return True


def unmount(directory: Path) -> bool:
    """Take the mount in this directory away, if there is one; return False when that was not possible.

    Processes that have files of it open keep them.
    """
    for command in _COMMANDS:
        if not is_mounted(directory):
            return True
        program = shutil.which(command[0])
        if program is None:
            continue
        argv = [program, *command[1:], os.fspath(directory / IMAGE)]
        try:
            subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
    return not is_mounted(directory)
