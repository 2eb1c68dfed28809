"""Find what the package's own interpreter needs to run ``poncho/unpack.py``, by asking it.

These files come first in the archive, so that a node without any Python of ours unpacks them with its own tar, and then
lets them unpack the rest in parallel.
"""

from __future__ import annotations

import os
import posixpath
import re
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from poncho._cleanup import deferred, register
from poncho.engine.process import kill_group

_PROBE = """
import sys
names = {"__name__": "unpack", "__file__": sys.argv[1]}
exec(compile(sys.stdin.read(), "unpack", "exec"), names)
found = []
for module in list(sys.modules.values()):
    found += [getattr(module, "__file__", None), getattr(module, "__cached__", None)]
try:
    with open("/proc/self/maps") as stream:
        found += [line.split(None, 5)[5].rstrip("\\n") for line in stream if line.count("/")]
except OSError:
    pass
found = ["%d.%d.%d" % sys.version_info[:3], "fast" if names["fast"] else ""] + [name for name in found if name]
sys.stdout.buffer.write(b"\\0".join(name.encode("utf-8", "surrogateescape") for name in found))
"""
# What a node's locale can make Python load before it runs a line.
_CODECS = ("__init__", "aliases", "ascii", "latin_1", "iso8859_1", "iso8859_15", "utf_8")
_NAME = re.compile(r"bin/python3\.(\d+)\Z")
_VERSION = re.compile(r"(\d+)\.(\d+)\.\d+\Z")
_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Boot:
    """The interpreter's version and the files (relative to the prefix) that it needs; no files: it cannot be used.

    ``deflate`` is libdeflate's extension module where that interpreter can load it: it inflates in half of zlib's time.
    """

    version: str
    files: frozenset[str] = frozenset()
    deflate: Path | None = None


def find_python(files: Collection[str]) -> str | None:
    """Return the path of the environment's Python relative to the prefix: the newest ``bin/python3.N``."""
    found = [(int(match[1]), path) for path in files if path.startswith("bin/") and (match := _NAME.match(path))]
    if found:
        return max(found)[1]
    return next((name for name in ("bin/python3", "bin/python") if name in files), None)


def ask(prefix: Path, python: str, script: bytes) -> bytes | None:
    """Run the prefix's ``python`` and return what it says about itself; None when it does not run on this machine.

    ``script`` is the text of ``unpack.py``.
    """
    deflate = _deflate_module()
    beside = os.fspath(deflate.with_name("unpack.py") if deflate else "unpack.py")
    command = [os.fspath(prefix / python), "-I", "-S", "-B", "-c", _PROBE, beside]
    try:
        # Files, not pipes: a child that it leaves behind would hold those open.
        with _memory() as asked, _memory() as answer:
            asked.write(script)
            asked.seek(0)
            if _run(command, asked, answer) != 0:
                return None
            answer.seek(0)
            return answer.read()
    except (OSError, subprocess.SubprocessError):
        return None


def _memory() -> IO[bytes]:
    """Return a file in memory: whether there is room in TMPDIR must not decide how a package starts."""
    try:
        return open(os.memfd_create("poncho"), "w+b")
    except (AttributeError, OSError):
        return TemporaryFile()


def _run(command: Sequence[str], stdin: IO[bytes], stdout: IO[bytes]) -> int:
    """Run a command in a session of its own, of which nothing is left afterwards; return its exit status.

    Raises subprocess.TimeoutExpired.
    """
    with deferred():
        process = subprocess.Popen(
            command,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        forget = register(lambda: kill_group(process))
    try:
        return process.wait(_SECONDS)
    finally:
        kill_group(process)
        forget()


def understand(
    answer: bytes, prefix: Path, python: str, files: Collection[str], links: Mapping[str, str]
) -> Boot | None:
    """Return what the interpreter needs, from its ``answer``.

    ``files`` and ``links`` are those of the prefix, links with their portable targets.
    """
    version, *names = os.fsdecode(answer).split("\0")
    numbers = _VERSION.match(version)
    if numbers is None or not names:
        return None
    major, minor = int(numbers[1]), int(numbers[2])
    if (major, minor) < (3, 6):
        return Boot(version)
    library = f"lib/python{major}.{minor}"
    roots = [os.fspath(prefix) + "/", os.path.realpath(prefix) + "/"]
    needed = {name[len(root) :] for name in names for root in roots if name.startswith(root)}
    # Python finds its library by os.py and by the directory lib-dynload.
    needed |= {f"{library}/os.py", python}
    needed |= {f"{library}/encodings/{codec}.py" for codec in _CODECS}
    extensions = f"{library}/lib-dynload/"
    dynload = [path for path in files if path.startswith(extensions)]
    if dynload and needed.isdisjoint(dynload):
        needed.add(min(dynload))
    caches = {
        path: f"{posixpath.dirname(path)}/__pycache__/{_stem(path)}.cpython-{major}{minor}.pyc" for path in needed
    }
    needed |= {cache for path, cache in caches.items() if path.endswith(".py")}
    needed = {path for path in needed if path in files}
    if f"{library}/os.py" not in needed:
        return Boot(version)
    return Boot(version, frozenset(needed | _links_to(needed, links)), _deflate_module() if names[0] else None)


def _deflate_module() -> Path | None:
    try:
        found = find_spec("deflate._deflate")
    except ImportError:
        return None
    return Path(found.origin) if found is not None and found.origin else None


def _stem(path: str) -> str:
    return posixpath.basename(path).rpartition(".")[0]


def _links_to(needed: set[str], links: Mapping[str, str]) -> set[str]:
    found: set[str] = set()
    while True:
        known = needed | found
        more = {
            path
            for path, target in links.items()
            if path not in known and posixpath.normpath(posixpath.join(posixpath.dirname(path), target)) in known
        }
        if not more:
            return found
        found |= more
