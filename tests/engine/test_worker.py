"""The worker process: what happens when it does not answer."""

from __future__ import annotations

import os

import pytest

from poncho.engine import worker
from poncho.errors import BuildError


def test_a_worker_that_crashes_is_one_clear_error_with_what_it_printed(tmp_path, monkeypatch):
    crashing = tmp_path / "worker.py"
    crashing.write_text(
        "import os, sys\nprint('thread panicked: index out of bounds', file=sys.stderr, flush=True)\nos.abort()\n"
    )
    monkeypatch.setattr(worker, "_WORKER", crashing)
    with pytest.raises(BuildError, match=r"during solve \(killed by signal 6\).*panicked"):
        worker.call_worker({"op": "solve"}, env=os.environ, reporter=lambda event: None)


def test_a_worker_that_ends_without_an_answer_is_an_error(tmp_path, monkeypatch):
    silent = tmp_path / "worker.py"
    silent.write_text("import os\nos._exit(0)\n")
    monkeypatch.setattr(worker, "_WORKER", silent)
    with pytest.raises(BuildError, match="without an answer during install"):
        worker.call_worker(
            {"op": "install", "records": ["x" * 1000] * 1000}, env=os.environ, reporter=lambda event: None
        )


def test_a_reporter_that_raises_ends_the_worker(tmp_path, monkeypatch):
    endless = tmp_path / "worker.py"
    endless.write_text(
        "import json, os, sys, time\n"
        "line = json.dumps({'event': {'kind': 'info', 'step': 'install', 'message': str(os.getpid())}}).encode()\n"
        "os.write(int(sys.argv[1]), line + b'\\n')\ntime.sleep(600)\n"
    )
    monkeypatch.setattr(worker, "_WORKER", endless)
    pids = []

    def interrupt(event):
        pids.append(int(event.message))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker.call_worker({"op": "install"}, env=os.environ, reporter=interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_without_py_rattler_the_hint_names_both_ways_out(monkeypatch):
    monkeypatch.setattr(worker, "rattler_directory", lambda: None)
    with pytest.raises(BuildError, match="py-rattler") as caught:
        worker.call_worker({"op": "solve"}, env=os.environ, reporter=lambda event: None)
    assert "--conda-executable" in str(caught.value.hint)
