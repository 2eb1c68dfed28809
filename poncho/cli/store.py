"""``poncho store``: what this node keeps unpacked: list it, prune it, verify it, say where it is."""

from __future__ import annotations

import json
import os
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from poncho._words import counted
from poncho.cli.guard import Parser, add_common
from poncho.cli.progress import reporter_for
from poncho.cli.said import tell
from poncho.cli.units import age, human, size
from poncho.errors import UsageError

if TYPE_CHECKING:
    from poncho.store.node import NodeStore

_ACTIONS = ("list", "prune", "verify", "path")


def make_parser(prog: str) -> Parser:
    """Return the parser of the command under the name ``prog``."""
    parser = Parser(prog=prog, description="What this node keeps unpacked: list, prune, verify it, say where it is.")
    parser.add_argument("action", choices=_ACTIONS, metavar=f"{{{','.join(_ACTIONS)}}}", help="what to do")
    parser.add_argument(
        "names", nargs="*", default=[], metavar="NAME", help="only these packages: the first digits of their digests"
    )
    parser.add_argument("--store", type=Path, metavar="DIR", help="another store (default: the runner's on this node)")
    group = parser.add_argument_group("prune", "without a limit or a NAME: everything that is not in use")
    group.add_argument(
        "--max-age",
        "--older-than",
        type=age,
        metavar="AGE",
        help="delete what was not used for so long: 12h, 30d, 8w (a bare number: days)",
    )
    group.add_argument(
        "--max-size", type=size, metavar="SIZE", help="delete the longest unused until so much is left: 20G"
    )
    group.add_argument("--all", action="store_true", help="everything that is not in use, said outright")
    group.add_argument("--dry-run", action="store_true", help="say what would be deleted, and delete nothing")
    add_common(parser)
    return parser


def command(arguments: Namespace) -> int:
    """Do it; return the exit status."""
    from poncho.store.node import NodeStore, node_store_path

    limits = [name for name in ("max_age", "max_size") if getattr(arguments, name) is not None]
    if limits and (arguments.action != "prune" or arguments.names):
        option = f"--{limits[0].replace('_', '-')}"
        raise UsageError(
            f"{option} goes with prune, and without a NAME", hint="a NAME is deleted whatever its age and size"
        )
    if (arguments.dry_run or arguments.all) and arguments.action != "prune":
        raise UsageError(
            "--dry-run and --all go with prune", hint=f"{arguments.action} deletes nothing: leave them out"
        )
    store = NodeStore(arguments.store.absolute() if arguments.store else node_store_path(os.environ))
    if arguments.action == "path":
        print(json.dumps({"store": str(store.root)}, indent=4) if arguments.json else store.root)
        return 0
    if arguments.store and not os.path.isdir(store.root):
        raise UsageError(f"{store.root}: no such directory", hint="poncho store path prints where this node's store is")
    if arguments.action == "list":
        return _list(arguments, store)
    if arguments.action == "verify":
        return _verify(arguments, store)
    if arguments.all and (arguments.names or arguments.max_age is not None or arguments.max_size is not None):
        raise UsageError("--all goes with no limit and no NAME", hint="leave --all out, or the rest")
    with reporter_for(arguments, "poncho store") as reporter:
        done = store.prune(
            max_age=arguments.max_age,
            max_size=arguments.max_size,
            names=arguments.names or None,
            dry_run=arguments.dry_run,
            reporter=reporter,
        )
    if arguments.json:
        names = {"deleted": [e.name for e in done.deleted], "in_use": [e.name for e in done.in_use]}
        print(json.dumps({**names, "bytes": done.freed, "dry_run": arguments.dry_run}, indent=4))
    elif not arguments.quiet:
        for entry in done.deleted:
            tell(f"{entry.name}  {human(entry.size)}  {'would be deleted' if arguments.dry_run else 'deleted'}")
        for entry in done.in_use:
            tell(f"{entry.name}  {human(entry.size)}  in use, kept")
    return 0


def _list(arguments: Namespace, store: NodeStore) -> int:
    entries = [store.find(name) for name in arguments.names] or store.entries()
    rows = [
        {
            "name": entry.name,
            "digest": entry.digest,
            "path": str(entry.path),
            "bytes": entry.size,
            "used": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(entry.used)),
            "in_use": store.in_use(entry),
        }
        for entry in entries
    ]
    if arguments.json:
        print(json.dumps({"store": str(store.root), "packages": rows}, indent=4))
        return 0
    if rows and sys.stdout.isatty():
        tell(f"{'PACKAGE':{max(len(str(row['name'])) for row in rows)}}  {'SIZE':>9}  LAST USED (UTC)")
    for row in rows:
        used = "in use" if row["in_use"] else row["used"]
        tell(f"{row['name']}  {human(int(str(row['bytes']))):>9}  {used}")
    return 0


def _verify(arguments: Namespace, store: NodeStore) -> int:
    from poncho.package.unpacked import verify_unpacked

    entries = [store.find(name) for name in arguments.names] or store.entries()
    foreign = [entry for entry in entries if not os.access(entry.path / "poncho/contents", os.R_OK)]
    found = {entry.name: verify_unpacked(entry.path) for entry in entries if entry not in foreign}
    if arguments.json:
        rows = {name: [{"path": d.path, "what": d.what} for d in changes] for name, changes in found.items()}
        print(json.dumps({"packages": rows, "unverifiable": [entry.name for entry in foreign]}, indent=4))
    else:
        for name, changes in found.items():
            said = f"not as packed: {counted(len(changes), 'file')}" if changes else "right"
            tell(f"{name}  {said}")
            for change in changes:
                tell(f"    {change.what}: {change.path}")
        for entry in foreign:
            tell(f"{entry.name}  made by others, or an image that is not mounted: nothing to verify it against")
    return 1 if any(found.values()) else 0
