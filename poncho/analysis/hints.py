"""What no statement imports and a program may need all the same: back-ends, engines, doctests, string annotations.

All of it is guessed from names, so it is never more than a hint.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache

from poncho.analysis.model import Import, Tier
from poncho.analysis.rare import has, places
from poncho.analysis.traps import CALLS, SCHEMES

# ``engine=`` of pandas (read_*, to_*, eval) and of xarray (open_dataset, open_mfdataset, to_netcdf) → import.
ENGINES: dict[str, str] = {
    "calamine": "python_calamine",
    "cfgrib": "cfgrib",
    "fastparquet": "fastparquet",
    "h5netcdf": "h5netcdf",
    "netcdf4": "netCDF4",
    "numba": "numba",
    "numexpr": "numexpr",
    "odf": "odf",
    "openpyxl": "openpyxl",
    "pyarrow": "pyarrow",
    "pydap": "pydap",
    "pyxlsb": "pyxlsb",
    "rasterio": "rioxarray",
    "xlrd": "xlrd",
    "xlsxwriter": "xlsxwriter",
    "zarr": "zarr",
}
# The argument of ``matplotlib.use`` and ``switch_backend``, in small letters → import. Those that need nothing beside
# matplotlib (agg, svg, pdf, tkagg …) are not here.
BACKENDS: dict[str, str] = {
    "gtk3agg": "gi",
    "gtk3cairo": "gi",
    "gtk4agg": "gi",
    "gtk4cairo": "gi",
    "cairo": "cairo",
    "ipympl": "ipympl",
    "module://ipympl.backend_nbagg": "ipympl",
    "module://matplotlib_inline.backend_inline": "matplotlib_inline",
    "inline": "matplotlib_inline",
    "qt": "PyQt6",
    "qt5": "PyQt5",
    "qt5agg": "PyQt5",
    "qt5cairo": "PyQt5",
    "qt6": "PyQt6",
    "qtagg": "PyQt6",
    "qtcairo": "PyQt6",
    "webagg": "tornado",
    "widget": "ipympl",
    "wx": "wx",
    "wxagg": "wx",
    "wxcairo": "wx",
}
_USES = frozenset({"use", "switch_backend"})
_SCHEMES = tuple(SCHEMES)
_LONGEST_SCHEME = max(map(len, _SCHEMES))
# Patterns that begin with plain characters are searched for as fast as the first of them is.
_METHODS = "|".join(sorted({name.rpartition("_")[2] for name in CALLS}))
_METHOD = re.compile(rf"_(?:{_METHODS})\b")
# Names of these endings are looked for in one go: find_spec and run_module, too.
_ENDING = re.compile(rf"_(?:{_METHODS}|spec|module)\b")
_ENGINE = re.compile("gine(?<=engine) ?=")
_DOCTEST = re.compile(r">>> ((?:import|from)[ \t].*)")
_SIMPLE = re.compile(r"from ([A-Za-z_]\w*(?:\.\w+)*) import (\w+(?:, ?\w+)*)")
_BINDS = re.compile(r"(?:^|\n|[,(;]|\bimport|\bas|\bdef|\bclass|\bself\.)[ \t]*$")
_DOTTED = r"([A-Za-z_]\w*(?:\.\w+)+)(?:\[[\w., \[\]]*\])?"
# A quick pattern for how a string with a dotted name begins, and the whole of it.
_ANNOTATED = tuple(
    (re.compile(rf"{quote}[A-Za-z_]\w*\."), re.compile(f"{quote}{_DOTTED}{quote}")) for quote in ('"', "'")
)


def has_endings(text: str) -> bool:
    """Tell whether a text has a name that ends as ``read_excel`` and others that hint do, ``find_spec`` or ``run_module``."""
    return _ENDING.search(text) is not None


def may_hint(text: str, *, endings: bool = True) -> bool:
    """Tell, quickly, whether the strings and calls of a text can hint at anything; ``endings`` is False for a text of which
    ``has_endings`` is known to be."""
    return (
        may_address(text)
        or (endings and _METHOD.search(text) is not None)
        or _ENGINE.search(text) is not None
        or (is_plotting(text) and (".use(" in text or "switch_backend" in text))
    )


def may_address(text: str) -> bool:
    """Tell whether an address of one of the schemes may be in a text."""
    return any(
        text[max(0, position + 3 - _LONGEST_SCHEME) : position + 3].endswith(_SCHEMES)
        for position in places(text, "://", "/")
    )


def is_plotting(text: str) -> bool:
    """Tell whether a text mentions matplotlib."""
    return "matplotlib" in text


def address_hints(text: str) -> Iterator[tuple[str, str]]:
    """Yield the import and the reason for what the beginning of a string says."""
    for scheme, module in SCHEMES.items():
        if text.startswith(scheme):
            yield module, f"a {scheme} address"


def call_hints(node: ast.Call, *, plots: bool) -> Iterator[tuple[str, str]]:
    """Yield the import and the reason for what a call's name and literal arguments say.

    ``plots`` tells that the text is about matplotlib, whose ``use`` chooses a back-end.
    """
    name = getattr(node.func, "attr", "")
    if name in CALLS:
        yield CALLS[name], f"a call of {name}"
    elif plots and name in _USES and node.args and (backend := _text(node.args[0]).lower()) in BACKENDS:
        yield BACKENDS[backend], f"the back-end {backend} of matplotlib"
    for keyword in node.keywords:
        if keyword.arg == "engine" and (engine := _text(keyword.value).lower()) in ENGINES:
            yield ENGINES[engine], f"engine={engine}"


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def text_hints(text: str) -> Iterator[Import]:
    """Yield what doctests import, and the modules that string annotations name and nothing in the text binds."""
    if has(text, ">>> ", ">") and (">>> import " in text or ">>> from " in text):
        line, last = 1, 0
        for found in _DOCTEST.finditer(text):
            line, last = line + text.count("\n", last, found.start()), found.start()
            yield from _of_doctest(found.group(1).strip(), line)
    bound: dict[str, bool] = {}
    for begins, pattern in _ANNOTATED:
        line, last = 1, 0
        for begun in begins.finditer(text):
            position = _annotates(text, begun.start())
            whole = pattern.match(text, begun.start()) if position >= 0 else None
            if whole is None or not _is_annotation(text, position):
                continue
            root, _, _ = whole.group(1).partition(".")
            if root not in bound:
                bound[root] = _bound(root, text)
            if not bound[root]:
                line, last = line + text.count("\n", last, position), position
                module = whole.group(1).rpartition(".")[0]
                yield Import(module, (), 0, Tier.TYPE_CHECKING, line, "in a string annotation")


def _annotates(text: str, quote: int) -> int:
    """Return where the ``:``, ``->`` or ``[`` before a string is; -1 if there is none."""
    position = quote - 1
    while position >= 0 and text[position] in " \t":
        position -= 1
    if position >= 0 and text[position] in ":[":
        return position
    return position - 1 if position > 0 and text[position - 1 : position + 1] == "->" else -1


def _of_doctest(statement: str, line: int) -> Iterator[Import]:
    for module, names in _imported(statement):
        yield Import(module, names, 0, Tier.HINT, line, "in a doctest")


@lru_cache(maxsize=4096)
def _imported(statement: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return ``(module, names)`` of an absolute import; nothing for what is none."""
    if found := _SIMPLE.fullmatch(statement):
        return ((found.group(1), tuple(found.group(2).replace(" ", "").split(","))),)
    try:
        body = ast.parse(statement).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    imported: list[tuple[str, tuple[str, ...]]] = []
    for one in body:
        if isinstance(one, ast.Import):
            imported += [(alias.name, ()) for alias in one.names]
        elif isinstance(one, ast.ImportFrom) and one.module and not one.level:
            imported.append((one.module, tuple(alias.name for alias in one.names)))
    return tuple(imported)


def _bound(name: str, text: str) -> bool:
    """Tell whether a text seems to define a name: imports, assigns, or defines it anywhere."""
    return any(
        _BINDS.search(text[max(0, found.start() - 40) : found.start()])
        for found in re.finditer(rf"{name}\b(?![ \t]*\.\w+['\"])", text)
    )


def _is_annotation(text: str, position: int) -> bool:
    """Tell an annotation from an entry of a dict or a slice: ``-> "…"``, or a name before the colon in a signature or
    at the start of a statement."""
    start = text.rfind("\n", 0, position) + 1
    before = text[start:position]
    if text.startswith("->", position):
        return True
    if text[position] == "[":
        return re.search(r"(?:->|:)[ \t]*[\w.]+$", before) is not None
    if re.search(r"['\"#{]", before) or re.match(r"[ \t]*(?:if|elif|else|for|while|with|lambda|return)\b", before):
        return False
    return re.search(r"(?:^[ \t]*|[(,][ \t]*\*{0,2})[A-Za-z_][\w.]*[ \t]*$", before) is not None
