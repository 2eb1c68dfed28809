"""Read what is to be analysed: files, directories, packages, notebooks, standard input, texts."""

from __future__ import annotations

import io
import os
import re
import stat
import sys
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from poncho._home import working_directory
from poncho.analysis import disk
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
# Directories in which projects keep their packages.
_LAYOUTS = frozenset({"src", "lib", "python"})
# Specs and lists of packages, in every form that can be built from.
_SPEC = re.compile(r".*\.(?:json|ya?ml|toml|lock)|.*(?:requirements|constraints).*\.txt")
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
    one of them that importing or running the package does not run by itself; ``named`` tells a source that was asked
    for itself from the files of a directory and the modules that are followed. ``kept`` is False where the text was read
    and let go (see ``text_of``).
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
    named: bool = True
    kept: bool = True

    @property
    def is_notebook(self) -> bool:
        """Tell whether the text is a notebook's JSON."""
        return self.path is not None and self.path.suffix == ".ipynb"


def read_sources(
    sources: Sequence[str | os.PathLike[str] | SourceText],
    problems: list[Problem],
    *,
    stdin: str | None,
    paths: tuple[Path, ...],
) -> Iterator[Unit]:
    """Yield the units that ``sources`` stand for; files that could not be read go to ``problems``.

    One by one: a text that was read a moment ago is looked through faster than one of thousands in memory.
    ``paths`` are the PYTHONPATH's directories. Raises AnalysisError for a named source that is not there or cannot be read.
    """
    here = working_directory()
    for source in sources:
        if isinstance(source, SourceText) or (isinstance(source, str) and "\n" in source):
            text = source if isinstance(source, SourceText) else SourceText(source)
            yield Unit(text.name, clean(text.text), None, (here, *paths), fragment=True)
        elif source == "-":
            text_in = stdin if stdin is not None else _standard_input()
            yield Unit("<stdin>", clean(text_in), None, (here, *paths), fragment=True)
        else:
            yield from _from_path(Path(source), paths, problems)


def _standard_input() -> str:
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:
        return sys.stdin.read() if sys.stdin else ""
    return decode(stream.read())


def _from_path(path: Path, paths: tuple[Path, ...], problems: list[Problem]) -> Iterator[Unit]:
    try:
        if not path.is_dir():
            _refuse_spec(path)
            unit = unit_of_file(path, paths)
            if unit.is_notebook:
                _check_notebook(path, unit.text)
            yield unit
            return
    except UnreadableError as error:
        if error.damaged:
            problems.append(Problem(Place(str(path), 1), str(error)))
            return
        raise _unreadable(path, str(error)) from error
    except OSError as error:
        raise _unreadable(path, str(error.strerror)) from error
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


def _check_notebook(path: Path, text: str) -> None:
    """Refuse a notebook that was named and is damaged; one in another language is told like a file that is no source."""
    from poncho.analysis.notebook import NotANotebookError, OtherLanguageError, read_cells

    try:
        read_cells(text)
    except OtherLanguageError as error:
        raise UnreadableError(str(error), damaged=True) from error
    except NotANotebookError as error:
        hint = "open it in Jupyter and save it again; Python source is named .py"
        raise AnalysisError(f"cannot read {path}: {error}", hint=hint, context={"file": str(path)}) from error


def _unreadable(path: Path, why: str) -> AnalysisError:
    hint = "check the path, and whether you may read it"
    return AnalysisError(f"cannot read {path}: {why}", hint=hint, context={"file": str(path)})


def _refuse_spec(path: Path) -> None:
    """Refuse a file that lists packages: most of them read as Python that imports nothing, and the spec would be empty."""
    if path.is_file() and _SPEC.fullmatch(path.name):
        project = f"; to analyse the project, name {path.parent}" if path.name == "pyproject.toml" else ""
        raise AnalysisError(
            f"{path} is no program",
            hint=f"a spec, or a list of packages, is built from: poncho_package_create {path} env.tar.gz{project}",
            context={"file": str(path)},
        )


def _files_below(top: Path) -> Iterator[tuple[str, Tier]]:
    """Yield the ``.py`` files and notebooks below a directory, sorted, and the tier that their place allows."""
    if not os.access(top, os.R_OK | os.X_OK):
        raise _unreadable(top, "Permission denied")
    for directory, folders, files in disk.walk(str(top)):
        here = Path(directory)
        folders[:] = [name for name in folders if _is_source(name, os.path.join(directory, name))]
        inside = here.relative_to(top).parts
        in_folder = _ASIDE_FOLDERS.intersection(inside)
        start = str(here / "_")[:-1]
        for name in files:
            if name.endswith((".py", ".pyw", ".ipynb")) and not name.startswith("."):
                # A plug-in for pytest that is one file is the program itself.
                named = _ASIDE_FILE.fullmatch(name) and (inside or not name.startswith("pytest_"))
                aside = bool(named or in_folder)
                yield start + name, Tier.OPTIONAL if aside else Tier.REQUIRED


def _is_source(name: str, folder: str) -> bool:
    """Tell whether a directory may hold the program's own code: no environment, no build, nothing hidden."""
    return (
        not name.startswith(".")
        and not name.endswith((".egg-info", ".dist-info"))
        and (name not in _SKIPPED or disk.has(folder, "__init__.py"))
        and not disk.has(folder, "pyvenv.cfg")
        and not disk.has(folder, "conda-meta")
    )


def unit_of_file(
    path: Path | str, paths: tuple[Path, ...], *, cap: Tier = Tier.REQUIRED, top: Path | None = None, entry: bool = True
) -> Unit:
    """Return the unit of one file. Raises UnreadableError."""
    text = read_text(path)
    folder, name = os.path.split(path)
    here = _folder(folder, None if top is None else str(top), paths)
    inside = here.plugged or (bool(here.near) and (top is not None or not entry))
    first = here.outermost and os.path.splitext(name)[0] in _FIRST
    return Unit(
        label=str(path),
        text=text,
        path=here.path / name,
        roots=here.roots,
        near=here.near,
        cap=cap,
        entry=entry,
        inside=inside,
        inner=inside and top is not None and not first,
        named=entry and top is None,
    )


@dataclass(frozen=True, slots=True)
class _Folder:
    """What the files of a directory have in common; ``outermost``: it is a package that is in no other."""

    path: Path
    roots: tuple[Path, ...]
    near: tuple[Path, ...]
    plugged: bool
    outermost: bool


@disk.once
def _folder(folder: str, top: str | None, paths: tuple[Path, ...]) -> _Folder:
    absolute = os.path.abspath(folder)
    roots, near = _roots(absolute, top, paths)
    plugged = top is not None and _is_plugged_in(str(roots[0]), top)
    return _Folder(Path(absolute), roots, near, plugged, not plugged and os.path.dirname(absolute) == str(roots[0]))


def _roots(folder: str, top: str | None, paths: tuple[Path, ...]) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Return the roots and the near directories of the files in a directory; the package's root is the first."""
    package_root = Path(folder)
    while disk.is_file(package_root / "__init__.py") and package_root.parent != package_root:
        package_root = package_root.parent
    roots = [package_root]
    if top is not None:
        base = Path(os.path.abspath(top))
        if not disk.is_file(base / "__init__.py"):
            roots += [base, base / "src"]
    near = (Path(folder),) if str(package_root) != folder else ()
    return tuple(dict.fromkeys((*roots, *paths))), near


def text_of(unit: Unit) -> str:
    """Return a unit's text, read again if it was let go; empty where the file is no more."""
    if unit.kept or unit.path is None:
        return unit.text
    try:
        return read_text(unit.path)
    except UnreadableError:
        return ""


@disk.once
def _is_plugged_in(root: str, top: str) -> bool:
    """Tell whether a directory below ``top`` is a namespace beside the program's own packages: what plug-ins fill.

    It has no ``__init__`` and holds packages, and nothing of it is loaded but by name.
    """
    base = os.path.abspath(top)
    if os.path.dirname(root) != base or os.path.basename(root) in _LAYOUTS or not os.path.basename(root).isidentifier():
        return False
    return _holds_packages(root) and _holds_packages(base)


def _holds_packages(folder: str) -> bool:
    entries = disk.listing(folder).items()
    return any(is_a != "f" and disk.is_file(Path(folder, name, "__init__.py")) for name, is_a in entries)


class UnreadableError(Exception):
    """A file that gives no text; ``damaged`` tells content from access."""

    def __init__(self, message: str, *, damaged: bool) -> None:
        super().__init__(message)
        self.damaged = damaged


def read_text(path: str | os.PathLike[str]) -> str:
    """Return a source file's text as Python decodes it (PEP 263, a wrong cookie forgiven). Raises UnreadableError."""
    return decode(read_bytes(path))


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Return what is in a regular file, at most 64 MiB and a byte. Raises UnreadableError."""
    try:
        # O_NONBLOCK: opening a pipe nobody writes to must not wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableError("it is no regular file", damaged=False)
            data = os.read(descriptor, min(status.st_size, _MOST_BYTES) + 1)
            if len(data) < status.st_size <= _MOST_BYTES:
                with os.fdopen(os.dup(descriptor), "rb") as stream:
                    data += stream.read(_MOST_BYTES)
            return data
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UnreadableError(error.strerror or str(error), damaged=False) from error


def decode(data: bytes) -> str:
    """Return the text of Python source. Raises UnreadableError for what is binary or larger than 64 MiB."""
    if len(data) > _MOST_BYTES:
        raise UnreadableError("larger than 64 MiB: this is no source", damaged=True)
    head = data[:4096]
    if b"\0" in head and head[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        raise UnreadableError("binary data, not Python source", damaged=True)
    try:
        # A cookie counts on the first two lines only, which hardly ever have one.
        cookie = b"coding" in head and b"coding" in b"".join(head.split(b"\n", 2)[:2])
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0] if cookie else "utf-8"
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
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        text = text.replace("\0", " ")
    return text.removeprefix("\ufeff")
