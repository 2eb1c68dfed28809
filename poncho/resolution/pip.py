"""Turn a spec's pip requirements into lock entries: by uv, or by pip where there is no uv.

Both ask the environment's own interpreter what it has. What conda installed stays: its distributions are constraints,
so a requirement that wants another version is an error that names both sides, never a silent replacement.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from urllib.request import url2pathname

from packaging.utils import canonicalize_name

from poncho._home import working_directory
from poncho._types import Event, Reporter, silent
from poncho._words import counted
from poncho.analysis.known import answer
from poncho.engine.git_credentials import take_git_credentials
from poncho.engine.pip_tools import clean_environment, pip_command, run_tool, uv_command
from poncho.errors import BuildError, FetchError, PonchoError, ResolveError
from poncho.lock.model import LockedPip
from poncho.resolution.pip_with_pip import resolve_with_pip
from poncho.resolution.pip_with_uv import Target, resolve_with_uv
from poncho.spec.requirements import absolute_local, is_local
from poncho.store import BuilderCache

_NETWORK_WORDS = (
    "failed to fetch", "error sending request", "network was disabled", "connection", "name resolution", "timed out",
    "could not find a version that satisfies the requirement setuptools (from versions: none)",
)  # fmt: skip
_FILE_URL = re.compile(r"(?:^|@\s*)file://(?:localhost)?(/[^\s#;]*)")
# uv's words and pip's for a project that the index does not have.
_NOT_FOUND = re.compile(r"([\w.-]+) was not found in the package registry|No matching distribution found for ([\w.-]+)")
FAILED = (BuildError, ResolveError)


def resolve_pip(
    requirements: Iterable[str],
    *,
    python: Path,
    constraints: Mapping[str, str] | None = None,
    pins: Mapping[str, str] = MappingProxyType({}),
    offline: bool = False,
    cache: BuilderCache,
    reporter: Reporter = silent,
    root: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> tuple[LockedPip, ...]:
    """Return what has to be installed so that the environment of ``python`` satisfies ``requirements``, sorted by name.

    ``requirements`` are PEP 508, URLs, VCS URLs or local paths (relative to ``root``, default the current directory).
    ``constraints`` (name → version) must stay as they are; None means every distribution that ``python`` has. A name
    that it does not have is left out: a conda package's name need not be that of a distribution (conda's ``yaml`` is
    a C library). ``pins`` (name → version) hold for what is not installed, if it is chosen.

    Raises ResolveError with the resolver's own words (naming what conda installed when that is in the way),
    FetchError when an index cannot be read, BuildError when there is neither uv nor pip.
    """
    environ = os.environ if environ is None else environ
    credentials = take_git_credentials(
        [requirement_line(text, root or working_directory()) for text in requirements], environ
    )
    lines, environ = list(credentials.lines), {**environ, **credentials.variables}
    if not lines:
        return ()
    installed = installed_distributions(python, environ)
    wanted = installed if constraints is None else {canonicalize_name(name) for name in constraints}
    keep = {name: version for name, version in installed.items() if name in wanted}
    uv = uv_command()
    reporter(Event("start", "pip", f"{counted(len(lines), 'pip requirement')}, with {'uv' if uv else 'pip'}"))
    try:
        if uv:
            target = Target.of(python, environ)
            found = resolve_with_uv(uv, lines, target, {**pins, **keep}, offline=offline, cache=cache, environ=environ)
        else:
            pip = pip_command(python, environ)
            found = resolve_with_pip(pip, lines, {**pins, **keep}, offline=offline, cache=cache, environ=environ)
    except FAILED as error:
        raise explain(error, keep) from error
    found = [replace(one, requirement=credentials.restored(one.requirement)) for one in found]
    locked = tuple(sorted(found, key=lambda one: canonicalize_name(one.name)))
    reporter(Event("done", "pip", f"{counted(len(locked), 'pip package')} chosen", done=len(locked), unit="packages"))
    return locked


def requirement_line(text: str, root: Path) -> str:
    """Return a requirement as a line of a requirements file; a local path becomes a ``file://`` URL, extras kept.

    Raises ResolveError when there is nothing at a local path, BuildError when there is nothing at a ``file://`` URL.
    """
    if not is_local(text):
        _check_file_url(text)
        return text
    absolute = absolute_local(text, root)
    path, bracket, extras = absolute.partition("[") if absolute.endswith("]") else (absolute, "", "")
    if not Path(path).exists():
        hint = f"looked for {path}" if text != path else "local code is named from the directory of the spec"
        raise ResolveError(f"{text}: no such file or directory", hint=hint)
    return Path(path).as_uri() + bracket + extras


def _check_file_url(text: str) -> None:
    """Raise BuildError where a requirement names a file of this machine that is gone.

    Asked here, because uv's words for it depend on what its cache holds.
    """
    found = _FILE_URL.search(text)
    if found and not Path(url2pathname(found[1])).exists():
        raise BuildError(
            f"local code is no longer there: {text}",
            hint="analyse the program again: a spec that names local code is for the machine and time that it was made",
        )


def installed_distributions(python: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return name → version of every distribution in the environment of ``python``; names are canonical (PEP 503)."""
    code = "import sysconfig as s; print(s.get_path('purelib'), s.get_path('platlib'), sep=chr(10))"
    done = run_tool([str(python), "-I", "-B", "-c", code], env=clean_environment(environ), step=f"run {python}")
    found: dict[str, str] = {}
    for distribution in metadata.distributions(path=list(dict.fromkeys(done.stdout.split("\n")[:2]))):
        name = distribution.metadata["Name"] if distribution.metadata and "Name" in distribution.metadata else None
        if name:
            found.setdefault(canonicalize_name(name), distribution.version)
    return found


def explain(error: PonchoError, constraints: Mapping[str, str]) -> PonchoError:
    """Return the error for a resolver that failed: who is in the way of whom, or that an index is out of reach."""
    tail = str(error.context.get("tail") or error.message)
    low = tail.lower()
    if any(word in low for word in _NETWORK_WORDS):
        hint = "check the network, the proxy (HTTPS_PROXY) and the package index (PIP_INDEX_URL, pip.conf)"
        if "network was disabled" in low:
            hint = "offline only what an earlier build fetched can be used; run once without --offline"
        return FetchError(f"cannot reach a package index: {error.message}", hint=hint, context=error.context)
    if "does not appear to be a python project" in low:
        return BuildError(
            f"local code cannot be built: {_words(tail)}",
            hint="give its directory a pyproject.toml with a [project] name and version, or put the files beside the program",
            context=error.context,
        )
    if "unbuilt" in error.context:
        name = str(error.context["unbuilt"]).partition("==")[0]
        return BuildError(error.message, hint=_known_as(name) or error.hint, context=error.context)
    clashes = sorted(name for name, version in constraints.items() if _mentions(tail, name, version))
    if clashes:
        both = ", ".join(f"{name} {constraints[name]}" for name in clashes)
        return ResolveError(
            f"the pip requirements do not go with what conda installed ({both}): {_words(tail)}",
            hint="ask conda for the version that pip wants, or loosen the pip requirement",
            context=error.context,
        )
    return ResolveError(
        f"no set of pip packages satisfies the spec: {_words(tail)}",
        hint=next(filter(None, map(_known_as, (found[1] or found[2] for found in _NOT_FOUND.finditer(tail)))), None)
        or "check the names and versions, and that there are wheels for this Python",
        context=error.context,
    )


def _known_as(name: str) -> str | None:
    """Return the hint for a requirement that is called like an import of another project: ``sklearn``, ``cv2``."""
    found = answer(name, sys.version_info[:2])
    if found is None or found.pypi is None or canonicalize_name(found.pypi) == canonicalize_name(name):
        return None
    return f"{name} is what programs import; the package is called {found.pypi}"


def _mentions(text: str, name: str, version: str) -> bool:
    pattern = re.escape(name).replace(r"\-", "[-_.]+") + r"\s*==\s*" + re.escape(version) + r"(?![\w.])"
    return re.search(pattern, text, re.IGNORECASE) is not None


def _words(tail: str) -> str:
    """Return the resolver's explanation from its output: uv's ``cause:``, pip's block on a conflict, or the errors."""
    lines = [line.strip(" ×╰─▶├│") for line in tail.splitlines() if line.strip()]
    for start, line in enumerate(lines):
        low = line.lower()
        if low.startswith(("cause:", "because")):
            return " ".join(lines[start:]).removeprefix("cause:").partition("hint:")[0].strip()
        if low.startswith("the conflict is caused by"):
            sides = [one for one in lines[start + 1 :] if " requested " in one or " depends on " in one]
            return f"{line} {'; '.join(sides)}"
    errors = [
        re.sub(r"^error:\s*", "", line, flags=re.IGNORECASE) for line in lines if line.lower().startswith("error:")
    ]
    return " ".join(errors) or " ".join(lines[-3:])
