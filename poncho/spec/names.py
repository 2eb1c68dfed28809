"""Names of environment variables that a spec may set, and those that it must not."""

from __future__ import annotations

import re

from poncho.errors import SpecError

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)

# Variables that change how programs are loaded or how a shell or interpreter starts: setting one to a data directory
# would break, or take over, every command that runs in the package.
_LOADER = frozenset(
    """
    BASHOPTS BASH_ENV CDPATH ENV EUID GCONV_PATH GLIBC_TUNABLES GLOBIGNORE HOME HOSTALIASES IFS LOCALDOMAIN
    LOCPATH LOGNAME MALLOC_TRACE NLSPATH NODE_OPTIONS NODE_PATH OLDPWD OPTARG OPTERR OPTIND PATH PERL5DB PERL5LIB
    PERL5OPT PERLLIB POSIXLY_CORRECT PPID PROMPT_COMMAND PS1 PS2 PS4 PWD RANDOM RESOLV_HOST_CONF RES_OPTIONS
    RUBYLIB RUBYOPT SHELL SHELLOPTS SHLVL TEMP TERM TMP TMPDIR TZDIR UID USER VIRTUAL_ENV
    """.split()  # noqa: SIM905 (sixty names read better as words)
)
_LOADER_PREFIXES = ("LD_", "DYLD_", "PYTHON", "PONCHO_", "BASH_", "CONDA_", "_CE_", "GIT_", "_poncho")


def check_variable(name: str, *, pointer: str | None = None, source: str | None = None) -> None:
    """Accept ``name`` as the name of a data variable.

    Names match ``[A-Za-z_][A-Za-z0-9_]*`` and are none of the variables that steer the loader, the shell, an
    interpreter or PONCHO itself. Raises SpecError.
    """
    if not _IDENTIFIER.fullmatch(name):
        raise SpecError(
            f"{name!r} cannot be the name of an environment variable",
            pointer=pointer,
            source=source,
            hint="use letters, digits and underscores, and no digit first, for example DATA_DIR",
        )
    if name in _LOADER or name.startswith(_LOADER_PREFIXES):
        raise SpecError(
            f"{name!r} steers the shell, the loader or the interpreter and cannot hold a data location",
            pointer=pointer,
            source=source,
            hint=f"choose another name, for example DATA_{name.lstrip('_')}",
        )
