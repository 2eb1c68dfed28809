"""The builder's side of ``poncho.pack.copying``: start it, tell it what to copy, and hear what came of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import isal

from poncho.pack import copying
from poncho.pack.layout import Chunk
from poncho.pack.sink import Packed

_WORD = re.compile(rb"\d+:\d+|!\d+")
_RUN = "import sys; sys.path.append(sys.argv.pop(1)); exec(compile(open(sys.argv.pop(1)).read(), 'copying', 'exec'))"


@dataclass(frozen=True, slots=True)
class Copy:
    """A chunk that is in the cache. ``size`` is that of its tar; ``make`` gives it where it cannot be copied."""

    key: str
    size: int
    continues: bool
    make: Callable[[], Packed]


class Copier:
    """Copies blocks below ``root`` into a file, from where it is told to, in a process of its own."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None
        self._broken = False
        self._output = ""
        self._is_said = False

    def start(self) -> None:
        """Let the process begin, which takes a while, before there is anything to copy; else it does when it is needed."""
        if self._process is None and not self._broken:
            self._process = self._start()

    def open(self, output: Path) -> None:
        """Say which file to write to: one that exists."""
        self._output = os.fsencode(output).hex()
        self._is_said = False

    def send(self, copies: Sequence[Copy], offset: int | None) -> None:
        """Let blocks be copied, one behind the other; to ``offset``, or (None) behind those before."""
        lines = [] if offset is None else [f"@ {offset}\n"]
        if not self._is_said:
            lines.insert(0, f"> {self._output}\n")
            self._is_said = True
        lines += (f"{copy.key} {copy.size}\n" for copy in copies)
        self._say("".join(lines))

    def finish(self, copies: Sequence[Copy]) -> tuple[list[Chunk], bool]:
        """Wait for all ``copies`` that were sent since the last time; return the first ones that lie in the output.

        The bool tells whether it is of use to send more. Raises the OSError of writing.
        """
        self._say("=\n")
        answer = b"" if self._process is None or self._process.stdout is None else self._process.stdout.readline()
        words = answer.split()
        if not answer.endswith(b"\n") or not all(map(_WORD.fullmatch, words)):
            self.close()
            return [], False
        chunks: list[Chunk] = []
        for copy, word in zip(copies, words, strict=False):
            if word.startswith(b"!"):
                if number := int(word[1:]):
                    raise OSError(number, os.strerror(number))
                break
            packed, _, crc = word.partition(b":")
            chunks.append(Chunk(int(packed), copy.size, int(crc), copy.continues))
        return chunks, True

    def close(self) -> None:
        """Let the process end; what it was told already may be copied still."""
        process, self._process, self._broken = self._process, None, True
        if process is not None:
            process.kill()
            process.communicate()

    def _say(self, text: str) -> None:
        self.start()
        if self._process is None or self._process.stdin is None:
            return
        try:
            self._process.stdin.write(text.encode())
            self._process.stdin.flush()
        except OSError:
            self._broken = True

    def _start(self) -> subprocess.Popen[bytes] | None:
        library = os.fspath(Path(isal.__file__).parents[1])
        kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
        argv = [sys.executable, "-I", "-S", "-c", _RUN, library, copying.__file__, str(self._root)]
        try:
            return subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=kept,
            )
        except (OSError, ValueError):
            self._broken = True
            return None
