"""A stand-in for the conda command: plays answers recorded from conda 26.7 and micromamba 2.8.1.

It writes down how it was called.

Only the protocol is played. That the real command understands what we ask is tested where it is installed (see
tests/engine/test_real_command.py).
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What conda 26.7 printed, less what differs from run to run. CHANNEL stands for the channel's URL.
LINKED = {
    "actions": {
        "FETCH": [],
        "LINK": [
            {
                "name": "ladder", "version": "1.1", "build": "h0_0", "build_number": 0, "subdir": "noarch",
                "channel": "CHANNEL/noarch", "fn": "ladder-1.1-h0_0.tar.bz2", "md5": "0" * 32, "sha256": "a" * 64,
                "url": "CHANNEL/noarch/ladder-1.1-h0_0.tar.bz2", "depends": [], "constrains": [], "arch": None,
                "platform": None, "size": 700, "timestamp": 1700000000000,
            }
        ],
        "PREFIX": "/somewhere",
    },
    "dry_run": True,
    "prefix": "/somewhere",
    "success": True,
}  # fmt: skip
# The older form (conda 4): LINK holds short names, the rest is in FETCH; actions is a list of one.
OLD_LINKED = {
    "actions": [
        {
            "FETCH": [
                {
                    "name": "ladder", "version": "1.1", "build": "h0_0", "build_number": 0, "subdir": "noarch",
                    "channel": "CHANNEL/noarch", "fn": "ladder-1.1-h0_0.tar.bz2", "md5": "0" * 32,
                    "url": "CHANNEL/noarch/ladder-1.1-h0_0.tar.bz2", "depends": [],
                }
            ],
            "LINK": [
                {
                    "base_url": "CHANNEL", "build_number": 0, "build_string": "h0_0", "channel": "first",
                    "dist_name": "ladder-1.1-h0_0", "name": "ladder", "platform": "noarch", "version": "1.1",
                }
            ],
        }
    ],
    "success": True,
}  # fmt: skip
UNSATISFIABLE = {
    "caused_by": "None",
    "error": "UnsatisfiableError: …",
    "exception_name": "UnsatisfiableError",
    "exception_type": "<class 'conda.exceptions.UnsatisfiableError'>",
    "message": "The following specifications were found to be incompatible with each other:\n\n"
    "Package ladder conflicts for:\nwants-old-ladder -> ladder[version='<2']\n"
    "wants-new-ladder -> ladder[version='>=2']",
}
UNAVAILABLE = {
    "channel_name": "chan",
    "channel_url": "CHANNEL",
    "error": "UnavailableInvalidChannel: HTTP 404 UNAVAILABLE OR INVALID for channel chan <CHANNEL>",
    "exception_name": "UnavailableInvalidChannel",
    "message": "HTTP 404 UNAVAILABLE OR INVALID for channel chan <CHANNEL>\n\nThe channel is not accessible.\n",
}
# conda mangles the URL, so that what masks URLs does not see one.
MANGLED = {
    "exception_name": "CondaHTTPError",
    "message": "HTTP 000 CONNECTION FAILED for url <http//user:hunter2@127.0.0.1:9/chan/linux-64>\nElapsed: -\n",
}
LINK_FAILED = {
    "error": "Multiple Errors Encountered.",
    "errors": [
        {
            "exception_name": "LinkError",
            "message": "post-link script failed for package CHANNEL::post-link-fails-1.0-h0_0\n"
            "==> script output <==\nstderr: the post-link script fails on purpose\n\nreturn code: 3\n",
        },
        {"error": "()", "exception_name": "tuple", "message": "()"},
    ],
    "exception_name": "CondaMultiError",
}
# What micromamba 2.8.1 printed: status 1, and on stderr, with MAMBA_LOG_LEVEL=error, MICROMAMBA_TREE.
MICROMAMBA_UNSATISFIABLE = {
    "solver_problems": [
        "package wants-old-ladder-1.0-h0_0 requires ladder <2, but none of the providers can be installed"
    ],
    "success": False,
}
MICROMAMBA_TREE = """\
error    libmamba Could not solve for environment specs
    The following packages are incompatible
    ├─ wants-new-ladder =* * is installable and it requires
    │  └─ ladder >=2 *, which can be installed;
    └─ wants-old-ladder =* * is not installable because it requires
       └─ ladder <2 *, which conflicts with any installable versions previously reported.
critical libmamba Could not solve for environment specs
"""
MICROMAMBA_UNAVAILABLE = """\
critical libmamba Multiple errors occurred:
    Transfer finalized, status: 404 [CHANNEL/noarch/repodata.json] 0 bytes
    Subdir CHANNEL/noarch not loaded!
    If you run into this error repeatedly, your package cache may be corrupted.
    Please try running `mamba clean -a` to remove this cache before retrying the operation.
"""
# The token of the channel's URL is asterisks; the timestamp is in seconds.
MICROMAMBA_LINKED = {
    "actions": {
        "FETCH": [],
        "LINK": [
            {
                "build": "h0_0", "build_number": 0, "build_string": "h0_0", "channel": "CHANNEL", "constrains": [],
                "depends": [], "fn": "ladder-1.1-h0_0.tar.bz2", "license": "MIT", "md5": "0" * 32, "name": "ladder",
                "noarch": "generic", "sha256": "a" * 64, "size": 700, "subdir": "noarch", "timestamp": 1700000000,
                "track_features": "", "url": "CHANNEL/t/**********/noarch/ladder-1.1-h0_0.tar.bz2", "version": "1.1",
            }
        ],
        "PREFIX": "/somewhere",
    },
    "dry_run": True,
    "prefix": "/somewhere",
    "success": True,
}  # fmt: skip
MICROMAMBA_INFO = {"micromamba version": "2.8.1", "virtual packages": ["__unix=0=0", "__glibc=2.36=0"]}
INFO = {"conda_version": "26.7.0", "virtual_pkgs": [["__glibc", "2.36", "0"], ["__unix", "0", "0"]]}

_SCRIPT = """#!{python}
import json, os, sys
from pathlib import Path
here = Path(__file__).parent
argv = sys.argv[1:]
call = {{"argv": argv, "env": {{k: v for k, v in os.environ.items()}}}}
if "--file" in argv:
    call["file"] = Path(argv[argv.index("--file") + 1]).read_text()
if "--rc-file" in argv:
    call["settings"] = Path(argv[argv.index("--rc-file") + 1]).read_text()
with open(here / "calls", "a") as log:
    log.write(json.dumps(call) + "\\n")
if argv == ["--version"]:
    print({version!r})
    sys.exit(0)
if argv == ["config", "sources"]:
    print("Configuration files (by precedence order):")
    print("\\n".join(filter(None, map(os.environ.get, ("CONDARC", "MAMBARC")))))
    sys.exit(0)
step = "info" if argv[0] == "info" else "solve" if "--dry-run" in argv else "install"
answers = sorted(here.glob(step + "-*.json"))
answer = json.loads(answers[0].read_text())
if len(answers) > 1:
    answers[0].unlink()
if step == "install" and answer["status"] == 0:
    prefix = Path(argv[argv.index("--prefix") + 1])
    (prefix / "conda-meta").mkdir(parents=True)
    for name, record in answer["records"].items():
        (prefix / "conda-meta" / name).write_text(json.dumps(record))
    (prefix / "conda-meta" / "history").write_text("# cmd: conda create --prefix /home/somebody\\n")
print('{{"fetch": "ladder", "progress": 1.0}}\\0')
print(json.dumps(answer["stdout"], indent=2))
sys.stderr.write(answer["stderr"])
sys.exit(answer["status"])
"""


@dataclass(frozen=True, slots=True)
class PlayedCommand:
    """The stand-in. ``answer`` says what it prints next; the last answer given for a step is repeated."""

    path: Path
    channel: str

    def answer(
        self,
        step: str,
        stdout: dict[str, Any],
        *,
        status: int = 0,
        stderr: str = "",
        records: Any = None,
        place: int = 0,
    ) -> None:
        """Set the answer number ``place`` of ``step`` (``solve``, ``install``, ``info``)."""
        text = json.dumps({"stdout": stdout, "status": status, "stderr": stderr, "records": records or {}})
        (self.path.parent / f"{step}-{place}.json").write_text(text.replace("CHANNEL", self.channel))

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Return how it was called so far, without the questions for its version and settings."""
        lines = (self.path.parent / "calls").read_text().splitlines()
        return [call for call in map(json.loads, lines) if call["argv"] not in (["--version"], ["config", "sources"])]


def play(
    directory: Path, *, name: str = "conda", version: str = "conda 26.7.0", channel: str = "file:///channel"
) -> PlayedCommand:
    """Write the stand-in into ``directory``, under ``name``."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(_SCRIPT.format(python=sys.executable, version=version))
    path.chmod(0o755)
    return PlayedCommand(path, channel)
