"""Sources that are one file: zipapps, wheels, eggs, zip files and tarballs of source distributions.

Their Python files, and the metadata that says what they need, are unpacked into a private directory for as long as the
analysis lasts; all places are named as if the archive were a directory (``app.pyz/pkg/module.py:3``). Nothing of an
archive can be written outside of that directory, whatever its members are called.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from poncho.analysis.model import Place, Problem
from poncho.errors import AnalysisError

if TYPE_CHECKING:
    import tarfile

_ZIPS = (".pyz", ".zip", ".egg", ".whl")
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_SOURCES = (".py", ".pyw", ".ipynb")
_EXTENSIONS = (".so", ".pyd")
_METADATA = re.compile(
    r"(?:METADATA|PKG-INFO|requires\.txt|pyproject\.toml|setup\.cfg|top_level\.txt|[\w.-]*requirements?[\w.-]*\.(?:txt|in))"
)
# Where shiv and pex keep the distributions that travel with a program.
_BUNDLES = {"site-packages", ".deps"}
_MOST_FILES = 200_000
_MOST_BYTES = 1024 * 1024 * 1024
_MOST_OF_ONE = 64 * 1024 * 1024
_TAIL = 66_000


@dataclass(slots=True)
class Unpacked:
    """The archives among some sources: where each lies, how its files are called, what travels inside."""

    sources: list[Any]
    names: list[tuple[str, str]]
    bundled: frozenset[str] = frozenset()

    def text(self, text: str) -> str:
        """Return a text with the private directories called as the archives are."""
        for directory, name in self.names:
            text = text.replace(directory, name)
        return text

    def place(self, place: Place) -> Place:
        """Return a place called as people know it."""
        return place._replace(file=self.text(place.file))

    def problem(self, problem: Problem) -> Problem:
        """Return a problem with its place called as people know it."""
        return Problem(self.place(problem.place), self.text(problem.message))

    def holds(self, path: Path) -> bool:
        """Tell whether a file is one of an archive: it travels with it."""
        return any(str(path).startswith(f"{directory}{os.sep}") for directory, _ in self.names)


def is_archive(path: Path) -> bool:
    """Tell whether a path is an archive of Python code: by its name, or (a zipapp may have any) by its end."""
    name = path.name.lower()
    if name.endswith(_SOURCES) or not os.path.isfile(path):  # Path.is_file raises where it may not look
        return False
    if name.endswith((*_ZIPS, *_TARS)):
        return True
    try:
        with path.open("rb") as stream:
            if stream.read(2) not in (b"#!", b"PK"):
                return False
            stream.seek(max(0, path.stat().st_size - _TAIL))
            return b"PK\x05\x06" in stream.read()
    except OSError:
        return False


@contextmanager
def unpacked(sources: Sequence[Any]) -> Iterator[Unpacked]:
    """Give the sources with each archive among them replaced by a directory; it is gone afterwards.

    Raises AnalysisError for an archive that is damaged, encrypted, too large, or a package that is no program.
    """
    archives = [
        one for one in sources if isinstance(one, (str, os.PathLike)) and _is_path(one) and is_archive(Path(one))
    ]
    if not archives:
        yield Unpacked(list(sources), [])
        return
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="poncho-analyze-") as private:
        result = Unpacked([], [])
        bundled: set[str] = set()
        for number, one in enumerate(sources):
            if one not in archives:
                result.sources.append(one)
                continue
            path = Path(one)
            target = Path(os.path.realpath(private), str(number))
            target.mkdir()
            bundled |= _unpack(path, target)
            program = _program_in(target)
            # The one directory of a source distribution goes without saying.
            result.names += [(str(program), str(path)), *([(str(target), str(path))] if program != target else [])]
            result.sources.append(program)
        result.bundled = frozenset(bundled)
        try:
            yield result
        except AnalysisError as error:
            hint = result.text(error.hint) if error.hint else None
            raise AnalysisError(
                result.text(error.message), hint=hint, context=_renamed(error.context, result)
            ) from error


def _is_path(source: str | os.PathLike[str]) -> bool:
    return not isinstance(source, str) or (source != "-" and "\n" not in source and "\0" not in source)


def _program_in(target: Path) -> Path:
    """Return the directory to analyse: of a source distribution the one that everything lies in."""
    entries = list(target.iterdir())
    if len(entries) == 1 and entries[0].is_dir() and not (entries[0] / "__init__.py").exists():
        return entries[0]
    return target


def _renamed(value: Any, names: Unpacked) -> Any:
    if isinstance(value, str):
        return names.text(value)
    if isinstance(value, dict):
        return {key: _renamed(one, names) for key, one in value.items()}
    return [_renamed(one, names) for one in value] if isinstance(value, list) else value


def _unpack(path: Path, target: Path) -> set[str]:
    """Unpack what counts; return the top-level names of the distributions that travel inside."""
    # Asked for here: most analyses meet no archive.
    import tarfile
    import zipfile
    import zlib

    bundled: set[str] = set()
    total = 0
    try:
        for number, (name, size, content) in enumerate(_members(path)):
            parts = PurePosixPath(name.replace("\\", "/")).parts
            if number > _MOST_FILES or total > _MOST_BYTES:
                raise AnalysisError(
                    f"{path}: larger than any program's source", hint="unpack it and name the directory"
                )
            if not parts or ".." in parts or parts[0] == "/" or "\0" in name:
                continue
            if parts[0] == "conda-meta" or parts[:2] == ("poncho", "manifest.json"):
                raise AnalysisError(
                    f"{path} is a packed environment, not a program", hint=f"poncho inspect {path} shows what is in it"
                )
            if parts[0] in _BUNDLES:
                bundled.add(_top(parts))
                continue
            kind = parts[-1].lower()
            if kind.endswith(_EXTENSIONS):
                data = b""
            elif (kind.endswith(_SOURCES) or _METADATA.fullmatch(parts[-1])) and size <= _MOST_OF_ONE:
                with content() as stream:
                    data = stream.read(_MOST_OF_ONE + 1)
            else:
                continue
            total += len(data)
            file = target.joinpath(*parts)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
    except AnalysisError:
        raise
    except RuntimeError as error:  # what zipfile says of an encrypted member
        raise AnalysisError(f"{path}: cannot be unpacked: {error}") from error
    except (
        OSError,
        EOFError,
        ValueError,
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        NotImplementedError,
    ) as error:
        why = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0].rstrip(":")
        raise AnalysisError(f"{path}: not a whole archive ({why})", hint="fetch or build it again") from error
    except Exception as error:  # lzma.LZMAError, where the interpreter has lzma
        if type(error).__name__ != "LZMAError":
            raise
        raise AnalysisError(f"{path}: not a whole archive ({error})", hint="fetch or build it again") from error
    return bundled


def _top(parts: tuple[str, ...]) -> str:
    """Return the module or metadata directory that a bundled file belongs to (pex: below the distribution)."""
    inside = parts[2:] if parts[0] == ".deps" else parts[1:]
    return inside[0].partition(".")[0] if inside else ""


def _members(path: Path) -> Iterator[tuple[str, int, Any]]:
    """Yield name, size and how to open each regular file of an archive."""
    import tarfile
    import zipfile

    if path.name.lower().endswith(_TARS):
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                if member.isfile():
                    yield member.name, member.size, lambda member=member: _opened(archive, member)
        return
    with zipfile.ZipFile(path) as zipped:
        for info in zipped.infolist():
            if not info.is_dir():
                yield info.filename, info.file_size, lambda info=info: zipped.open(info)


def _opened(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(member)
    if stream is None:
        raise OSError(f"{member.name} is no file")
    return stream
