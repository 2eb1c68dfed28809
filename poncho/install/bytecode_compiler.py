"""Run the compiler of a prefix's own Python over directories: only it writes its own bytecode."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from poncho.engine.pip_tools import clean_environment, run_tool

# For Python 3.7 or later. Arguments: how many processes, the list of what to compile, a directory for the answers.
# Answer N is what unframe of bytecode_cache reads.
#
# marshal marks each object that is referred to from elsewhere in the process, so what a file compiles to depends on
# what is in memory by then (bpo-34093). Hence one fresh child for each directory, all of them copies of the same
# parent, files sorted: other directories and their order make no difference. The name in the code is relative to the
# prefix; on import the interpreter puts the real one in its place.
#
# A source that does not compile is left out, and so is the rest of a directory whose child crashes (its answer has no
# end); an answer that cannot be written is an error.
COMPILER = r"""
import gc, importlib.util, marshal, os, sys, warnings
jobs, listed, answers = sys.argv[1:]
magic = importlib.util.MAGIC_NUMBER
warnings.simplefilter("ignore")
gc.disable()

def compile_directory(stream, directory, relative, names):
    for name in names:
        try:
            with open(os.path.join(directory, name), "rb") as source:
                source = source.read()
            code = compile(source, os.fsdecode(os.path.join(relative, name)), "exec", dont_inherit=True)
            data = magic + b"\1\0\0\0" + importlib.util.source_hash(source) + marshal.dumps(code)
        except Exception:
            continue
        stream.write(len(name).to_bytes(4, "big") + len(data).to_bytes(4, "big") + name + data)
        stream.flush()
    stream.write(bytes(8))

def wait():
    status = os.wait()[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        sys.exit(1)

with open(listed, "rb") as stream:
    work = [record.split(b"\0") for record in stream.read().split(b"\0\0") if record]
running = 0
for number, (directory, relative, *names) in enumerate(work):
    if running >= int(jobs):
        wait()
        running -= 1
    if os.fork() == 0:
        status = 1
        try:
            with open(os.path.join(answers, str(number)), "wb") as stream:
                compile_directory(stream, directory, relative, names)
            status = 0
        except OSError as error:
            print("cannot write bytecode:", error.strerror, file=sys.stderr, flush=True)
        finally:
            os._exit(status)
    running += 1
while running:
    wait()
    running -= 1
"""

_FACTS = (
    "import importlib.util, sys; "
    "print(sys.version_info >= (3, 7), sys.implementation.cache_tag, importlib.util.MAGIC_NUMBER.hex(), sys.version)"
)


@dataclass(frozen=True, slots=True)
class SourceDirectory:
    """A directory with Python files: ``path`` absolute, ``relative`` to the prefix, ``names`` of files, sorted."""

    path: str
    relative: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compiler:
    """The Python of a prefix, as a compiler. ``tag`` is in the names of its .pyc files, ``magic`` at their beginning.

    ``identity`` is all that its bytecode depends on beside the sources and their paths in the prefix. ``usable`` is
    false for a Python that has no .pyc files by hash.
    """

    python: Path
    prefix: Path
    env: Mapping[str, str]
    tag: str
    magic: bytes
    identity: bytes
    usable: bool

    @classmethod
    def of(cls, prefix: Path, environ: Mapping[str, str]) -> Compiler:
        """Ask the Python of ``prefix`` what it is. Raises BuildError when it cannot be run."""
        python = prefix / "bin" / "python"
        # The order of a set constant, and so the bytecode, depends on the seed; what is in memory, on the locale.
        env = clean_environment(environ) | {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "LC_ALL": "C"}
        argv = [str(python), "-S", "-s", "-B", "-c", _FACTS]
        facts = run_tool(argv, env=env, step="run Python", cwd=prefix).stdout
        usable, tag, magic, _ = facts.split(" ", 3)
        identity = f"{facts}\0{COMPILER}".encode()
        return cls(python, prefix, env, tag, bytes.fromhex(magic), identity, usable == "True")

    def compile(self, work: Sequence[SourceDirectory], answers: Path, *, jobs: int) -> list[bytes]:
        """Compile each directory of ``work`` with ``jobs`` processes; return the framed result of each.

        ``answers`` is an empty directory to work in. Raises BuildError when it cannot be written.
        """
        if not work:
            return []
        listed = answers / "list"
        records = (b"\0".join(map(os.fsencode, (item.path, item.relative, *item.names))) for item in work)
        listed.write_bytes(b"\0\0".join(records))
        # Not -I: it would ignore PYTHONHASHSEED. In the prefix: what lies in the caller's directory must not be
        # imported instead of the standard library.
        argv = [str(self.python), "-S", "-s", "-B", "-c", COMPILER, str(jobs), str(listed), str(answers)]
        run_tool(argv, env=self.env, step="compile the Python files", cwd=self.prefix)
        return [_read(answers / str(number)) for number in range(len(work))]


def _read(answer: Path) -> bytes:
    try:
        return answer.read_bytes()
    except FileNotFoundError:  # its child was killed before it began
        return b""
