"""Compute ``poncho/env.sh``: activation as a few assignments that any POSIX shell can source."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from poncho import _json, _regular
from poncho.errors import BuildError

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# What decides which program runs or what is loaded into it: no data variable may have such a name.
LOADER_NAMES = frozenset(
    (
        *("PATH", "HOME", "IFS", "ENV", "BASH_ENV", "SHELL", "SHELLOPTS", "BASHOPTS", "PS1", "PS4", "CDPATH"),
        *("PERL5LIB", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONEXECUTABLE", "CONDA_PREFIX", "PONCHO_PREFIX"),
    )
)
LOADER_PREFIXES = ("LD_", "DYLD_", "_PONCHO", "_poncho")
_UNSET = "***unset***"
_FORGET = "PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONEXECUTABLE VIRTUAL_ENV __PYVENV_LAUNCHER__"


def env_sh(
    conda: Mapping[str, str], variables: Mapping[str, str], scripts: Sequence[str], prefixes: Sequence[str]
) -> bytes:
    """Return the file's content, short: a shell reads it at each start.

    ``conda`` is what the environment's own variables say, ``variables`` maps data variables to paths relative to the
    package's root, ``scripts`` are the file names in ``etc/conda/activate.d``. A value that begins with one of
    ``prefixes`` (or has it after a colon) follows the environment to wherever it lies. Raises BuildError for a name
    that is unfit.
    """
    lines = [
        "# Source this with _poncho_prefix set.",
        'PATH="$_poncho_prefix/bin${PATH:+:$PATH}"',
        'export PATH CONDA_PREFIX="$_poncho_prefix" CONDA_DEFAULT_ENV="$_poncho_prefix" CONDA_SHLVL=1 PYTHONNOUSERSITE=1',
        f"unset {_FORGET}",
    ]
    for name, value in sorted(conda.items()):
        if value == _UNSET:
            lines.append(f"unset {name}")
        else:
            lines.append(f"export {name}={_relative(value, prefixes)}")
    for name, path in sorted(variables.items()):
        check_name(name)
        lines.append(f'export {name}="$_poncho_prefix"{quote("/" + path.strip("/"))}')
    if scripts:
        lines.append(f"_poncho_activate_d={quote(chr(10).join(sorted(scripts)))}")
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def check_name(name: str) -> None:
    """Raise BuildError unless ``name`` is fit to be a data variable's."""
    if not NAME.match(name):
        raise BuildError(f"{name!r}: not a name for an environment variable", hint="use letters, digits and _")
    if name in LOADER_NAMES or name.startswith(LOADER_PREFIXES):
        raise BuildError(
            f"{name}: this variable decides what is run, data cannot have its name", hint="use another name"
        )


def conda_variables(prefix: Path) -> tuple[dict[str, str], list[str]]:
    """Return the variables of ``etc/conda/env_vars.d`` and ``conda-meta/state``, and warnings. The later win."""
    values: dict[str, str] = {}
    warnings: list[str] = []
    for path in (*sorted((prefix / "etc/conda/env_vars.d").glob("*.json")), prefix / "conda-meta/state"):
        relative = path.relative_to(prefix)
        try:
            found = _json.loads(_regular.read_bytes(path))
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            warnings.append(f"{relative}: not readable as JSON; its variables are left out")
            continue
        if path.name == "state" and isinstance(found, dict):
            found = found.get("env_vars", {})
        for name, value in found.items() if isinstance(found, dict) else ():
            if not NAME.match(name):
                warnings.append(f"{relative}: {name!r} is not the name of a variable; left out")
            elif value != "" and not _regular.is_name(str(value)):
                warnings.append(f"{relative}: the value of {name} has characters that no variable can have; left out")
            else:
                values[name] = str(value)
    return values, warnings


def quote(text: str) -> str:
    """Return ``text`` as one word of a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def _relative(value: str, prefixes: Sequence[str]) -> str:
    words = []
    for part in value.split(":"):
        for prefix in prefixes:
            if part == prefix or part.startswith(prefix + "/"):
                rest = part[len(prefix) :]
                words.append('"$_poncho_prefix"' + (quote(rest) if rest else ""))
                break
        else:
            words.append(quote(part) if part else "")
    return ":".join(words)
