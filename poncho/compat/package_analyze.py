"""``ndcctools.poncho.package_analyze``: specs from Python, as JSON values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from poncho._arguments import as_path, several
from poncho.analysis import analyze
from poncho.errors import UsageError
from poncho.store import atomic_file
from poncho.store.outputs import check_kept

__all__ = ["create_spec", "create_spec_from_functions"]


def create_spec(
    filename: str | Path,
    out: str | Path | None = None,
    toplevel: bool = False,
    function: str | None = None,
    pkg_mapping: Mapping[str, str] | Iterable[str] | None = None,
    extra_pkg: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return the spec of a program: ``{"conda": {"channels": […], "dependencies": […]}}``.

    ``toplevel`` and ``function`` narrow what is looked at. ``pkg_mapping`` names packages by import, as a dict or as
    ``IMPORT=NAME`` strings; ``extra_pkg`` adds packages. With ``out`` the spec is also written to that file. Nothing of
    the program is run. Raises PonchoError.
    """
    path = filename if str(filename) == "-" else as_path(filename, "the program")
    out = None if out is None else as_path(out, "out")
    check_kept(out, path)
    analysis = analyze(
        [path], toplevel=toplevel, function=function, mapping=_mapping(pkg_mapping), extra=several(extra_pkg or ())
    )
    if out is not None:
        with atomic_file(out) as private:
            private.write_text(analysis.dumps(), encoding="utf-8")
    return analysis.document()


def create_spec_from_functions(
    func_list: Iterable[Callable[..., Any]] | Callable[..., Any], ship_local: bool = False
) -> dict[str, Any]:
    """Return the spec of what live functions need: their own imports, and what they reach.

    ``ship_local`` adds the program's own modules, as a wheel in the builder's cache. Raises PonchoError.
    """
    return analyze(func_list, ship_local=ship_local).document()


def _mapping(given: Mapping[str, str] | Iterable[str] | None) -> Mapping[str, str]:
    if given is None or isinstance(given, Mapping):
        return dict(given or {})
    mapping = {}
    for pair in several(given):
        name, equals, package = pair.partition("=")
        if not (name and equals and package):
            raise UsageError(f"pkg_mapping {pair!r} is not IMPORT=NAME", hint='for example ["ROOT=root"]')
        mapping[name] = package
    return mapping
