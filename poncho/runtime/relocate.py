"""Apply the relocation records of a package: ``python3 -I -S relocate.py DIRECTORY PREFIX``.

DIRECTORY is where the environment lies now, PREFIX the directory that its files are to name (the same one, or where
it will be published). Runs on a node with the environment's own interpreter: Python >= 3.6, standard library only. The
format is docs/format.md, "Placeholder and relocation"; where there is no Python, the runner does the same in shell, to
the same bytes.

Everything is checked before anything is written. Exit status 0, or 1 with ``poncho: MESSAGE`` and ``hint: HINT`` on
stderr.
"""

import os
import re
import stat
import sys

MAX_SHEBANG = 127  # the kernel's BINPRM_BUF_SIZE before Linux 5.1, less one


class RecordsError(Exception):
    """The records cannot be applied; ``args`` are message and hint."""


class Records:
    """The records of one environment, and what they say its files are for ``prefix``."""

    def __init__(self, directory: bytes, prefix: bytes) -> None:
        self.directory = directory
        self.prefix = prefix
        self.texts = []  # type: list[tuple[bytes, bytes]]
        self.binaries = {}  # type: dict[bytes, list[tuple[int, bytes]]]
        with open(os.path.join(directory, b"poncho", b"relocation"), "rb") as stream:
            lines = stream.read().split(b"\n")
        if lines[0] != b"poncho-relocation 1":
            raise RecordsError(
                f"{shown(directory)} has relocation records of an unknown kind ({shown(lines[0])})",
                "use a newer poncho_package_run",
            )
        self.placeholder = lines[1].split(b"\t")[1]
        for line in lines[2:]:
            if line:
                self._add(line)

    def _add(self, line: bytes) -> None:
        fields = line.split(b"\t")
        if fields[0] == b"text" and len(fields) == 3 and fields[1].isdigit():
            template = os.path.join(self.directory, b"poncho", b"templates", fields[1])
            if not os.path.isfile(template):
                raise RecordsError(
                    f"{shown(self.directory)} is damaged: template {shown(fields[1])} is missing", "unpack it again"
                )
            self._check_target(fields[2])
            self.texts.append((template, fields[2]))
        elif fields[0] == b"binary" and len(fields) == 5 and fields[1].isdigit() and fields[2].isdigit():
            offset, slot, template, path = int(fields[1]), int(fields[2]), unescaped(fields[3]), fields[4]
            self._check_target(path)
            value = template.replace(self.placeholder, self.prefix)
            if len(value) >= slot:
                size = len(self.prefix)
                fits = size + (slot - 1 - len(value)) // template.count(self.placeholder)
                raise RecordsError(
                    f"the path {shown(self.prefix)} is too long for {shown(path)}: {size} bytes, {fits} fit",
                    "use a directory with a shorter path",
                )
            self.binaries.setdefault(path, []).append((offset, value.ljust(slot, b"\0")))
        else:
            raise RecordsError(
                f"{shown(self.directory)} has a relocation record of an unknown kind ({shown(fields[0])})",
                "use a newer poncho_package_run",
            )

    def _check_target(self, path: bytes) -> None:
        """Refuse a record that leads out of the environment, or to nothing."""
        damaged = "the package is damaged: make it again"
        parts = path.split(b"/")
        if any(part in (b"", b".", b"..") for part in parts):
            raise RecordsError(f"the relocation record of {shown(path)} leads out of the environment", damaged)
        for end in range(1, len(parts)):
            if os.path.islink(os.path.join(self.directory, *parts[:end])):
                raise RecordsError(f"the relocation record of {shown(path)} goes through a symbolic link", damaged)
        target = os.path.join(self.directory, path)
        if os.path.islink(target) or not os.path.isfile(target):
            raise RecordsError(f"{shown(self.directory)} is damaged: {shown(path)} is missing", "unpack it again")

    def apply(self) -> None:
        """Make every file what its record says, each by a temporary sibling and a rename."""
        for template, path in self.texts:
            with open(template, "rb") as stream:
                self._replace(path, self.relocated_text(stream.read()))
        for path, slots in self.binaries.items():
            with open(os.path.join(self.directory, path), "rb") as stream:
                data = bytearray(stream.read())
            for offset, value in slots:
                data[offset : offset + len(value)] = value
            self._replace(path, bytes(data))

    def relocated_text(self, template: bytes) -> bytes:
        """Return ``template`` for the prefix, with a first line that the kernel accepts."""
        first, newline, rest = template.partition(b"\n")
        long = len(first.replace(self.placeholder, self.prefix)) > MAX_SHEBANG
        if long or b" " in self.prefix or b"\t" in self.prefix:
            pattern = b"#![ \t]*" + re.escape(self.placeholder) + b"/bin/([^/ \t]+)(?:[ \t].*)?"
            match = re.fullmatch(pattern, first, re.DOTALL)
            if match:
                first = b"#!/usr/bin/env " + match.group(1)
        return (first + newline + rest).replace(self.placeholder, self.prefix)

    def _replace(self, path: bytes, data: bytes) -> None:
        target = os.path.join(self.directory, path)
        with open(target, "rb") as stream:
            if stream.read() == data:
                return
        sibling = target + b".poncho-new"
        try:
            with open(sibling, "wb") as stream:
                stream.write(data)
            os.chmod(sibling, stat.S_IMODE(os.stat(target).st_mode))
            os.replace(sibling, target)
        except OSError:
            if os.path.lexists(sibling):
                os.unlink(sibling)
            raise


def unescaped(text: bytes) -> bytes:
    r"""Undo the escapes of a template: ``\\``, ``\t`` and ``\n`` stand for a backslash, a tab and a newline."""
    parts = text.split(b"\\\\")
    return b"\\".join(part.replace(b"\\t", b"\t").replace(b"\\n", b"\n") for part in parts)


def shown(raw: bytes) -> str:
    """Return ``raw`` for people: undecodable bytes are replaced."""
    return raw.decode("utf-8", "replace")


def main(arguments: "list[str]") -> int:
    """Relocate; return the exit status."""
    directory, prefix = (os.fsencode(argument) for argument in arguments)
    try:
        Records(directory, prefix).apply()
    except RecordsError as problem:
        sys.stderr.write(f"poncho: {problem.args[0]}\nhint: {problem.args[1]}\n")
    except (OSError, IndexError) as error:
        sys.stderr.write(f"poncho: {shown(directory)} cannot be relocated ({error})\nhint: unpack it again\n")
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
