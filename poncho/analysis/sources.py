"""Read what is to be analysed: files, directories, packages, notebooks, standard input, texts."""

from __future__ import annotations

import io
import os
import re
import sys
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from poncho.analysis.model import Place, Problem, Tier
from poncho.errors import AnalysisError

_SKIPPED = frozenset(
    {"__pycache__", "node_modules", "site-packages", "dist-packages", "build", "dist", "venv", "env", "__pypackages__"}
)
# In a tree these are about the program, not of it.
_ASIDE_FOLDERS = frozenset(
    {"test", "tests", "_tests", "testing", "testutils", "doc", "docs", "example", "examples", "benchmark", "benchmarks"}
)
_ASIDE_FILE = re.compile(
    r"(?:setup|conftest|noxfile|tasks|fabfile|hatch_build|pytest_\w+|\w+_pytest|_?test(?:ing|utils?)?_?\w*|\w+_test)\.py"
)
# What runs first in a package: on import, and by ``python -m``.
_FIRST = frozenset({"__init__", "__main__"})
_MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SourceText:
    """Python source that is in no file; ``name`` stands for it in messages."""

    text: str
    name: str = "<text>"


@dataclass(frozen=True, slots=True)
class Unit:
    """One text to analyse.

    ``roots`` are the directories in which its absolute imports find the program's own modules, ``near`` further ones
    that are asked only after the environment; ``cap`` is the surest tier that its imports can have; ``fragment``
    marks text that may be cut out of a file. ``inside`` marks a package's module that was not named itself, ``inner``
    one of them that importing or running the package does not run by itself.
    """

    label: str
    text: str
    path: Path | None
    roots: tuple[Path, ...]
    near: tuple[Path, ...] = ()
    cap: Tier = Tier.REQUIRED
    entry: bool = True
    fragment: bool = False
    inside: bool = False
    inner: bool = False

    @property
    def is_notebook(self) -> bool:
        """Tell whether the text is a notebook's JSON."""
        return self.path is not None and self.path.suffix == ".ipynb"


def read_sources(
    sources: Sequence[str | os.PathLike[str] | SourceText], *, stdin: str | None, paths: tuple[Path, ...]
) -> tuple[list[Unit], list[Problem]]:
    """Return the units that ``sources`` stand for, and the files that could not be read.

    ``paths`` are the PYTHONPATH's directories. Raises AnalysisError for a named source that is not there or cannot be
    read.
    """
    units: list[Unit] = []
    problems: list[Problem] = []
    here = Path.cwd()
    for source in sources:
        if isinstance(source, SourceText) or (isinstance(source, str) and "\n" in source):
            text = source if isinstance(source, SourceText) else SourceText(source)
            units.append(Unit(text.name, clean(text.text), None, (here, *paths), fragment=True))
        elif source == "-":
            text_in = stdin if stdin is not None else _standard_input()
            units.append(Unit("<stdin>", clean(text_in), None, (here, *paths), fragment=True))
        else:
            units.extend(_from_path(Path(source), paths, problems))
    return units, problems


def _standard_input() -> str:
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:
        return sys.stdin.read() if sys.stdin else ""
    return decode(stream.read(), "<stdin>")


def _from_path(path: Path, paths: tuple[Path, ...], problems: list[Problem]) -> Iterator[Unit]:
    try:
        is_directory = path.is_dir()
        if not is_directory:
            yield unit_of_file(path, paths)
            return
    except UnreadableError as error:
        if error.damaged:
            problems.append(Problem(Place(str(path), 1), str(error)))
            return
        raise AnalysisError(f"cannot read {path}: {error}", context={"file": str(path)}) from error
    except ValueError as error:  # a NUL in the name
        raise AnalysisError(f"cannot read {str(path)!r}: {error}") from error
    found = False
    for file, cap in _files_below(path):
        found = True
        try:
            yield unit_of_file(file, paths, cap=cap, top=path)
        except UnreadableError as error:
            problems.append(Problem(Place(str(file), 1), str(error)))
    if not found:
        raise AnalysisError(
            f"{path} holds no Python file",
            hint="name a directory with .py files or notebooks in it",
            context={"file": str(path)},
        )


def _files_below(top: Path) -> Iterator[tuple[Path, Tier]]:
    """Yield the ``.py`` files and notebooks below a directory, sorted, and the tier that their place allows."""
    if not os.access(top, os.R_OK | os.X_OK):
        raise AnalysisError(f"cannot read {top}: Permission denied", context={"file": str(top)})
    for directory, folders, files in os.walk(top):
        here = Path(directory)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and (name not in _SKIPPED or (here / name / "__init__.py").exists())
            and not name.endswith((".egg-info", ".dist-info"))
            and not (here / name / "pyvenv.cfg").exists()
            and not (here / name / "conda-meta").exists()
        )
        inside = here.relative_to(top).parts
        for name in sorted(files):
            if name.endswith((".py", ".pyw", ".ipynb")) and not name.startswith("."):
                # A plug-in for pytest that is one file is the program itself.
                named = _ASIDE_FILE.fullmatch(name) and (inside or not name.startswith("pytest_"))
                aside = bool(named or _ASIDE_FOLDERS.intersection(inside))
                yield here / name, Tier.OPTIONAL if aside else Tier.REQUIRED


def unit_of_file(
    path: Path, paths: tuple[Path, ...], *, cap: Tier = Tier.REQUIRED, top: Path | None = None, entry: bool = True
) -> Unit:
    """Return the unit of one file. Raises UnreadableError."""
    text = read_text(path)
    absolute = Path(os.path.abspath(path))
    folder = absolute.parent
    package_root = folder
    while (package_root / "__init__.py").is_file() and package_root.parent != package_root:
        package_root = package_root.parent
    roots = [package_root]
    if top is not None:
        base = Path(os.path.abspath(top))
        if not (base / "__init__.py").is_file():
            roots += [base, base / "src"]
    near = (folder,) if package_root != folder else ()
    inside = bool(near) and (top is not None or not entry)
    inner = inside and top is not None and not (folder.parent == package_root and path.stem in _FIRST)
    unit = Unit(str(path), text, absolute, tuple(dict.fromkeys((*roots, *paths))), near, cap, entry)
    return replace(unit, inside=inside, inner=inner)


class UnreadableError(Exception):
    """A file that gives no text; ``damaged`` tells content from access."""

    def __init__(self, message: str, *, damaged: bool) -> None:
        super().__init__(message)
        self.damaged = damaged


def read_text(path: Path) -> str:
    """Return a source file's text as Python decodes it (PEP 263, a wrong cookie forgiven). Raises UnreadableError."""
    try:
        if not path.is_file() and path.exists():
            raise UnreadableError("it is no regular file", damaged=False)
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UnreadableError(error.strerror or str(error), damaged=False) from error
    return decode(data, str(path))


def decode(data: bytes, name: str) -> str:
    """Return the text of Python source. Raises UnreadableError for what is binary or larger than 64 MiB."""
    if len(data) > _MOST_BYTES:
        raise UnreadableError("larger than 64 MiB: this is no source", damaged=True)
    head = data[:4096]
    if b"\0" in head and head[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        raise UnreadableError("binary data, not Python source", damaged=True)
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
    except (SyntaxError, LookupError, UnicodeDecodeError, ValueError):
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            # Latin-1 takes every byte: names of modules are ASCII all the same.
            text = data.decode("latin-1")
            if sum(ord(char) < 32 and char not in "\t\n\r\f" for char in text[:4096]) > 8:
                raise UnreadableError("binary data, not Python source", damaged=True) from None
    return clean(text)


def clean(text: str) -> str:
    """Return text with plain line ends, without a byte order mark and NULs, which no parser takes."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\0", " ")
