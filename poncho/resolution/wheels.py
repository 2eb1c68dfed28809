"""Choose among several wheels of one version that all fit: the one with the best tag, as pip and uv do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.tags import Tag, compatible_tags, cpython_tags, platform_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from poncho import _json
from poncho.engine.pip_tools import clean_environment, run_tool

_FACTS = (
    "import json, sys, sysconfig as s; threads = bool(s.get_config_var('Py_GIL_DISABLED'));"
    "print(json.dumps([list(sys.version_info[:2]), threads, sys.implementation.name]))"
)


def best_wheel(wheels: Sequence[Mapping[str, Any]], tags: Callable[[], Sequence[Tag]]) -> Mapping[str, Any]:
    """Return the wheel (a table with ``url`` or ``path``) whose tag the interpreter prefers; all of them fit.

    ``tags`` gives what the interpreter supports, the preferred first; it is called only when there is a choice.
    """
    if len(wheels) == 1:
        return wheels[0]
    rank = {tag: place for place, tag in enumerate(tags())}

    def place(wheel: Mapping[str, Any]) -> tuple[int, str]:
        name = filename(wheel)
        try:
            tags = parse_wheel_filename(name)[3]
        except InvalidWheelFilename:
            return len(rank), name
        return min((rank[tag] for tag in tags if tag in rank), default=len(rank)), name

    return min(wheels, key=place)


def filename(wheel: Mapping[str, Any]) -> str:
    """Return a wheel's file name from its ``name``, ``url`` or ``path``."""
    where = str(wheel.get("name") or wheel.get("path") or urlsplit(str(wheel["url"])).path)
    return unquote(where.rsplit("/", 1)[-1])


def supported_tags(python: Path, environ: Mapping[str, str]) -> list[Tag]:
    """Return the tags that an interpreter of this machine supports, the preferred first."""
    done = run_tool([str(python), "-I", "-B", "-c", _FACTS], env=clean_environment(environ), step=f"run {python}")
    version, free_threaded, implementation = _json.loads(done.stdout)
    platforms = list(platform_tags())
    if implementation != "cpython":
        return list(compatible_tags(version, platforms=platforms))
    return python_tags(version, platforms, free_threaded=free_threaded)


def python_tags(version: Sequence[int], platforms: Sequence[str], *, free_threaded: bool = False) -> list[Tag]:
    """Return the tags that CPython ``version`` (major, minor) supports on ``platforms``, the preferred first."""
    name = f"cp{version[0]}{version[1]}"
    abi = name + ("t" if free_threaded else "")
    return [*cpython_tags(version, [abi], platforms), *compatible_tags(version, name, platforms)]
