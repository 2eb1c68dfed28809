"""Keep the person's settings out of the tests, and the way to the package index in."""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
from pathlib import Path

from tests.support.channel import cache_directory

_SHARED = "PONCHO_TESTS_SHARED"
# What would change the outcome of a test (CI: a build there prints a line for each step).
# PIP_*, UV_*, SSL_*, *_PROXY stay: they lead to the package index.
_PERSONAL = re.compile(
    r"(PONCHO_(?!TEST)|PYTHON|CONDA|_CE_|MAMBA|PIXI|RATTLER|XDG_|VIRTUAL_ENV|LD_|GIT_(?!SSL)|NETRC|CDPATH|ENV$|BASH_ENV|"
    r"SOURCE_DATE_EPOCH|PIP_(TARGET|PREFIX|USER|REQUIRE_VIRTUALENV)|PARSL|WORK_QUEUE|VINE|TASKVINE|CCTOOLS|"
    r"NO_COLOR|FORCE_COLOR|CLICOLOR|CI$).*"
)


def isolate(worker: str) -> Path:
    """Give this process a home, caches and a store of its own; return the directory that the workers share.

    The first process (xdist's controller, or the only one) makes the shared directory; its workers inherit it.
    """
    first = _SHARED not in os.environ
    if first:
        os.environ["PONCHO_TEST_CACHE"] = str(cache_directory().absolute())
        _keep_index_settings(Path.home())
        os.environ[_SHARED] = tempfile.mkdtemp(prefix="poncho-tests-")
    shared = Path(os.environ[_SHARED])
    _heed_signals()
    for name in [name for name in os.environ if _PERSONAL.fullmatch(name)]:
        del os.environ[name]
    home = shared / f"home-{worker}"
    home.mkdir(exist_ok=True)
    os.environ |= {
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PONCHO_CACHE_DIR": str(shared / "cache"),
        "PONCHO_STORE": str(shared / "store"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }
    return shared


def forget(shared: Path) -> None:
    """Delete what ``isolate`` made."""
    os.environ.pop(_SHARED, None)
    for directory, _, _ in os.walk(shared):
        if not os.access(directory, os.W_OK | os.X_OK):
            Path(directory).chmod(0o700)
    shutil.rmtree(shared, ignore_errors=True)


def _heed_signals() -> None:
    """Undo what nohup and a shell's background do: what is ignored here would be ignored by all that the tests start."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)


def _keep_index_settings(home: Path) -> None:
    """Name the files of a person's pip and uv settings that a new HOME would hide, and keep their download caches."""
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    found = {
        "PIP_CONFIG_FILE": [config / "pip" / "pip.conf", home / ".pip" / "pip.conf"],
        "UV_CONFIG_FILE": [config / "uv" / "uv.toml"],
    }
    for variable, places in found.items():
        existing = [path for path in places if path.is_file()]
        if existing and variable not in os.environ:
            os.environ[variable] = str(existing[0])
    os.environ.setdefault("PIP_CACHE_DIR", str(cache_directory() / "pip"))
    os.environ.setdefault("UV_CACHE_DIR", str(cache_directory() / "uv"))
    os.environ.setdefault("PIP_DISABLE_PIP_VERSION_CHECK", "1")
