"""``poncho cache``: what builds keep for the next ones: list it, prune it, verify it, say where it is."""

from __future__ import annotations

import json
import os
import time
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from poncho.cli.guard import Parser, add_common
from poncho.cli.progress import reporter_for
from poncho.cli.said import say, tell
from poncho.cli.units import age, human, size
from poncho.errors import UsageError

if TYPE_CHECKING:
    from poncho.store import BuilderCache

_ACTIONS = ("list", "prune", "verify", "path")


def make_parser(prog: str) -> Parser:
    """Return the parser of the command under the name ``prog``."""
    parser = Parser(
        prog=prog, description="What builds keep for the next ones: list, prune, verify it, say where it is."
    )
    parser.add_argument("action", choices=_ACTIONS, metavar=f"{{{','.join(_ACTIONS)}}}", help="what to do")
    parser.add_argument(
        "names", nargs="*", default=[], metavar="BUCKET", help="only these kinds of things (list shows them)"
    )
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="another cache (default: PONCHO_CACHE_DIR, else the user's)"
    )
    group = parser.add_argument_group(
        "prune", "without a limit: only what killed builds left. What running builds use stays, always"
    )
    group.add_argument(
        "--older-than",
        "--max-age",
        type=age,
        metavar="AGE",
        help="delete what was not used for so long: 12h, 30d, 8w (a bare number: days)",
    )
    group.add_argument(
        "--max-size", type=size, metavar="SIZE", help="delete the longest unused until so much is left: 20G"
    )
    group.add_argument("--all", action="store_true", help="delete everything")
    group.add_argument(
        "--dry-run", action="store_true", help="say what would be deleted (verify: what is damaged), and delete nothing"
    )
    add_common(parser)
    return parser


def command(arguments: Namespace) -> int:
    """Do it; return the exit status."""
    from poncho.store import BuilderCache
    from poncho.upkeep import BUCKETS

    limited = arguments.older_than is not None or arguments.max_size is not None or arguments.all
    if limited and arguments.action != "prune":
        raise UsageError("--older-than, --max-size and --all go with prune", hint="poncho cache prune --older-than 30d")
    if arguments.all and (arguments.older_than is not None or arguments.max_size is not None):
        raise UsageError("--all goes with no limit", hint="leave --all out, or the limit")
    if arguments.dry_run and arguments.action not in ("prune", "verify"):
        raise UsageError("--dry-run goes with prune and verify", hint="list and path delete nothing: leave it out")
    cache = BuilderCache(arguments.cache.absolute()) if arguments.cache else BuilderCache.default()
    if arguments.action == "path":
        print(json.dumps({"cache": str(cache.root)}, indent=4) if arguments.json else cache.root)
        return 0
    unknown = [name for name in arguments.names if name not in BUCKETS]
    if unknown:
        raise UsageError(f"{unknown[0]}: no kind of thing in the cache", hint=f"there are {', '.join(BUCKETS)}")
    if arguments.cache and not os.path.isdir(cache.root):
        raise UsageError(f"{cache.root}: no such directory", hint="poncho cache path prints where the cache is")
    if arguments.action == "list":
        return _list(arguments, cache)
    return _verify(arguments, cache) if arguments.action == "verify" else _prune(arguments, cache)


def _list(arguments: Namespace, cache: BuilderCache) -> int:
    from poncho.upkeep import BUCKETS, inventory

    found = inventory(cache, arguments.names or None)
    rows = [
        {
            "bucket": name,
            "what": BUCKETS[name].what,
            "items": len(items),
            "bytes": sum(item.size for item in items),
            "longest_unused": _time(items[0].used) if items else None,
            "last_used": _time(items[-1].used) if items else None,
        }
        for name, items in found.items()
    ]
    if arguments.json:
        single = (
            {name: [{"name": i.name, "bytes": i.size, "used": _time(i.used)} for i in found[name]] for name in found}
            if arguments.names
            else {}
        )
        print(
            json.dumps({"cache": str(cache.root), "buckets": rows, **({"items": single} if single else {})}, indent=4)
        )
        return 0
    if arguments.names:
        for items in found.values():
            for item in items:
                tell(f"{human(item.size):>10}  {_time(item.used)}  {item.bucket}  {item.name}")
        return 0
    tell(f"{'bucket':<12}  {'size':>10}  {'items':>6}  {'used':<24}  what")
    for row, items in zip(rows, found.values(), strict=True):
        used = _days(items[0].used, items[-1].used) if items else ""
        tell(f"{row['bucket']:<12}  {human(int(str(row['bytes']))):>10}  {row['items']:>6}  {used:<24}  {row['what']}")
    total = sum(item.size for items in found.values() for item in items)
    tell(f"{'all':<12}  {human(total):>10}  in {cache.root}")
    return 0


def _prune(arguments: Namespace, cache: BuilderCache) -> int:
    from poncho.upkeep import prune

    with reporter_for(arguments, "poncho cache") as reporter:
        done = prune(
            cache,
            older_than=arguments.older_than,
            max_size=arguments.max_size,
            everything=arguments.all,
            buckets=arguments.names or None,
            dry_run=arguments.dry_run,
            reporter=reporter,
        )
    if arguments.json:
        answer = {
            "deleted": [f"{item.bucket}/{item.name}" for item in done.deleted],
            "in_use": [f"{item.bucket}/{item.name}" for item in done.in_use],
            "bytes": done.freed,
            "left_behind": done.left_behind,
            "dry_run": arguments.dry_run,
        }
        print(json.dumps(answer, indent=4))
        return 0
    if arguments.quiet:
        return 0
    said = "would be deleted" if arguments.dry_run else "deleted"
    for bucket in dict.fromkeys(item.bucket for item in done.deleted):
        items = [item for item in done.deleted if item.bucket == bucket]
        tell(f"{bucket:<12}  {human(sum(item.size for item in items)):>10}  {len(items):>6}  {said}")
    for bucket in dict.fromkeys(item.bucket for item in done.in_use):
        items = [item for item in done.in_use if item.bucket == bucket]
        size_kept = human(sum(item.size for item in items))
        tell(f"{bucket:<12}  {size_kept:>10}  {len(items):>6}  kept: builds are running")
    if done.left_behind:
        tell(f"left by killed builds: {done.left_behind}, deleted")
    tell(f"{human(done.freed)} {said}")
    if arguments.older_than is None and arguments.max_size is None and not arguments.all:
        hint = (
            "without a limit only what killed builds left goes; limits are --older-than 30d, --max-size 20G and --all"
        )
        say(f"hint: {hint}")
    return 0


def _verify(arguments: Namespace, cache: BuilderCache) -> int:
    from poncho.upkeep import verify

    with reporter_for(arguments, "poncho cache") as reporter:
        done = verify(cache, buckets=arguments.names or None, delete=not arguments.dry_run, reporter=reporter)
    if arguments.json:
        damaged = [
            {"bucket": d.item.bucket, "name": d.item.name, "what": d.what, "deleted": d.deleted} for d in done.damaged
        ]
        rest = {"right": done.right, "unverifiable": done.unverifiable, "skipped": list(done.skipped)}
        print(json.dumps({"damaged": damaged, **rest}, indent=4))
        return 1 if done.damaged else 0
    for bucket, count in done.right.items():
        unknown = done.unverifiable[bucket]
        wrong = sum(1 for one in done.damaged if one.item.bucket == bucket)
        extra = f", {unknown} with nothing to check by" if unknown else ""
        tell(f"{bucket:<12}  {count:>6} right, {wrong} damaged{extra}")
    for one in done.damaged:
        tell(f"    {one.item.bucket}/{one.item.name}: {one.what}{', deleted' if one.deleted else ', still there'}")
    for bucket in done.skipped:
        tell(f"{bucket:<12}  not looked at: builds are running")
    return 1 if done.damaged else 0


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _days(first: float, last: float) -> str:
    days = [time.strftime("%Y-%m-%d", time.gmtime(seconds)) for seconds in (first, last)]
    return " to ".join(dict.fromkeys(days))
