"""What mamba 2 and micromamba (libmamba) are told, and what they say, in another way than conda.

Most of libmamba's settings have a variable ``MAMBA_…`` and no ``CONDA_…``; a settings file that is named replaces all
others; in JSON it says why a solve failed only in the solver's short words, and all of it on stderr. Sources:
``libmamba/src/api/configuration.cpp``, ``libmamba/src/api/utils.cpp`` and ``libmamba/src/core/output.cpp`` of 2.8.1.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poncho._redact import redact
from poncho.engine.process import TAIL_LINES
from poncho.errors import BuildError

_SETTINGS = {
    "MAMBA_ADD_PIP_AS_PYTHON_DEPENDENCY": "false",
    "MAMBA_ALLOW_SOFTLINKS": "false",
    "MAMBA_ALWAYS_SOFTLINK": "false",
    "MAMBA_COMPILE_PYC": "false",
    "MAMBA_LOG_LEVEL": "error",  # with --json it is "critical", which leaves out why a solve failed
}
# How to reach channels, as keys of a settings file. A variable is their name in capitals after ``MAMBA_``.
_REACH = frozenset(
    """
    cacert_path channel_alias custom_channels download_threads extract_threads mirrored_channels proxy_servers
    remote_backoff_factor remote_connect_timeout_secs remote_max_retries repodata_has_zst repodata_use_zst ssl_no_revoke
    ssl_verify
    """.split()  # noqa: SIM905 (words read better)
)
_KEPT = frozenset({"MAMBA_NO_LOW_SPEED_LIMIT", "MAMBA_ROOT_PREFIX", *(f"MAMBA_{key.upper()}" for key in _REACH)})
_LOGGED = re.compile(r"(?P<level>trace|debug|info|warning|error|critical)\s+libmamba (?P<text>.*)")
_PYTHON = re.compile(r"python(?P<rest>(?:\s*[=<>!~].*|\s+[^\s\[].*)?)", re.IGNORECASE)
# python=3.11: every 3.11
_FUZZY = re.compile(r"=(?!=)")
# Advice, to the end of the entry, and a heading that says nothing.
_ADVICE, _HEADING = ("If you run into this error", "If you see this message repeatedly"), "Multiple errors occurred:"
# With --offline libmamba still fetches what an explicit list names. Nothing listens at the discard port.
_NO_NETWORK = {
    **dict.fromkeys(("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"), "http://127.0.0.1:9"),
    **dict.fromkeys(("all_proxy", "https_proxy", "http_proxy"), "http://127.0.0.1:9"),
    **{"NO_PROXY": "", "no_proxy": "", "MAMBA_REMOTE_MAX_RETRIES": "0"},
}


def libmamba_environment(environ: Mapping[str, str], *, offline: bool = False) -> dict[str, str]:
    """Return ``environ`` with libmamba's own settings in place of the user's, but for those that say how to reach channels.

    The same settings under conda's name count where libmamba's is not set. Settings files are left to ``settings_files``:
    libmamba refuses ``CONDARC`` and ``MAMBARC`` beside ``--no-rc``.
    """
    env = {
        name: value
        for name, value in environ.items()
        if name not in ("CONDARC", "MAMBARC", "PKG_NAME") and (name in _KEPT or not name.startswith("MAMBA_"))
    }
    for key in _REACH:
        value = environ.get(f"CONDA_{key.upper()}")
        if value:
            env.setdefault(f"MAMBA_{key.upper()}", value)
    return env | _SETTINGS | (_NO_NETWORK if offline else {})


def as_asked(spec: str) -> str:
    """Return a match spec as libmamba is to be told it: ``python`` as ``python[version="…"]``, others as they are.

    libmamba 2 adds pip to every request for ``python``, whatever its settings say (``create_install_request`` in
    ``install.cpp``), but does not know it in this form.
    """
    found = _PYTHON.fullmatch(spec.strip())
    if found is None:
        return spec
    words = re.sub(r"\s*([,|])\s*", r"\1", found["rest"].strip())
    if _FUZZY.match(words):
        version, _, build = words[1:].strip().partition("=")
        version = version if "*" in version else f"={version}"
    else:
        version, _, build = words.partition(" ")
    parts = [f'version="{version or "*"}"', *([f'build="{build.strip()}"'] if build.strip() else [])]
    return f"python[{','.join(parts)}]"


def settings_files(printed: str, home: Path) -> list[Path]:
    """Return the files that ``config sources`` listed, the first one first to count."""
    lines = [line.strip() for line in printed.splitlines()[1:]]
    return [home / line[2:] if line.startswith("~/") else Path(line) for line in lines if line.startswith(("~/", "/"))]


def read_settings(path: Path) -> dict[str, Any]:
    """Return what a settings file says; what is no YAML object says nothing."""
    import yaml  # few have such a file

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def reach_settings(files: Sequence[Path]) -> dict[str, Any]:
    """Return how to reach channels, out of all that settings files say."""
    found: dict[str, Any] = {}
    for path in files:
        said = read_settings(path)
        found = {key: value for key, value in said.items() if key in _REACH and value is not None} | found
    return found


_WATCHING_BASH = """#!/bin/sh
PATH=${{PATH%%{directory}:*}}${{PATH#*{directory}:}}
export PATH
{bash} "$@"
status=$?
[ "$status" = 0 ] || [ -z "$PKG_NAME" ] || printf '%s %s\\n' "$status" "$PKG_NAME" >> {failures}
exit "$status"
"""


@dataclass(frozen=True, slots=True)
class LinkScripts:
    """Finds out whether link scripts fail: libmamba does not heed their exit status (``run_script`` in ``link.cpp``).

    It runs them with the first ``bash`` on PATH, which is ours: one that notes the status. What the script itself starts
    does not find it.
    """

    directory: Path

    def watch(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return ``environ`` with our bash first on PATH; as it is where there is neither a bash nor an sh."""
        path = environ.get("PATH", os.defpath)
        shell = shutil.which("bash", path=path) or shutil.which("sh", path=path)
        if shell is None:
            return dict(environ)
        self.directory.mkdir()
        script = self.directory / "bash"
        words = {"directory": str(self.directory), "bash": shell, "failures": str(self._failures)}
        script.write_text(_WATCHING_BASH.format_map({key: shlex.quote(word) for key, word in words.items()}))
        script.chmod(0o700)
        return {**environ, "PATH": f"{self.directory}{os.pathsep}{path}"}

    def raise_failed(self, output: str) -> None:
        """Raise BuildError for the first script that failed; ``output`` is what was printed meanwhile."""
        try:
            status, _, package = self._failures.read_text(encoding="utf-8").splitlines()[0].partition(" ")
        except FileNotFoundError:
            return
        tail = redact("\n".join(output.strip().splitlines()[-TAIL_LINES:]))
        raise BuildError(
            f"the post-link script of the conda package {package} failed (exit status {status})",
            hint=f"the script is part of the package; its output:\n{tail}" if tail else None,
            context={"package": package, "status": status, "tail": tail},
        )

    @property
    def _failures(self) -> Path:
        return self.directory / "failures"


def libmamba_words(stderr: str) -> str:
    """Return what libmamba logged as errors, without its marks and its advice; empty for output of another make.

    The tree of an unsolvable set (more lines than one, after its heading) is all that is returned where there is one.
    """
    entries: list[list[str]] = []
    for line in stderr.splitlines():
        logged = _LOGGED.match(line)
        if logged:
            entries.append([logged["text"]] if logged["level"] in ("error", "critical") else [])
        elif entries and entries[-1]:
            entries[-1].append(line.removeprefix("    "))
    for heading, *lines in filter(None, entries):
        if heading.startswith("Could not solve") and lines:
            # "name =* *" is how it writes a name without a version and a build.
            return "\n".join(line.rstrip().replace(" =* *", "") for line in lines)
    told: dict[str, None] = {}
    for lines in entries:
        for line in lines:
            if line.startswith(_ADVICE):
                break
            if line.strip() and line != _HEADING:
                told[line.rstrip()] = None
    return "\n".join(told)
