"""A signal ends the process wherever it comes."""

from __future__ import annotations

import subprocess
import sys

import pytest

# The signal comes while an object is finalized, where Python drops what is raised; several times in a row.
FINALIZED = """
import os, signal, sys, time
from poncho import _cleanup

class Doomed:
    def __init__(self, left):
        self.left = left

    def __del__(self):
        os.kill(os.getpid(), signal.{name})
        for _ in range(1000):
            pass

_cleanup.install_handlers(lambda: None)
try:
    for left in range({times}):
        Doomed(left)
    time.sleep(10)
except _cleanup.Interrupted as error:
    print(error.number, _cleanup.interrupted())
"""


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(("name", "number"), [("SIGINT", 2), ("SIGTERM", 15)])
def test_a_signal_that_comes_while_an_object_is_finalized_ends_the_process(name: str, number: int, times: int) -> None:
    program = FINALIZED.format(name=name, times=times)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=9, check=False)
    assert (done.stdout, done.stderr) == (f"{number} {number}\n", "")
