"""Bring a package to a cluster that runs already, with or without a disk that its nodes share."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cloudpickle

from poncho._types import Event, Reporter, silent
from poncho.errors import BuildError, PackageError
from poncho.integrations.dask import nodes
from poncho.integrations.dask.command import DASK
from poncho.integrations.dask.versions import Difference, check_client, check_versions
from poncho.integrations.packages import Source, engine_package
from poncho.look import look
from poncho.package import Package, open_package
from poncho.runner import last_words, runner_path


def use_package(
    client: Any,
    package: Source,
    *,
    upload: bool | None = None,
    extra: Sequence[str] = (),
    store: str | None = None,
    timeout: float = 300,
    reporter: Reporter = silent,
) -> tuple[Difference, ...]:
    """Restart all workers of the cluster of ``client`` inside a package; workers that come later start in it.

    ``package`` is a package file, or a spec, to which the versions of Dask that are installed here are added. ``upload=True``
    sends it to the scheduler, from which each node takes it once; ``False`` says that the nodes see it under its path; None
    looks: it is uploaded where a node does not see it. ``store`` is the directory on the nodes to unpack into. The workers need
    nannies (Dask's default) of the package's Python version. As with any restart, what they have in memory is computed
    again, and data that was scattered to them is lost: do it first. A second package replaces the first.

    Returns the differences of versions that matter only where values cross. Raises PonchoError: for a package that does
    not fit, workers without nannies, a package that does not run on a node, and where after ``timeout`` seconds not all
    workers are in it.
    """
    check_client(client)
    path = engine_package(package, DASK, extra=extra, reporter=reporter).path
    # What ``nodes`` defines is sent as code: the nodes need no PONCHO. It stays so, as other threads may be at it.
    cloudpickle.register_pickle_by_value(nodes)
    nannies = client.run_on_scheduler(nodes.here_with_nanny)
    alone = sorted(address for address, nanny in nannies.items() if not nanny)
    if alone:
        raise PackageError(
            f"{len(alone)} of {len(nannies)} workers have no nanny to restart them: {', '.join(alone[:5])}",
            hint="start workers without --no-nanny, or start them inside the package: python_command, worker_command",
        )
    size = path.stat().st_size
    if upload is None:
        seen = client.run(nodes.size_of, str(path), nanny=True)
        upload = not seen or any(one != size for one in seen.values())
    digest = _sha256(path)
    if upload:
        _upload(client, path, digest, size, reporter)
    plugin = nodes.InPackage(
        None if upload else str(path),
        sha256=digest,
        size=size,
        runner=runner_path().read_bytes(),
        python=_python(path),
        store=store,
    )
    reporter(Event("start", "package", f"restarting {len(nannies)} workers in {path.name}"))
    try:
        client.register_plugin(plugin, name=nodes.PLUGIN)
    except Exception as error:
        _forget(client)
        what, hint = str(error), "the workers run as before; see their nannies' logs"
        where, _, words = what.partition(": ")
        if (said := last_words(words)) is not None:
            what, hint = f"{where}: {said[0]}", f"{said[1]}; {hint}" if said[1] else hint
        raise BuildError(f"the package cannot be used on the cluster: {what}", hint=hint) from error
    _wait(client, open_package(path), len(nannies), timeout)
    reporter(Event("done", "package", f"{len(nannies)} workers are in the package"))
    return check_versions(client)


def _upload(client: Any, path: Path, digest: str, size: int, reporter: Reporter) -> None:
    client.register_plugin(nodes.Shelf(), name=nodes.SHELF)
    send = client.scheduler.poncho_put
    there = client.sync(send, name=digest, offset=0, data=b"")
    with path.open("rb") as stream:
        # What is there is the beginning of the same bytes: an upload that broke off goes on.
        stream.seek(there)
        while piece := stream.read(nodes.PIECE):
            client.sync(send, name=digest, offset=stream.tell() - len(piece), data=piece)
            reporter(Event("progress", "upload", path.name, stream.tell(), size, "bytes"))


def _wait(client: Any, package: Package, number: int, timeout: float) -> None:
    """Wait until so many workers are there again, all in the package. Raises BuildError."""
    end = time.monotonic() + timeout
    while True:
        found = client.run(nodes.digest_here, on_error="return")
        # Archives of others have a digest of the runner's choice.
        inside = [
            one for one in found.values() if one == package.digest or (isinstance(one, str) and not package.is_poncho)
        ]
        if len(inside) >= number and len(inside) == len(found):
            return
        if time.monotonic() > end:
            raise BuildError(
                f"only {len(inside)} of {number} workers came back in the package",
                hint="see the logs of the nannies (client.get_worker_logs(nanny=True))",
            )
        time.sleep(0.2)


def _forget(client: Any) -> None:
    """Take a plugin that failed from the scheduler, so that workers that come later start as before."""
    with contextlib.suppress(Exception):
        client.unregister_worker_plugin(nodes.PLUGIN, nanny=True)


def _python(path: Path) -> tuple[int, int]:
    major, minor = (look(path).python or "0.0").split(".")[:2]
    return int(major), int(minor)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
