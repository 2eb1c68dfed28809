"""What of an environment need not travel, by kind; the rules are in ``docs/create.md``.

static   archives to link with: ``*.a``, ``*.la``
headers  ``include/``, headers inside Python packages, files for CMake and pkg-config
tests    test suites of Python packages and of the standard library that nothing else imports
docs     manuals: ``share/doc``, ``share/man``, ``share/info``, ``doc`` directories without code
debug    sections of programs and libraries that are not loaded: debugging information, local symbols
pycache  ``.pyc`` files of other interpreters, of ``-O``, and beside a source that has one in ``__pycache__``

Licences always stay. What is needed at run time by a program that compiles (a just-in-time compiler reads headers) stays.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from typing import get_args

from poncho.base.elf import debug_cut
from poncho.errors import UsageError
from poncho.pack.editable import normalise
from poncho.pack.model import Entry, TrimKind, Trimmed
from poncho.pack.owners import Owners
from poncho.pack.trim_tests import unused_tests

KINDS: tuple[TrimKind, ...] = get_args(TrimKind)

_LICENCE = re.compile(r"(?i)(?:^|/)(?:licen[sc]es?/|[^/]*(?:licen[sc]e|copying|copyright|notice|eula|authors)[^/]*$)")
_STATIC = re.compile(r"\.l?a\Z")
_HEADERS = re.compile(
    r"include/|(?:lib|share)/(?:cmake|pkgconfig|aclocal)/"
    r"|(?:lib|lib64)/python[^/]+/site-packages/(?:.+/)?(?:(?:lib|share)/cmake/|[^/]+\.(?:h|hh|hpp|hxx|h\+\+|cuh|pxd|pxi)\Z)"
)
_DOCS = re.compile(r"(?:share/)?(?:docs?|man|info|gtk-doc)/")
_DOC_DIRECTORY = re.compile(r"((?:lib|lib64)/python[^/]+/site-packages/.+?/(?:docs?|man))/")
_CODE = (".py", ".so", ".pyi", ".pyc")
_PYC = re.compile(
    r"lib(?:64)?/python(?P<version>3\.\d+)t?/(?:.+/)?__pycache__/[^/]+?\.(?P<tag>[a-z]+-\d+)(?P<opt>\.opt-\d)?\.pyc\Z"
)
_LIBRARY = re.compile(r"\.so(?:\.[0-9.]+)?\Z")
# They compile while they run, or are there to compile with.
_COMPILERS = re.compile(
    r"(?:root|root-base|cling|xeus-cling|cppyy.*|clang.*|gcc.*|gxx.*|gfortran.*|compilers|(?:c|cxx|fortran|cuda)-compiler"
    r"|cuda-nvcc.*|cupy.*|pycuda|pyopencl|warp-lang|torch|pytorch|triton|cython|pybind11|nanobind|pythran)\Z"
)


def parse_kinds(text: str) -> frozenset[TrimKind]:
    """Return the kinds in ``tests,docs``; ``all`` is all of them. Raises UsageError for a word that is none."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if "all" in words:
        words = [word for word in words if word != "all"] + list(KINDS)
    unknown = [word for word in words if word not in KINDS]
    if unknown or not words:
        raise UsageError(
            f"--trim={text}: {unknown[0] if unknown else 'nothing'} to trim",
            hint=f"use all, or some of {','.join(KINDS)}",
        )
    return frozenset(kind for kind in KINDS if kind in words)


def trim(by_path: dict[str, Entry], owners: Owners, kinds: frozenset[TrimKind]) -> tuple[Trimmed, set[str]]:
    """Take what need not travel out of ``by_path`` and set the cuts of ELF files; return the report and the paths gone."""
    kept: list[str] = []
    compilers = sorted({p.name for p in owners.packages if _COMPILERS.match(normalise(p.name))})
    if compilers and kinds & {"headers", "static"}:
        kept.append(
            f"headers, static: {', '.join(compilers[:3])} compile{'s' if len(compilers) == 1 else ''} with them"
        )
        kinds -= {"headers", "static"}
    gone: dict[str, TrimKind] = {}
    for kind, found in _RULES.items():
        if kind in kinds:
            for path in found(by_path, kept):
                if not _LICENCE.search(path):
                    gone.setdefault(path, kind)
    _links_to(gone, by_path)
    saved = {kind: [0, 0] for kind in KINDS if kind in kinds}
    for path, kind in gone.items():
        saved[kind][0] += 1
        saved[kind][1] += by_path.pop(path).size
    if "debug" in kinds:
        for entry in by_path.values():
            if cut := _cut(entry):
                saved["debug"][0] += 1
                saved["debug"][1] += cut
    return Trimmed({kind: (files, size) for kind, (files, size) in saved.items()}, tuple(kept)), set(gone)


def _pycache(by_path: Mapping[str, Entry], kept: list[str]) -> Iterable[str]:
    for path in by_path:
        if not path.endswith(".pyc"):
            continue
        match = _PYC.match(path)
        if match:
            if match["opt"] or match["tag"] != f"cpython-{match['version'].replace('.', '')}":
                yield path
        elif "__pycache__/" not in path and path[:-1] in by_path:
            yield path


def _static(by_path: Mapping[str, Entry], kept: list[str]) -> Iterable[str]:
    return (path for path in by_path if _STATIC.search(path))


def _headers(by_path: Mapping[str, Entry], kept: list[str]) -> Iterable[str]:
    return (path for path in by_path if _HEADERS.match(path))


def _tests(by_path: Mapping[str, Entry], kept: list[str]) -> Iterable[str]:
    directories, used = unused_tests(by_path)
    if used:
        named = ", ".join(used[:4]) + (f" and {len(used) - 4} more" if len(used) > 4 else "")
        kept.append(f"tests: {named}, which other code uses")
    return (path for path in by_path if _below(path, directories))


def _docs(by_path: Mapping[str, Entry], kept: list[str]) -> Iterable[str]:
    inside = {match[1] for path in by_path if (match := _DOC_DIRECTORY.match(path))}
    with_code = {match[1] for path in by_path if (match := _DOC_DIRECTORY.match(path)) and path.endswith(_CODE)}
    plain = frozenset(inside - with_code)
    return (path for path in by_path if _DOCS.match(path) or _below(path, plain))


_RULES: Mapping[TrimKind, Callable[[Mapping[str, Entry], list[str]], Iterable[str]]] = {
    "pycache": _pycache,
    "static": _static,
    "tests": _tests,
    "docs": _docs,
    "headers": _headers,
}


def _below(path: str, directories: frozenset[str]) -> bool:
    at = path.find("/")
    while at >= 0:
        if path[:at] in directories:
            return True
        at = path.find("/", at + 1)
    return False


def _links_to(gone: dict[str, TrimKind], by_path: Mapping[str, Entry]) -> None:
    """Let links go with what they lead to."""
    if not gone:
        return
    left = {path for path in by_path if path not in gone}
    directories = {parent for path in left for parent in _parents(path)}
    before = {parent: kind for path, kind in gone.items() for parent in _parents(path)}
    for path, entry in by_path.items():
        if entry.link is not None and path not in gone and not _LICENCE.search(path):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), entry.link))
            if target in gone:
                gone[path] = gone[target]
            elif target in before and target not in directories:
                gone[path] = before[target]


def _parents(path: str) -> Iterable[str]:
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)


def _cut(entry: Entry) -> int:
    """Set an ELF file's cut; return how many bytes it saves."""
    if entry.source is None or not (entry.mode & 0o100 or _LIBRARY.search(entry.path)):
        return 0
    try:
        fd = os.open(entry.source, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0  # reading it for the archive names the trouble
    try:
        cut = debug_cut(lambda offset, size: os.pread(fd, size, offset), entry.size)
    except OSError:
        return 0
    finally:
        os.close(fd)
    if cut is None:
        return 0
    saved = entry.size - cut.size
    entry.cut, entry.size = cut, cut.size
    return saved
