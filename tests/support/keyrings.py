"""A system keyring (Secret Service) of a test's own: a message bus and gnome-keyring on it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("dbus-daemon", "gnome-keyring-daemon", "secret-tool")


def lacking() -> str:
    """Return the names of the programs that are not here."""
    return ", ".join(name for name in PROGRAMS if shutil.which(name) is None)


@contextmanager
def keyring(directory: Path, secret: str, **attributes: str) -> Iterator[dict[str, str]]:
    """Start an unlocked keyring that holds one secret; yield the variables that lead to it."""
    runtime, home = directory / "runtime", directory / "keyring-home"
    for made in (runtime, home):
        made.mkdir(mode=0o700)
    # Started by the caller's own variables, the keyring would be that of whoever runs the tests.
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_RUNTIME_DIR": str(runtime)}
    bus = ["dbus-daemon", "--session", "--fork", "--print-address=1", "--print-pid=1", f"--address=unix:dir={runtime}"]
    address, number = subprocess.run(bus, env=env, check=True, capture_output=True, text=True).stdout.split()
    env["DBUS_SESSION_BUS_ADDRESS"] = address
    try:
        daemon = ["gnome-keyring-daemon", "--daemonize", "--unlock", "--components=secrets"]
        subprocess.run(daemon, env=env, check=True, input="a password\n", text=True, stdout=subprocess.DEVNULL)
        pairs = [word for pair in attributes.items() for word in pair]
        subprocess.run(["secret-tool", "store", "--label=test", *pairs], env=env, check=True, input=secret, text=True)
        yield {name: env[name] for name in ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR")}
    finally:
        os.kill(int(number), signal.SIGTERM)  # the daemon ends with its bus
