"""A system keyring (Secret Service) of a test's own: a message bus and gnome-keyring on it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("dbus-daemon", "gnome-keyring-daemon", "secret-tool")


def lacking() -> str:
    """Return the names of the programs that are not here."""
    return ", ".join(name for name in PROGRAMS if shutil.which(name) is None)


@contextmanager
def keyring(directory: Path, secret: str, **attributes: str) -> Iterator[dict[str, str]]:
    """Start an unlocked keyring that holds one secret, at home in ``directory``; yield the variables that lead to it."""
    home = directory / "keyring-home"
    home.mkdir(mode=0o700)
    # The path of a socket has room for 107 bytes, which directories of tests may have used up.
    with tempfile.TemporaryDirectory(prefix="poncho-bus-", dir="/tmp") as runtime, _started(home, runtime) as env:
        pairs = [word for pair in attributes.items() for word in pair]
        subprocess.run(["secret-tool", "store", "--label=test", *pairs], env=env, check=True, input=secret, text=True)
        yield {name: env[name] for name in ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR")}


@contextmanager
def _started(home: Path, runtime: str) -> Iterator[dict[str, str]]:
    # Started by the caller's own variables, the keyring would be that of whoever runs the tests.
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_RUNTIME_DIR": runtime}
    bus = ["dbus-daemon", "--session", "--fork", "--print-address=1", "--print-pid=1", f"--address=unix:dir={runtime}"]
    address, number = subprocess.run(bus, env=env, check=True, capture_output=True, text=True).stdout.split()
    env["DBUS_SESSION_BUS_ADDRESS"] = address
    try:
        daemon = ["gnome-keyring-daemon", "--daemonize", "--unlock", "--components=secrets"]
        subprocess.run(daemon, env=env, check=True, input="a password\n", text=True, stdout=subprocess.DEVNULL)
        yield env
    finally:
        os.kill(int(number), signal.SIGTERM)  # the daemon ends with its bus
