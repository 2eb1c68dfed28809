"""What resolving and installing with uv or pip share: where uv is, a clean environment, the user's package indexes.

uv does not read pip's configuration. Users have their mirrors, private indexes and CA files there, so it is translated.
Everything goes to the tools by environment variables, which, unlike arguments, no other user of the machine can read.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from packaging.version import InvalidVersion, Version

from poncho._home import home
from poncho.engine.pip_settings import IndexSettings, read_index_settings
from poncho.engine.process import run_tool
from poncho.errors import BuildError
from poncho.fetch.certificates import certificate_variables
from poncho.store import BuilderCache

__all__ = [
    "IndexSettings",
    "clean_environment",
    "environment_for_pip",
    "environment_for_uv",
    "index_arguments_for_uv",
    "pip_command",
    "read_index_settings",
    "requirement_file",
    "run_tool",
    "uv_command",
]

# Of PIP_* and UV_* only these say where packages come from and how to get there. All others say where to install,
# what to ignore or how to print: they belong to the caller's own work, not to the new environment.
_KEPT_UV = frozenset(
    {
        "UV_CONCURRENT_DOWNLOADS", "UV_CONFIG_FILE", "UV_DEFAULT_INDEX", "UV_EXCLUDE_NEWER", "UV_EXTRA_INDEX_URL",
        "UV_FIND_LINKS", "UV_HTTP_CONNECT_TIMEOUT", "UV_HTTP_RETRIES", "UV_HTTP_TIMEOUT", "UV_INDEX",
        "UV_INDEX_STRATEGY", "UV_INDEX_URL", "UV_INSECURE_HOST", "UV_KEYRING_PROVIDER", "UV_LINK_MODE",
        "UV_NATIVE_TLS", "UV_NO_CONFIG", "UV_REQUEST_TIMEOUT", "UV_SYSTEM_CERTS",
    }
)  # fmt: skip
_LEAKS = frozenset(
    {"VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "CONDA_PYTHON_EXE", "CONDA_SHLVL",
     "__PYVENV_LAUNCHER__", "SETUPTOOLS_USE_DISTUTILS",
     "COLUMNS", "LINES"}  # uv and pip would break the lines that we read
)  # fmt: skip
_OLDEST_PIP = Version("23.1")
# uv's newer variables for the same thing: one of the two is enough.
_NEWER_NAMES = {"UV_INDEX_URL": "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL": "UV_INDEX"}


def uv_command() -> list[str] | None:
    """Return the command that runs uv (from its wheel, else on PATH), or None when there is none.

    ``PONCHO_NO_UV`` set to anything but the empty string or ``0`` means pip.
    """
    if os.environ.get("PONCHO_NO_UV", "0") not in ("", "0"):
        return None
    try:
        from uv import find_uv_bin

        return [str(find_uv_bin())]
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
        return [found] if found else None


def pip_command(python: Path, environ: Mapping[str, str]) -> list[str]:
    """Return the command that runs pip for the environment of ``python``: its own, else ours with ``--python``.

    Its own counts from 23.1 on: an older one asks no keyring without a person at hand, and may know no ``--report``.
    Raises BuildError when neither is there.
    """
    own = _version_of_pip(python, environ)
    if own is None or own < _OLDEST_PIP:
        if importlib.util.find_spec("pip") is not None:
            return [sys.executable, "-m", "pip", "--python", str(python)]
        if own is None:
            raise BuildError("there is nothing to install pip packages with", hint="pip install uv")
    return [str(python), "-m", "pip"]


def _version_of_pip(python: Path, environ: Mapping[str, str]) -> Version | None:
    ask = [str(python), "-I", "-B", "-m", "pip", "--version"]  # -I ignores PYTHONDONTWRITEBYTECODE
    done = run_tool(ask, env=clean_environment(environ), step=f"run {python}", check=False)
    found = re.match(r"pip (\S+)", done.stdout)
    try:
        return Version(found[1]) if found and done.returncode == 0 else None
    except InvalidVersion:
        return None


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` without what would let the caller's own Python environment leak into the one being built.

    Out: every ``PYTHON*``, ``PIP_*`` and (but for indexes, network and keyring) ``UV_*`` variable, activated virtual
    and conda environments. In: ``PYTHONNOUSERSITE=1``, so that ``~/.local`` does not count as installed;
    ``PYTHONDONTWRITEBYTECODE=1``, and the user's certificates under every name that they go by. ``HOME`` is always there:
    rattler refuses to work without, and a user who is no more than a number in a container has none.
    """
    cleaned = {name: value for name, value in environ.items() if not _leaks(name)}
    cleaned["PYTHONNOUSERSITE"] = "1"
    cleaned["PYTHONDONTWRITEBYTECODE"] = "1"  # the interpreter may be one that must stay as it is
    cleaned.update(certificate_variables(cleaned))
    cleaned["HOME"] = str(home(environ))
    cleaned.setdefault("GIT_TERMINAL_PROMPT", "0")  # a VCS requirement must fail, not wait for a password
    return cleaned


def _leaks(name: str) -> bool:
    if name.startswith("UV_INDEX_") and name.endswith(("_USERNAME", "_PASSWORD")):
        return False
    return name in _LEAKS or name.startswith(("PYTHON", "PIP_")) or (name.startswith("UV_") and name not in _KEPT_UV)


def environment_for_uv(environ: Mapping[str, str], cache: BuilderCache, *, offline: bool = False) -> dict[str, str]:
    """Return the environment to run uv in: clean, with uv's cache below ours and pip's index settings translated.

    What the user says to uv itself (``UV_*`` variables, ``uv.toml``) wins over what is said to pip.
    """
    env = clean_environment(environ)
    if not environ.get("SSL_CERT_FILE"):
        env.pop("SSL_CERT_FILE", None)  # what is said to pip comes before what is said to everybody
    for name, value in {**read_index_settings(environ).as_uv_variables(), **certificate_variables(env)}.items():
        if _NEWER_NAMES.get(name, name) not in env:
            env.setdefault(name, value)
    env["UV_CACHE_DIR"] = str(cache.directory("pip") / "uv")
    env["UV_PYTHON_DOWNLOADS"] = "never"
    env["UV_NO_PROGRESS"] = "1"
    env["NO_COLOR"] = "1"
    if offline:
        env["UV_OFFLINE"] = "1"
    return env


def index_arguments_for_uv(environ: Mapping[str, str]) -> list[str]:
    """Return what uv takes only as arguments (``--no-index``, ``--no-binary``, ``--only-binary``); never a secret."""
    return read_index_settings(environ).as_uv_arguments()


def environment_for_pip(environ: Mapping[str, str], cache: BuilderCache, *, offline: bool = False) -> dict[str, str]:
    """Return the environment to run an environment's own pip in: clean, and with the same indexes as uv would use.

    pip's configuration files are switched off (they may say ``user = true`` or ``target = …``) after their index
    settings were read.
    """
    env = clean_environment(environ)
    env.update(read_index_settings(environ).as_pip_variables())
    env.update(
        PIP_CONFIG_FILE=os.devnull,
        PIP_CACHE_DIR=str(cache.directory("pip") / "pip"),
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        PIP_NO_INPUT="1",
        PIP_NO_COLOR="1",
        PIP_NO_WARN_SCRIPT_LOCATION="1",
        PIP_ROOT_USER_ACTION="ignore",
    )
    if offline:
        # pip has no offline mode; without an index it can use find-links and nothing else.
        env["PIP_NO_INDEX"] = "1"
    return env


def requirement_file(path: Path, lines: list[str]) -> Path:
    """Write ``lines`` as a requirements (or constraints) file and return its path."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path
