"""Turn a spec's conda part into a solve, and the solution into lock entries."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from poncho import _json
from poncho._types import Event, Reporter, silent
from poncho.engine import CondaEngine, SolveRequest
from poncho.errors import ResolveError
from poncho.lock.model import LockedConda
from poncho.spec import Spec

# A version, or several with commas and bars between; what follows it is a build.
_VERSION = re.compile(r"[<>=!~]*\s*[\w.*+!]+(?:\s*[,|]\s*[<>=!~]*\s*[\w.*+!]+)*")
_IN_BRACKETS = re.compile(
    r"\[(?:.*,)?\s*version\s*=\s*(?P<quote>['\"]?)(?P<version>.+?)(?P=quote)\s*(?:,\s*\w+\s*=.*)?\]", re.DOTALL
)
_NAME = re.compile(r"(?:.*::)?\s*(?P<name>[A-Za-z0-9_.-]+)(?P<rest>.*)", re.DOTALL)


class LocalBase(Protocol):
    """A local channel that holds this machine's interpreter as the conda package ``python``."""

    @property
    def url(self) -> str: ...

    @property
    def python_version(self) -> str: ...


def resolve_conda(
    spec: Spec,
    *,
    engine: CondaEngine,
    platform: str,
    base: LocalBase | None = None,
    extra_channels: Iterable[str] = (),
    constraints: Iterable[str] = (),
    virtual_packages: tuple[str, ...] | None = None,
    offline: bool = False,
    reporter: Reporter = silent,
) -> tuple[LockedConda, ...]:
    """Return the conda packages that satisfy ``spec`` on ``platform`` (a conda subdir), sorted by name.

    A spec that names no channel is solved against ``base`` alone. ``extra_channels`` come after the spec's own.
    ``pinned`` versions, and ``constraints`` (match specs), hold for a package if it is chosen. pip packages bring
    Python and pip with them. Raises ResolveError (nothing satisfies the spec; a conda package without a channel to
    take it from), FetchError (a channel cannot be read).
    """
    channels = (*spec.channels, *extra_channels)
    if not channels and not spec.names_a_channel:
        if base is None:
            raise ResolveError("the spec names no conda channel", hint='add "channels": ["conda-forge"] to it')
        _refuse_another_python(spec, base)
        channels, specs = (base.url,), _local_specs(spec, base, platform)
    else:
        specs = conda_specs(spec)
    if not specs:
        return ()
    request = SolveRequest(
        channels=channels,
        specs=specs,
        platform=platform,
        constraints=(*pinned_constraints(spec), *constraints),
        virtual_packages=virtual_packages,
        offline=offline,
    )
    records = engine.solve(request, reporter=reporter)
    if base is not None and channels == (base.url,):
        _warn_of_another_pip(spec, records, reporter)
    return records


def conda_specs(spec: Spec) -> tuple[str, ...]:
    """Return the match specs to solve: the spec's own, and the Python and pip that the rest of it implies."""
    specs = list(spec.conda)
    names = {package_name(match) for match in specs}
    if "python" not in names and (spec.python or spec.pip):
        specs.append(python_match_spec(spec.python))
    elif spec.python:
        # Both hold: `"python": "3.11"` beside a bare `python` among the dependencies.
        specs.append(python_match_spec(spec.python))
    if spec.pip and "pip" not in names:
        specs.append("pip")
    return tuple(dict.fromkeys(specs))


def pinned_constraints(spec: Spec) -> list[str]:
    """Return ``pinned`` as match specs: ``name ==version``, or ``name ==version build`` of ``version=build``."""
    return [
        f"{name} =={version.lstrip('=')} {build}".rstrip()
        for name, (version, _, build) in ((name, pin.lstrip("=").partition("=")) for name, pin in spec.pinned.items())
    ]


def python_match_spec(python: str | None) -> str:
    """Return the match spec of a spec's ``python``: ``3.11`` is any 3.11 (conda's fuzzy match), a range is itself."""
    if not python:
        return "python"
    return f"python ={python.removesuffix('.*')}" if python[0].isdigit() else f"python {python.replace(' ', '')}"


def wanted_python(spec: Spec) -> str | None:
    """Return the Python version or range that the spec asks for, in whichever of its places, or None."""
    if spec.python:
        return spec.python
    if "python" in spec.pinned:
        return spec.pinned["python"].lstrip("=").partition("=")[0]
    for match in spec.conda:
        if package_name(match) == "python" and (version := _version_part(match)):
            return version
    return None


def package_name(match: str) -> str:
    """Return the package name of a match spec, in lower case: ``root`` of ``conda-forge::root>=6``."""
    found = _NAME.match(match)
    return found["name"].lower() if found else match


def _version_part(match: str) -> str:
    """Return the version of a match spec without its build: ``=3.11`` of ``python=3.11=h12``."""
    found = _NAME.match(match)
    rest = found["rest"].strip() if found else ""
    inside = _IN_BRACKETS.search(rest)
    version = _VERSION.match(inside["version"] if inside else rest)
    return re.sub(r"\s", "", version[0]) if version else ""


def _local_specs(spec: Spec, base: LocalBase, platform: str) -> tuple[str, ...]:
    """Return what to take from this machine's channel, or raise ResolveError for what it does not have.

    Which interpreter that channel holds was chosen by ``wanted_python``; builds named in the spec are those of another
    channel's, and mean nothing here; versions hold.
    """
    available = _names_in_local_channel(base.url, platform)
    missing = [match for match in spec.conda if package_name(match) not in available | {"python", "pip"}]
    if missing:
        raise ResolveError(
            f"the spec asks for conda packages but names no channel to take them from: {', '.join(missing)}",
            hint='add "channels": ["conda-forge"], or move them to "pip"',
            context={"missing": " ".join(missing)},
        )
    asked = [_without_build(match) for match in spec.conda]
    specs = ["python", *asked, *(["pip"] if spec.pip else [])]
    # A base without pip is enough: uv, or our own pip, installs into it.
    return tuple(one for one in dict.fromkeys(specs) if one.partition(" ")[0] in available | {"python"})


def _without_build(match: str) -> str:
    """Return a match spec for this machine's channel; of pip there is one, which ``_warn_of_another_pip`` compares."""
    name, version = package_name(match), _version_part(match)
    if not version or name == "pip":
        return name
    return f"{name} ={version}" if version.replace(".", "").isdigit() else f"{name} {version}"


def _refuse_another_python(spec: Spec, base: LocalBase) -> None:
    for match in spec.conda:
        if package_name(match) == "python" and not _fits(_version_part(match), base.python_version):
            raise ResolveError(
                f"the spec asks for {match} and names no channel to take it from: Python {base.python_version} of this "
                "machine was chosen" + (f' by its "python": {spec.python}' if spec.python else ""),
                hint='ask for one version of Python, or add "channels": ["conda-forge"]',
            )


def _warn_of_another_pip(spec: Spec, records: Iterable[LockedConda], reporter: Reporter) -> None:
    """Say that this machine's pip is another one than the spec asks for: it matters to hardly any program."""
    packed = next((record.version for record in records if record.name == "pip"), None)
    for match in spec.conda:
        if packed is not None and package_name(match) == "pip" and not _fits(_version_part(match), packed):
            said = f"the spec asks for {match} and names no channel to take it from: pip {packed} is packed"
            reporter(Event("warning", "solve", said))


def _fits(asked: str, version: str) -> bool:
    """Tell whether a version is what a match spec asks for; what only conda's own syntax can say counts as yes."""
    plain = asked.lstrip("=").removesuffix(".*")
    try:
        wanted = SpecifierSet(f"=={plain}.*" if asked[:1] in "=0123456789" and not asked.startswith("==") else asked)
    except InvalidSpecifier:
        return True
    return not asked or wanted.contains(version, prereleases=True)


def _names_in_local_channel(url: str, platform: str) -> set[str]:
    root = Path(unquote(urlsplit(url).path))
    names: set[str] = set()
    for subdir in (platform, "noarch"):
        try:
            repodata = _json.loads((root / subdir / "repodata.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        for section in ("packages", "packages.conda"):
            names.update(record["name"] for record in repodata.get(section, {}).values())
    return names
