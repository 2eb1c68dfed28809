"""``--verify``: the functions' source to try in a package, and what came of it in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from poncho.errors import AnalysisError

if TYPE_CHECKING:
    from poncho.analysis import Analysis
    from poncho.package import FunctionCheck

_NOT_FOUND = re.compile(r"No module named '([^.']+)")


def source_of(sources: Sequence[str], stdin: str | None, functions: Sequence[str]) -> tuple[str | None, str | None]:
    """Return code that defines ``functions`` and stands alone, and a note where it cannot be had."""
    from poncho.compat.extract import extract

    if not functions:
        return None, None
    blocks: list[str] = []
    futures: list[str] = []
    for name in functions:
        note = f"only the imports of {name} are tried, because it cannot be cut out of its file"
        for source in sources:
            try:
                text = stdin or "" if source == "-" else Path(source).read_text(encoding="utf-8-sig")
                found = extract(text, [name.partition(".")[0]], label=source, classes=True)
            except (AnalysisError, OSError, UnicodeDecodeError) as error:
                note += f" ({getattr(error, 'message', None) or error})" if len(sources) == 1 else ""
                continue
            blocks.append(found.code)
            futures += found.futures
            break
        else:
            return None, note
    head = f"from __future__ import {', '.join(dict.fromkeys(futures))}\n" if futures else ""
    return head + "\n\n".join(dict.fromkeys(blocks)), None


def report(check: FunctionCheck, environment: Path, analysis: Analysis) -> Iterator[str]:
    """Yield lines for people: what failed, what differs, what was loaded, what was not."""
    for name, error in sorted(check.failed.items()):
        yield f"failed in {environment.name}: {name}: {error}"
    lost = {found[1] for error in check.failed.values() if (found := _NOT_FOUND.search(error))}
    own = {part for path in analysis.local_modules for part in (path.stem, *path.parts[:-1])}
    if not analysis.shipped and lost & own:
        yield "hint: own modules are packed with --ship-local; build the package from the new spec"
    elif lost:
        yield "hint: build the package from the new spec"
    for one in check.differing:
        yield f"another version: {one.name} {one.version} was loaded, the spec asks for {one.wanted}"
    listed = [f"{one.name} {one.version}" for one in check.loaded if one.listed]
    others = [one.name for one in check.loaded if not one.listed]
    if listed:
        yield f"loaded, as in the spec: {', '.join(listed)}"
    if others:
        yield f"loaded, as dependencies of these: {', '.join(others)}"
    if check.unused:
        yield f"in the spec, and not loaded: {', '.join(check.unused)}"
    if check.lent:
        yield "note: the package has no cloudpickle, which Parsl, Dask and TaskVine need there (--extra-pkg cloudpickle)"
    if check.right:
        yield f"right: {check.function} can be loaded in {environment.name} (Python {check.python})"
