"""``poncho diff OLD NEW``: which packages and files were added, removed or changed; 0 same, 1 different, 2 trouble."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from poncho.cli.guard import Parser, add_common

if TYPE_CHECKING:
    from rich.console import Console

    from poncho.look import Part
    from poncho.look.difference import Difference, FileChange, PartChange
    from poncho.package import Item

_TOP = 20
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def make_parser(prog: str) -> Parser:
    """Return the parser of the command under the name ``prog``."""
    parser = Parser(
        prog=prog,
        description="Compare two packages, other tarballs or directories: their packages, and every file by content.",
        epilog="Exit status: 0 when they hold the same, 1 when they differ, 2 when they cannot be compared.",
    )
    parser.add_argument("old", metavar="OLD", type=Path, help="a package, another tarball, or a directory")
    parser.add_argument("new", metavar="NEW", type=Path, help="what to compare it with")
    parser.add_argument("--files", action="store_true", help=f"show all files that differ (default: the first {_TOP})")
    add_common(parser)
    parser.set_defaults(trouble=2)
    return parser


def command(arguments: Namespace) -> int:
    """Compare; print what differs."""
    from poncho.look.difference import compare

    found = compare(arguments.old, arguments.new)
    if arguments.json:
        print(json.dumps(found.to_json(), indent=4))
    elif not arguments.quiet:
        _print(found, None if arguments.files else _TOP)
    return 0 if found.same else 1


def _print(found: Difference, top: int | None) -> None:
    from poncho.cli.tables import console, print_facts
    from poncho.look.words import shown

    target = console()
    if found.same:
        target.print("the same: every file has the same content")
        return
    grown = found.new.bytes - found.old.bytes
    facts = [("size", f"{_change(found.old.bytes, found.new.bytes)} unpacked ({_signed(grown)})")]
    facts += [(name, f"{_value(old)} → {_value(new)}") for name, (old, new) in found.facts.items()]
    print_facts(target, [(shown(name), shown(value)) for name, value in facts])
    if found.parts:
        _print_parts(target, found.parts)
    if found.files:
        _print_files(target, found.files, top)


def _print_parts(target: Console, changes: tuple[PartChange, ...]) -> None:
    from poncho.cli.tables import print_table
    from poncho.look.words import shown

    def row(change: PartChange) -> list[str]:
        before = change.old.bytes if change.old else 0
        after = change.new.bytes if change.new else 0
        versions = [_version(side) for side in (change.old, change.new) if side]
        version = " → ".join(dict.fromkeys(versions))
        words = [change.part.name, version, change.part.owner.kind]
        return [_SIGNS[change.what], *map(shown, words), f"{change.files:,}", _signed(after - before)]

    columns = (
        *((name, "left") for name in ("", "NAME", "VERSION", "KIND")),
        *(("FILES", "right"), ("SIZE", "right")),
    )
    print_table(target, f"Packages: {_counts(changes)}", columns, map(row, changes), strong=1)  # type: ignore[arg-type]


def _print_files(target: Console, changes: tuple[FileChange, ...], top: int | None) -> None:
    from poncho.cli.tables import print_table
    from poncho.look.words import shown

    def row(change: FileChange) -> list[str]:
        before, after = (item.size if item else 0 for item in (change.old, change.new))
        return [_SIGNS[change.what], _signed(after - before), shown(change.path), shown(_how(change.old, change.new))]

    columns = (("", "left"), ("SIZE", "right"), ("PATH", "left"), ("", "left"))
    print_table(target, f"Files: {_counts(changes)}", columns, map(row, changes[:top]), strong=2)  # type: ignore[arg-type]
    if top is not None and len(changes) > top:
        target.print(f"and {len(changes) - top:,} more: --files shows all", style="dim")


def _how(old: Item | None, new: Item | None) -> str:
    """Return what besides the content changed."""
    if old is None or new is None or old.kind == new.kind == "directory":
        return ""
    if old.kind != new.kind:
        return f"{old.kind} → {new.kind}"
    if old.kind == "link":
        return f"{old.target} → {new.target}"
    return f"mode {old.mode:o} → {new.mode:o}" if old.mode != new.mode else ""


def _counts(changes: tuple[PartChange, ...] | tuple[FileChange, ...]) -> str:
    numbers = {what: sum(change.what == what for change in changes) for what in _SIGNS}
    return ", ".join(f"{number:,} {what}" for what, number in numbers.items() if number)


def _version(part: Part) -> str:
    return f"{part.version} {part.build}".strip()


def _value(value: object) -> str:
    return json.dumps(value) if isinstance(value, dict) else str(value or "none")


def _change(old: int, new: int) -> str:
    from poncho.look.words import size

    return f"{size(old)} → {size(new)}"


def _signed(number: int) -> str:
    from poncho.look.words import size

    return f"{'+' if number > 0 else '-' if number < 0 else ''}{size(abs(number))}"
