"""Make a conda environment with py-rattler alone: for tests that pack an environment which poncho did not make.

Also run as a script, in a process of its own that ends by ``os._exit`` (rattler may crash at interpreter exit).
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


class UnsatisfiableError(Exception):
    """The solver's own words."""


def make_environment(
    prefix: Path, channels: Sequence[str], specs: Sequence[str], *, cache: Path | None = None
) -> list[str]:
    """Solve ``specs`` against ``channels`` (first wins), install into ``prefix``; return each ``name-version-build``.

    ``cache`` is rattler's package cache (default: one beside the tests' other caches, shared by the workers).
    """
    cache = cache or Path(os.environ["PONCHO_TESTS_SHARED"]) / "reference-packages"
    request = {"prefix": str(prefix), "channels": list(channels), "specs": list(specs), "cache": str(cache)}
    argv = [sys.executable, __file__]
    run = subprocess.run(argv, input=json.dumps(request), capture_output=True, text=True, timeout=300, check=False)
    if run.returncode == 3:
        raise UnsatisfiableError(run.stdout)
    if run.returncode != 0:
        raise RuntimeError(f"py-rattler failed: {run.stderr[-3000:]}")
    return list(json.loads(run.stdout))


async def _make(prefix: str, channels: list[str], specs: list[str], cache: str) -> list[str]:
    from rattler import Gateway, MatchSpec, VirtualPackage, install, solve

    gateway = Gateway(cache_dir=Path(cache) / "repodata")
    # Given as text, a spec is read strictly: conda's own name=version=build would be refused.
    wanted = [MatchSpec(spec) for spec in specs]
    records = await solve(channels, wanted, gateway=gateway, virtual_packages=VirtualPackage.detect())
    await install(records, prefix, cache_dir=Path(cache) / "pkgs", show_progress=False, execute_link_scripts=True)
    return sorted(f"{record.name.normalized}-{record.version}-{record.build}" for record in records)


def _main() -> int:
    from rattler.exceptions import SolverError

    try:
        print(json.dumps(asyncio.run(_make(**json.load(sys.stdin)))))
    except SolverError as error:
        print(error)
        return 3
    return 0


if __name__ == "__main__":
    try:
        status = _main()
    except Exception as error:  # the parent shows it
        print(repr(error), file=sys.stderr)
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
