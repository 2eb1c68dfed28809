"""``poncho_package_create --dry-run``: what would be packed, and what that costs."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from poncho._words import counted, human_bytes
from poncho.cli.events import write_line
from poncho.cli.progress import reporter_for, shown_as
from poncho.cli.said import say, tell

if TYPE_CHECKING:
    from poncho.builder import CreateOptions
    from poncho.preview import Part, Preview


def show(arguments: Namespace, options: CreateOptions, prog: str) -> int:
    """Resolve, and write a table (or with ``--json`` the lock and the sizes) to standard output."""
    from poncho.builder import check_outputs, read, resolve, write_lock
    from poncho.preview import preview
    from poncho.store import BuilderCache

    check_outputs(arguments.spec, arguments.output, options)
    cache = options.cache or BuilderCache.default()
    with reporter_for(arguments, prog) as reporter:
        given = sys.stdin.buffer if arguments.spec == "-" else arguments.spec
        found = read(given, options=options, reporter=reporter)
        prefix = found if isinstance(found, Path) else None
        lock = resolve(found, options=options, reporter=reporter)
        seen = preview(lock, cache=cache, offline=arguments.offline, prefix=prefix)
    if options.lock is not None and not options.locked:
        write_lock(lock, options.lock)
    if arguments.json:
        print(json.dumps(seen.to_json(), indent=4, sort_keys=True))
    else:
        for line in table(seen, verbose=arguments.verbose):
            tell(line)
    if shown_as(arguments) == "json":
        write_line("result", {"result": seen.to_json()})
    elif not arguments.quiet and not arguments.json:
        wrote = f", {options.lock} was written" if options.lock is not None and not options.locked else ""
        say(f"{prog}: nothing was built (--dry-run){wrote}")
    return 0


def table(seen: Preview, *, verbose: bool = False) -> list[str]:
    """Return the parts as lines with their sizes, and a line with the sums; ``verbose`` adds where each is from."""
    rows = [
        [part.kind, part.name, part.version, _download(part), _installed(part)] + ([place] if verbose else [])
        for part, place in zip(seen.parts, _places(seen), strict=True)
    ]
    rows.insert(0, ["", "name", "version", "download", "installed", *(["from"] if verbose else [])])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column in (3, 4) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    cached = len(seen.parts) - len(seen.missing)
    unknown = f" and {counted(seen.unknown, 'part')} of unknown size" if seen.unknown else ""
    total = (
        f"{counted(len(seen.parts), 'part')}, {cached} cached: {human_bytes(seen.download_bytes)}{unknown} to download"
    )
    return [*lines, f"{total}, about {human_bytes(seen.installed_bytes)} installed ({seen.lock.platform})"]


def _download(part: Part) -> str:
    if part.cached:
        return "cached"
    return human_bytes(part.download) if part.download is not None else "?"


def _installed(part: Part) -> str:
    if part.installed is None:
        return "?"
    return f"{'' if part.measured else '~'}{human_bytes(part.installed)}"


def _places(seen: Preview) -> list[str]:
    lock = seen.lock
    conda = [f"{one.url}#{one.sha256 or one.md5 or ''}" for one in lock.conda]
    pip = [f"{one.url or one.requirement}#{one.sha256 or ''}" for one in lock.pip]
    git = [f"{one.remote}@{one.commit}" for one in lock.git.values()]
    from poncho._redact import redact

    return [redact(place) for place in (*conda, *pip, *git, *(f"{h.url}#{h.sha256}" for h in lock.http.values()))]
