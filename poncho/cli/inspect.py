"""``poncho inspect ENV``: what is in a package, how big it is, where it comes from."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from poncho.cli.guard import Parser, add_common
from poncho.cli.said import say
from poncho.errors import PackageError

if TYPE_CHECKING:
    from rich.console import Console

    from poncho.look import Inventory, Part

_TOP = 15
_SPEC_NAMES = 12
_BAR = 12


def make_parser(prog: str) -> Parser:
    """Return the parser of the command under the name ``prog``."""
    parser = Parser(
        prog=prog,
        description="Say what is in a package, how big it is, and where it comes from. Nothing is unpacked or executed.",
    )
    parser.add_argument("environment", metavar="ENV", type=Path, help="a package, another tarball, or a directory")
    parser.add_argument(
        "-n", "--top", type=_number, default=_TOP, metavar="N", help=f"rows in each table ({_TOP}; 0: all)"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--html",
        type=Path,
        metavar="OUT",
        help="write a page with a treemap of the sizes, and nothing else (-: standard output)",
    )
    what.add_argument("--spec", action="store_true", help="print the spec that it was made from")
    what.add_argument("--lock", action="store_true", help="print the lock: exactly what was installed")
    add_common(parser)
    return parser


def command(arguments: Namespace) -> int:
    """Look, and print or write what the arguments ask for."""
    from poncho.look import look, open_source
    from poncho.store.outputs import check_kept

    if arguments.spec or arguments.lock:
        source = open_source(arguments.environment)
        text = source.spec_text if arguments.spec else source.lock_text
        if text is None:
            what = "spec" if arguments.spec else "lock"
            hint = f"PONCHO's own packages have one; without --{what} the rest is shown"
            raise PackageError(f"{arguments.environment}: there is no {what} in it", hint=hint)
        # As it is: data for programs. On a terminal nothing in it may act.
        sys.stdout.write(_for_terminal(text) if sys.stdout.isatty() else text)
        return 0
    check_kept(arguments.html, arguments.environment)
    inventory = look(arguments.environment)
    if arguments.html:
        _write_page(inventory, arguments)
    elif arguments.json:
        print(json.dumps(inventory.to_json(), indent=4))
    elif not arguments.quiet:
        _print(inventory, arguments.top)
    return 0


def _write_page(inventory: Inventory, arguments: Namespace) -> None:
    from poncho.look.page import make_page
    from poncho.store import atomic_file

    text = make_page(inventory)
    if arguments.html == Path("-"):
        sys.stdout.write(text)
        return
    with atomic_file(arguments.html.absolute()) as private:
        private.write_text(text, "utf-8")
    if arguments.json:
        print(json.dumps({"html": str(arguments.html), "bytes": len(text.encode())}, indent=4))
    elif not arguments.quiet:
        say(f"poncho inspect: wrote {arguments.html}")


def _print(inventory: Inventory, top: int) -> None:
    from rich.text import Text

    from poncho.cli.tables import console, print_facts
    from poncho.look.words import count, shown, size

    target = console()
    target.print(Text(shown(str(inventory.path)), style="bold"))
    what = "PONCHO package" if inventory.is_poncho else "not made by PONCHO"
    packed = [] if inventory.packed is None else [f"{size(inventory.packed)} packed"]
    sizes = ", ".join([*packed, f"{size(inventory.bytes)} unpacked", count(inventory.files, "file")])
    facts = [
        ("what", f"{what}, {inventory.form}"),
        ("size", sizes),
        ("digest", inventory.digest or ""),
        ("python", _python(inventory)),
        ("runs on", _needs(inventory)),
        ("channels", ", ".join(inventory.channels)),
        ("spec", _spec(inventory.spec)),
        *((f"${name}", path) for name, path in inventory.variables.items()),
    ]
    print_facts(target, [(shown(name), shown(value)) for name, value in facts])
    _print_parts(target, inventory, top)
    _print_files(target, inventory, top)


def _print_parts(target: Console, inventory: Inventory, top: int) -> None:
    from poncho.cli.tables import print_table
    from poncho.look.words import count, shown, size

    conda, pip, data = (inventory.of_kind(kind) for kind in ("conda", "pip", "data"))
    titles = [(len(conda), "conda package"), (len(pip), "distribution"), (len(data), "git or http location")]
    title = ", ".join(count(number, noun) for number, noun in titles if number) or "No packages"
    most = max((part.bytes for part in inventory.parts), default=0)

    def row(part: Part) -> list[str]:
        bar = "▇" * round(_BAR * part.bytes / most) if most else ""
        words = (part.name, f"{part.version} {part.build}".strip(), part.owner.kind, part.origin.where)
        return [size(part.bytes), bar, f"{part.files:,}", *map(shown, words)]

    parts = inventory.parts[: top or None]
    if not parts:
        return
    columns = (
        *(("SIZE", "right"), ("", "left"), ("FILES", "right")),
        *((name, "left") for name in ("NAME", "VERSION", "KIND", "FROM")),
    )
    print_table(target, title, columns, map(row, parts), strong=3)  # type: ignore[arg-type]
    rest = inventory.parts[len(parts) :]
    if rest:
        target.print(f"and {len(rest)} more, {size(sum(part.bytes for part in rest))}: --top 0 shows all", style="dim")


def _print_files(target: Console, inventory: Inventory, top: int) -> None:
    from poncho.cli.tables import print_table
    from poncho.look.words import shown, size
    from poncho.package.owners import OTHER

    rows = (
        [size(item.size), shown(inventory.owners.get(item.path, OTHER).name), shown(item.path)]
        for item in inventory.largest(top or inventory.files)
    )
    print_table(target, "Largest files", (("SIZE", "right"), ("PACKAGE", "left"), ("PATH", "left")), rows, strong=0)


def _python(inventory: Inventory) -> str:
    return f"{inventory.python}, from the building machine" if inventory.base else inventory.python or ""


def _needs(inventory: Inventory) -> str:
    glibc = f"glibc {inventory.glibc} or newer" if inventory.glibc else ""
    cpu = f"a CPU of level {inventory.cpu}" if inventory.cpu else ""
    return ", ".join(need for need in (inventory.platform, glibc, cpu) if need)


def _spec(spec: object) -> str:
    """Return what the spec asks for, in a line."""
    if not isinstance(spec, dict):
        return ""
    conda, pip = spec.get("conda"), spec.get("pip")
    listed = conda.get("dependencies") or conda.get("packages") if isinstance(conda, dict) else conda
    names = []
    for entry in [*(listed if isinstance(listed, list) else []), *(pip if isinstance(pip, list) else [])]:
        below = entry.get("pip") if isinstance(entry, dict) else None
        names += [str(one) for one in below] if isinstance(below, list) else [str(entry)]
    names += [f"{kind} {name}" for kind in ("git", "http") for name in _keys(spec.get(kind))]
    more = f" and {len(names) - _SPEC_NAMES} more" if len(names) > _SPEC_NAMES else ""
    return ", ".join(names[:_SPEC_NAMES]) + more


def _keys(value: object) -> list[str]:
    return [str(key) for key in value] if isinstance(value, dict) else []


def _for_terminal(text: str) -> str:
    from poncho.look.words import shown

    return "\n".join(shown(line) for line in text.split("\n"))


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ArgumentTypeError(f"{text!r} is no number of rows")
    return int(text)
