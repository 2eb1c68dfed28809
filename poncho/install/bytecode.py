"""Compile a prefix's Python files once, so that no node does it again and the bytes are always the same.

The .pyc files are "unchecked hash-based" (PEP 552): they hold no time, and the interpreter never compares them with the
source. What was compiled before, for whichever environment, comes from the builder's cache.
"""

from __future__ import annotations

import _imp
import errno
import hashlib
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from poncho._regular import opener
from poncho._trees import make_directories, walk
from poncho._types import Event, Reporter, silent
from poncho._words import counted
from poncho.errors import BuildError
from poncho.install.bytecode_cache import BytecodeCache, Compiled, directory_key, unframe
from poncho.install.bytecode_compiler import Compiler, SourceDirectory
from poncho.install.distributions import site_packages
from poncho.store import BuilderCache
from poncho.store.atomic import disk_full

# Reading, hashing and writing give up the interpreter's lock, the work between them does not: many are no faster.
_THREADS = min(4, os.cpu_count() or 1)
_WATCH_SECONDS = 0.25


def compile_bytecode(
    prefix: Path,
    *,
    cache: BuilderCache | None = None,
    reporter: Reporter = silent,
    jobs: int | None = None,
    environ: Mapping[str, str] | None = None,
    tree: Path | None = None,
    into: Path | None = None,
    directories: Sequence[str] | None = None,
) -> int:
    """Compile the standard library and site-packages of ``prefix`` and return how many source files were looked at.

    ``tree`` is a directory laid out as the prefix, to compile in its place (with the prefix's Python). ``into`` is such a
    directory to write to: then the files that are valid already are passed over, and nothing else is written to.

    Files that do not compile are passed over: packages ship templates, and tests of syntax errors. So are those that
    hold the prefix itself, as their text changes when the package is relocated. Existing .pyc files are replaced. The
    bytes are the same whether ``cache`` (None: no cache) had them or not. ``jobs`` None means one process per
    processor. ``directories`` (relative to the prefix; None: all) are those to look at, each with all its files and nothing
    below. Raises BuildError when the prefix's Python cannot be run or a file cannot be written.
    """
    tree = tree or prefix
    roots = [path.parent for path in site_packages(tree)] or sorted(tree.glob("lib/python3.*"))
    if not roots or not (prefix / "bin" / "python").exists():
        return 0
    compiler = Compiler.of(prefix, os.environ if environ is None else environ)
    if not compiler.usable:
        reporter(Event("info", "compile", "this Python writes no relocatable bytecode: nothing is compiled"))
        return 0
    reporter(Event("start", "compile", "compiling Python files"))
    step = _Step(prefix, tree, into, compiler, BytecodeCache.within(cache) if cache else None)
    with ThreadPoolExecutor(_THREADS) as pool:
        missing = [item for item in pool.map(step.reuse, step.directories(roots, directories)) if item is not None]
        with _scratch(into or tree, cache) as scratch:
            work = [item.directory for item in missing]
            with _watched(scratch, work, reporter):
                answers = compiler.compile(work, scratch, jobs=jobs or os.cpu_count() or 1)
        list(pool.map(step.finish, missing, answers))
    total, new = step.looked_at, sum(len(item.directory.names) for item in missing)
    message = f"{counted(total, 'Python file')}, {new} of them compiled now"
    reporter(Event("done", "compile", message, done=total, total=total, unit="files"))
    return total


@dataclass(frozen=True, slots=True)
class _Missing:
    directory: SourceDirectory
    key: str


class _Step:
    """What is done with one directory before and after the compiler ran; its methods are called from threads."""

    def __init__(
        self, prefix: Path, tree: Path, into: Path | None, compiler: Compiler, cache: BytecodeCache | None
    ) -> None:
        self._root = tree.resolve()
        self._into = into
        self._needles = {os.fsencode(path) for path in (prefix, prefix.resolve(), tree, self._root)}
        self._compiler = compiler
        self._cache = cache
        self.looked_at = 0

    def directories(self, roots: Sequence[Path], only: Sequence[str] | None) -> Iterator[SourceDirectory]:
        """Yield the directories below ``roots`` that hold Python files, in a fixed order, and count the files."""
        walked = self._walk(roots) if only is None else self._some(roots, only)
        for path, files in walked:
            names = tuple(sorted(name for name in files if name.endswith(".py")))
            if names:
                self.looked_at += len(names)
                yield SourceDirectory(path, os.path.relpath(path, self._root), names)

    def _walk(self, roots: Sequence[Path]) -> Iterator[tuple[str, list[str]]]:
        for root in roots:
            for path, children, files in walk(root.resolve(), regular=True):
                children[:] = sorted(name for name in children if name != "__pycache__")
                yield path, files

    def _some(self, roots: Sequence[Path], only: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
        below = tuple(f"{root.resolve()}/" for root in roots)
        for directory in sorted(set(only)):
            path = f"{self._root}/{directory}"
            if f"{path}/".startswith(below) and "__pycache__" not in directory.split("/") and os.path.isdir(path):
                with os.scandir(path) as entries:
                    yield path, [entry.name for entry in entries if os.path.isfile(entry.path)]

    def reuse(self, found: SourceDirectory) -> _Missing | None:
        """Write what the cache has for a directory; return what there is to compile, None when that is nothing."""
        wanted = [name for name in found.names if self._into is None or not self._is_compiled(found.path, name)]
        sources = [(name, digest) for name in wanted if (digest := self._digest(found.path, name))]
        if not sources:
            return None
        # What holds the prefix differs from build to build and is not compiled: it is no part of the key.
        directory = SourceDirectory(found.path, found.relative, tuple(name for name, _ in sources))
        key = directory_key(self._compiler.identity, directory.relative, sources)
        compiled = self._cache.get(key) if self._cache else None
        if compiled is None:
            return _Missing(directory, key)
        self._write(directory, compiled)
        return None

    def finish(self, item: _Missing, answer: bytes) -> None:
        """Write what the compiler answered, and keep it in the cache when it is whole."""
        compiled, whole = unframe(answer)
        self._write(item.directory, compiled)
        if self._cache and whole:
            self._cache.put(item.key, answer)

    def _digest(self, directory: str, name: str) -> bytes | None:
        """Return the sha256 of a source file; None when it is not to be compiled."""
        try:
            with open(f"{directory}/{name}", "rb") as stream:
                source = stream.read()
        except OSError:
            return None
        if any(needle in source for needle in self._needles):
            return None
        return hashlib.sha256(source).digest()

    def _is_compiled(self, directory: str, name: str) -> bool:
        """Tell whether a source has a .pyc that the interpreter takes (PEP 552); by hash and unchecked always is."""
        try:
            head = _head(f"{directory}/__pycache__/{name[:-2]}{self._compiler.tag}.pyc")
            if head[:4] != self._compiler.magic or len(head) < 16:
                return False
            if head[4] == 0:
                source = os.stat(f"{directory}/{name}")
                stamp, size = int(source.st_mtime) & 0xFFFFFFFF, source.st_size & 0xFFFFFFFF
                return head[8:] == stamp.to_bytes(4, "little") + size.to_bytes(4, "little")
            if head[4] == 1:
                return True
            with open(f"{directory}/{name}", "rb") as stream:
                return head[8:] == _imp.source_hash(int.from_bytes(head[:4], "little"), stream.read())
        except OSError:
            return False

    def _write(self, directory: SourceDirectory, compiled: Compiled) -> None:
        target = f"{self._into / directory.relative if self._into else directory.path}/__pycache__"
        try:
            if compiled:
                make_directories(target)
            for name in directory.names:
                data = compiled.get(os.fsencode(name))
                if data is not None:
                    _write_new(f"{target}/{name[:-2]}{self._compiler.tag}.pyc", data)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise disk_full(Path(target), error) from error
            raise BuildError(
                f"{target}: cannot write bytecode ({error.strerror})",
                hint="the prefix lies below PONCHO_CACHE_DIR: is there space left?",
            ) from error


def _head(path: str) -> bytes:
    descriptor = opener(path)
    try:
        return os.read(descriptor, 16)
    finally:
        os.close(descriptor)


@contextmanager
def _watched(answers: Path, work: Sequence[SourceDirectory], reporter: Reporter) -> Iterator[None]:
    """Report how far the compiler is while the block runs, by the answers that it has begun to write."""
    if reporter is silent or not work:
        yield
        return
    total, stop = sum(len(one.names) for one in work), threading.Event()

    def watch() -> None:
        while not stop.wait(_WATCH_SECONDS):
            begun = len(os.listdir(answers)) - 1  # beside the list of what to compile
            done = sum(len(one.names) for one in work[: max(0, begun)])
            reporter(Event("progress", "compile", done=done, total=total, unit="files"))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _write_new(path: str, data: memoryview) -> None:
    """Write a file that is no link to another one: installers link what they install to their caches."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o666)
    except FileExistsError:
        os.unlink(path)
        descriptor = os.open(path, flags, 0o666)
    with open(descriptor, "wb", buffering=0) as stream:
        stream.write(data)


@contextmanager
def _scratch(prefix: Path, cache: BuilderCache | None) -> Iterator[Path]:
    if cache:
        with cache.scratch("bytecode") as scratch:
            yield scratch
    else:
        with tempfile.TemporaryDirectory(prefix=".bytecode-", dir=prefix.parent) as name:
            yield Path(name)
