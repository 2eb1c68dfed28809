"""``poncho run``: become ``poncho_package_run``, the one run-time there is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn


def become_runner(argv: Sequence[str]) -> NoReturn:
    """Replace this process by the runner with ``argv``. Raises BuildError when the runner is not installed."""
    from poncho.pack.runtime_files import runner_path

    runner = str(runner_path())
    os.execv("/bin/sh", ["sh", runner, *argv])
