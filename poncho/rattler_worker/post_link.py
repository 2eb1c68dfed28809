"""Post-link scripts of conda packages."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import rattler
from rattler.shell import ActivationVariables, Shell, activate

from poncho._trees import walk
from poncho.rattler_worker.failure import Failure, Send

OUTPUT_LINES = 25


def unshare(prefix: str) -> None:
    """Give the prefix files of its own: a post-link script may write into one that is a link to the package cache."""
    for directory, _, names in walk(prefix):
        for name in names:
            path = os.path.join(directory, name)
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
                shutil.copy2(path, f"{path}.poncho-own")
                os.replace(f"{path}.poncho-own", path)


def run_post_link(record: rattler.PackageRecord, prefix: Path, platform: str, send: Send) -> None:
    """Run a package's post-link script as conda and rattler do: by bash, in the activated environment.

    Not by rattler's ``execute_link_scripts``, which throws away what the script prints and goes on when it fails.
    """
    name = record.name.normalized
    script = prefix / "bin" / f".{name}-post-link.sh"
    if not script.exists():
        return
    send({"event": {"kind": "info", "step": "install", "message": f"post-link script of {name}"}})
    variables = {
        "PREFIX": str(prefix),
        "PKG_NAME": name,
        "PKG_VERSION": str(record.version),
        "PKG_BUILDNUM": str(record.build_number),
    }
    activation = activate(prefix, ActivationVariables(), Shell.bash, rattler.Subdir(platform)).script
    try:
        done = subprocess.run(
            ["bash", "-c", f'{activation}\n. "$1"', "bash", str(script)],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise Failure("post-link", f"cannot run bash: {error.strerror}", package=name, status=127, tail="") from error
    if done.returncode != 0:
        lines = done.stdout.decode("utf-8", "replace").splitlines()[-OUTPUT_LINES:]
        raise Failure(
            "post-link", lines[-1] if lines else "", package=name, status=done.returncode, tail="\n".join(lines)
        )
    messages = prefix / ".messages.txt"
    if messages.exists():
        text = messages.read_text(encoding="utf-8", errors="replace").strip()
        messages.unlink()
        if text:
            send({"event": {"kind": "info", "step": "install", "message": f"{name}: {text}"}})
