"""The generated TaskVine library, driven over its pipes as the worker drives it."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.workers import TaskVineWorker

Starter = Callable[..., TaskVineWorker]
both_modes = pytest.mark.parametrize("mode", ["fork", "direct"])


def double(x: int, plus: int = 0) -> int:
    return 2 * x + plus


def where() -> str:
    import os

    print("working")
    os.system("echo a child speaks too")
    with open("made", "w") as stream:
        stream.write("here")
    return os.getcwd()


def fail() -> None:
    print("before")
    raise ValueError("the detector is cold")


def leave() -> None:
    sys.exit(127)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def unpicklable() -> Any:
    return threading.Lock()


@both_modes
def test_a_library_says_who_it_is_and_how_it_runs_calls(taskvine: Starter, mode: str) -> None:
    worker = taskvine(double, name="doubling", exec_mode=mode)
    assert worker.ready() == {"name": "doubling", "taskid": 7, "exec_mode": mode}


@both_modes
def test_a_call_runs_in_its_sandbox_and_prints_into_its_own_file(taskvine: Starter, mode: str) -> None:
    worker = taskvine(double, where, exec_mode=mode)
    worker.ready()
    assert worker.call("double", 4, plus=1) == {"Success": True, "Result": 9, "Reason": None}
    task = worker.send("where")
    assert worker.result() == (task, 0)
    assert worker.outcome(task)["Result"] == str(worker.sandbox(task))
    assert (worker.sandbox(task) / "made").read_text() == "here"
    assert sorted(worker.printed(task).splitlines()) == ["a child speaks too", "working"]


@both_modes
def test_a_function_that_raises_tells_why_and_the_library_lives_on(taskvine: Starter, mode: str) -> None:
    worker = taskvine(double, fail, leave, unpicklable, exec_mode=mode)
    worker.ready()
    outcome = worker.call("fail")
    assert not outcome["Success"]
    assert outcome["Result"] is None
    assert "ValueError: the detector is cold" in outcome["Reason"]
    assert "SystemExit: 127" in worker.call("leave")["Reason"]
    assert "pickle" in worker.call("unpicklable")["Reason"]
    assert "no function 'nothing'; it has: double, fail, leave, unpicklable" in worker.call("nothing")["Reason"]
    assert worker.call("double", 1)["Result"] == 2


def test_a_killed_call_reports_its_signal_and_harms_no_other(taskvine: Starter) -> None:
    worker = taskvine(double, die)
    worker.ready()
    task = worker.send("die")
    assert worker.result() == (task, signal.SIGKILL)
    assert not (worker.sandbox(task) / "outfile").exists()
    assert worker.call("double", 3)["Result"] == 6


def meet(mine: str, other: str) -> str:
    import os
    import time

    open(mine, "w").close()
    for _ in range(2000):
        if os.path.exists(other):
            return "met"
        time.sleep(0.01)
    return "alone"


def test_forked_calls_run_at_the_same_time(taskvine: Starter, tmp_path: Path) -> None:
    worker = taskvine(meet)
    worker.ready()
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    tasks = [worker.send("meet", one, two), worker.send("meet", two, one)]
    assert sorted(worker.result() for _ in tasks) == [(task, 0) for task in tasks]
    assert [worker.outcome(task)["Result"] for task in tasks] == ["met", "met"]


@both_modes
def test_requests_may_come_together_or_in_pieces(taskvine: Starter, mode: str) -> None:
    worker = taskvine(double, exec_mode=mode)
    worker.ready()
    messages = [worker.message("double", number) for number in range(3)]
    data = b"".join(message for _, message in messages)
    worker.write(data[:-20])
    answers = [worker.result(), worker.result()]
    worker.write(data[-20:])
    answers.append(worker.result())
    assert sorted(answers) == [(task, 0) for task, _ in messages]
    assert [worker.outcome(task)["Result"] for task, _ in messages] == [0, 2, 4]


def test_a_sandbox_with_spaces_in_its_path(taskvine: Starter) -> None:
    worker = taskvine(double)
    worker.ready()
    assert worker.call("double", 5, sandbox="my func. 1 of 2")["Result"] == 10


@both_modes
def test_a_library_ends_when_its_worker_has_gone(taskvine: Starter, mode: str) -> None:
    worker = taskvine(double, exec_mode=mode)
    worker.ready()
    worker.call("double", 1)
    assert worker.leave() == 0


def test_the_worker_is_woken_for_each_message(taskvine: Starter) -> None:
    woken: list[int] = []
    before = signal.signal(signal.SIGCHLD, lambda number, frame: woken.append(number))
    try:
        worker = taskvine(double)
        for speak in (worker.ready, lambda: worker.call("double", 1)):
            speak()
            for _ in range(1000):
                if woken:
                    break
                time.sleep(0.005)
            assert woken.pop() == signal.SIGCHLD
            woken.clear()
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_values_made_once_are_shared_by_all_calls_without_taskvine_on_the_node(taskvine: Starter) -> None:
    if importlib.util.find_spec("ndcctools"):
        pytest.skip("TaskVine is installed here")

    def load(base: int, *, factor: int) -> dict[str, int]:
        print("loading the model")
        return {"model": base * factor}

    def infer(x: int) -> int:
        from ndcctools.taskvine.utils import load_variable_from_library  # type: ignore[import-not-found]

        return int(x + load_variable_from_library("model"))

    worker = taskvine(infer, library_context_info=[load, [20], {"factor": 2}])
    worker.ready()
    assert [worker.call("infer", x)["Result"] for x in (1, 2)] == [41, 42]
    assert worker.log.read_text().count("loading the model") == 1


def test_lambdas_and_functions_made_by_exec_are_served(taskvine: Starter) -> None:
    made: dict[str, Any] = {}
    exec("def made(x):\n    return x + 2", made)
    worker = taskvine(lambda x: x + 1, made["made"])
    worker.ready()
    assert worker.call("<lambda>", 1)["Result"] == 2
    assert worker.call("made", 1)["Result"] == 3


def test_the_program_s_own_modules_travel_with_its_functions(
    taskvine: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_selection.py").write_text("CUT = 30\ndef passes(pt):\n    return pt > CUT\n")
    (tmp_path / "own_analysis.py").write_text(
        "import own_selection\nfrom own_selection import passes\n"
        "def count(pts):\n    return sum(passes(pt) for pt in pts), own_selection.CUT\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own_analysis = __import__("own_analysis")
    worker = taskvine(own_analysis.count)
    worker.ready()
    assert worker.call("count", [10, 40, 50])["Result"] == (2, 30)


def test_what_a_library_cannot_load_is_named_in_its_log(taskvine: Starter) -> None:
    worker = taskvine(double)
    worker.ready()
    (worker.directory / "library_info.clpk").write_bytes(
        __import__("pickle").dumps(
            {"name": "l", "exec_mode": "fork", "functions": {"f": b"cno_such_module\nf\n."}, "context": None}
        )
    )
    broken = TaskVineWorker(worker.directory, [sys.executable, "library_code.py"])
    assert broken.process.wait(30) == 1
    assert "function 'f' cannot be loaded: ModuleNotFoundError" in broken.log.read_text()
    broken.close()


def test_a_library_that_lost_the_worker_s_race_leads_its_group_all_the_same(taskvine: Starter) -> None:
    worker = taskvine(double)
    worker.ready()
    in_fd, to_library = os.pipe()
    from_library, out_fd = os.pipe()
    numbers = f"--in-pipe-fd {in_fd} --out-pipe-fd {out_fd} --task-id 1 --worker-pid {os.getpid()}".split()
    program = [sys.executable, str(worker.directory / "library_code.py"), *numbers]
    with subprocess.Popen(program, cwd=worker.directory, pass_fds=(in_fd, out_fd)) as library:
        assert os.read(from_library, 100)
        assert os.getpgid(library.pid) == library.pid
        os.killpg(library.pid, signal.SIGKILL)
        assert library.wait(30) == -signal.SIGKILL
    for fd in (in_fd, to_library, from_library, out_fd):
        os.close(fd)


def threads() -> str | None:
    return os.environ.get("OMP_NUM_THREADS")


def test_the_library_s_cores_are_divided_among_its_calls(taskvine: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")  # as the worker sets it for a library of 8 cores
    shared = taskvine(threads, cores=8, slots=4)
    shared.ready()
    assert shared.call("threads")["Result"] == "2"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")  # as a user has set it
    chosen = taskvine(threads, cores=8, slots=4)
    chosen.ready()
    assert chosen.call("threads")["Result"] == "3"


def test_an_argument_can_be_the_outcome_of_an_earlier_call(taskvine: Starter) -> None:
    worker = taskvine(double, fail)
    worker.ready()
    for function, answer in (("double", 16), ("fail", "the detector is cold")):
        first = worker.send(function, *([4] if function == "double" else []))
        worker.result()
        task, message = worker.message("double", {"VineFutureFile": "earlier"})
        os.link(worker.sandbox(first) / "outfile", worker.sandbox(task) / "earlier")
        worker.write(message)
        assert worker.result() == (task, 0)
        outcome = worker.outcome(task)
        assert outcome["Result"] == answer or str(answer) in outcome["Reason"]


SOURCE = """
from __future__ import annotations
import sys, math
from dataclasses import dataclass
port = int(sys.argv[1])  # the manager's business: would fail on a node
SCALE = 3

@dataclass
class Point:
    x: float
    y: float

def norm(p: Point) -> float:
    return math.hypot(p.x, p.y)

def scaled(x, y):
    return SCALE * norm(Point(x, y))

def main(os):
    return "the user's own main " + os

def name():
    return "geometry"

if __name__ == "__main__":
    raise SystemExit("not on a node")
"""


def test_one_file_from_source_serves_functions_with_all_they_use(source_library: Starter) -> None:
    worker = source_library(SOURCE, "scaled", "main")
    assert worker.ready() == {"name": "geometry", "taskid": 7, "exec_mode": "fork"}
    assert worker.call("scaled", 3, 4)["Result"] == 15
    assert worker.call("main", "here")["Result"] == "the user's own main here"


def test_hoisted_modules_are_there_before_any_call(source_library: Starter) -> None:
    import decimal

    worker = source_library(
        "def f():\n    import sys\n    return 'decimal' in sys.modules\n", "f", hoisting_modules=[decimal]
    )
    worker.ready()
    assert worker.call("f")["Result"] is True
