"""The process in which py-rattler runs: one request in on stdin, JSON lines out on a pipe, then gone.

Run by its path (``python -I __main__.py FD DIRECTORY…``), not imported: of poncho it uses this directory alone. A process
of its own because py-rattler's threads crash at interpreter exit, ``task.cancel()`` leaves Rust working, and a panic is
no ``Exception``.

A request is a JSON object with ``op`` (``solve``, ``install``, ``virtual_packages``, ``read_lock``, ``match``).
Each line of the answer holds one of ``event`` (see ``poncho._types.Event``), ``result``, ``error`` (``kind``, ``message``,
further facts).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

# With -I only the interpreter's own site-packages are seen; py-rattler may lie elsewhere (PYTHONPATH, a zip
# application). poncho is the one that this file belongs to, whichever other one is installed; its directory does not stay in
# front, where what is installed beside it would hide standard modules.
sys.path.extend(path for path in sys.argv[2:] if path not in sys.path)
sys.path.insert(0, str(Path(__file__).parents[2]))
from poncho.rattler_worker.failure import Failure

sys.path.pop(0)
from poncho.rattler_worker.installing import install
from poncho.rattler_worker.machine import virtual_packages
from poncho.rattler_worker.pixi_lock import read_lock
from poncho.rattler_worker.solving import match, solve


def main() -> None:
    """Answer one request, then end at once: a normal interpreter exit would crash in py-rattler's threads."""
    warnings.simplefilter("ignore")
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)
    lock = threading.Lock()

    def send(message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        with lock:
            while data:
                data = data[os.write(descriptor, data) :]

    operations: dict[str, Any] = {
        "solve": solve,
        "install": install,
        "virtual_packages": virtual_packages,
        "read_lock": read_lock,
        "match": match,
    }
    request = json.load(sys.stdin)
    try:
        send({"result": asyncio.run(operations[request["op"]](request, send))})
    except Failure as failure:
        send({"error": failure.answer})
    except BaseException as error:  # a panic of Rust is a BaseException
        send({"error": {"kind": "crash", "message": f"{type(error).__name__}: {error}"}})
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
