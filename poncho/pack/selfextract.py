"""The text before the package in a self-extracting script: a few lines, then the runner as it is in the package."""

from __future__ import annotations

from poncho.pack.layout import Facts, comment
from poncho.pack.runtime_files import runtime_file

_SHEBANG = b"#!/bin/sh\n"
# The shell reads on behind what it executes; the archive is no text of its.
_END = b"\nexit 125\n"
_WIDTH = 8


def script(runner: bytes, digest: str, facts: Facts) -> bytes:
    """Return the text, always of the same length for one runner; the package follows it.

    ``runner`` is the content of the package's ``bin/poncho_package_run``. The digest and facts stand there once more, where a
    shell reads them.
    """
    head = runtime_file("selfextract.sh")
    body = runner.removeprefix(_SHEBANG) + _END
    head = head.replace(b"@COMMENT@", comment(digest, facts).rstrip(b"\n"))
    marks = head.count(b"@SKIP@") * len(b"@SKIP@") + head.count(b"@AFTER@") * len(b"@AFTER@")
    count = head.count(b"@SKIP@") + head.count(b"@AFTER@")
    size = len(head) - marks + count * _WIDTH + len(body)
    head = head.replace(b"@SKIP@", b"%-8d" % size).replace(b"@AFTER@", b"%-8d" % (size + 1))
    return head + body


def runner_in(text: bytes) -> bytes:
    """Return the runner that such a text ends with."""
    before = len(script(_SHEBANG, "0" * 64, Facts("", "", 0, 0, 0))) - len(_END)
    return _SHEBANG + text[before : len(text) - len(_END)]


def skip_of(head: bytes) -> int | None:
    """Return how many bytes of script stand before the package in a file that begins with ``head``; None: it is no script."""
    lines = head.split(b"\n", 4)
    if len(lines) < 5 or lines[0] + b"\n" != _SHEBANG or lines[1] != b": 'PONCHO-PACKAGE 1":
        return None
    word = next((word for word in lines[3].split() if word.startswith(b"skip=")), b"")
    return int(word[5:]) if word[5:].isdigit() else None
