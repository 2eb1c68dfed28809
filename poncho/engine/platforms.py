"""This machine's conda platform."""

from __future__ import annotations

import platform
import sys

_MACHINES = {"x86_64": "64", "amd64": "64", "i686": "32", "i386": "32", "arm64": "arm64", "aarch64": "aarch64"}


def native_platform() -> str:
    """Return this machine's conda subdir, such as ``linux-64``, ``linux-aarch64`` or ``osx-arm64``."""
    system = {"linux": "linux", "darwin": "osx", "win32": "win"}.get(sys.platform, sys.platform)
    machine = platform.machine().lower()
    return f"{system}-{_MACHINES.get(machine, machine)}"
