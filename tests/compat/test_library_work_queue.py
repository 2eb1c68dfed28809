"""The generated Work Queue coprocess, driven over its pipes and its socket as the worker drives it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.workers import WorkQueueWorker

Starter = Callable[..., WorkQueueWorker]

SOURCE = """
import os, signal, sys

def add(x, y=10):
    print("adding")
    return x + y

def fail():
    raise ValueError("the detector is cold")

def leave():
    sys.exit(3)

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def opaque():
    return object()

def talk():
    sys.stdout.write("x" * 200_000)
    return "done"

def where():
    return os.getcwd()

def process():
    return os.getpid()

def run(socket):
    return "the user's own run " + socket
"""
methods = pytest.mark.parametrize("method", ["direct", "thread", "fork", None])


def test_a_coprocess_says_its_name_and_port(coprocess: Starter) -> None:
    assert coprocess(SOURCE, "add").ready["name"] == "my_coprocess"


def test_the_name_is_what_the_source_says(coprocess: Starter) -> None:
    assert coprocess(SOURCE + "def name():\n    return 'sums'\n", "add").ready["name"] == "sums"


@methods
def test_calls_take_arguments_by_position_and_by_name(coprocess: Starter, method: str | None) -> None:
    worker = coprocess(SOURCE, "add")
    assert worker.call("add", 1, method=method) == {"Result": 11, "StatusCode": 200}
    assert worker.call("add", x=1, y=2, method=method) == {"Result": 3, "StatusCode": 200}


@methods
def test_a_function_that_raises_gives_status_500_and_its_words(coprocess: Starter, method: str | None) -> None:
    worker = coprocess(SOURCE, "add", "fail", "leave", "opaque")
    assert worker.call("fail", method=method) == {"Result": "ValueError: the detector is cold", "StatusCode": 500}
    assert worker.call("add", method=method)["StatusCode"] == 500
    assert worker.call("leave", method=method) == {"Result": "SystemExit: 3", "StatusCode": 500}
    assert "not JSON serializable" in worker.call("opaque", method=method)["Result"]
    assert worker.call("add", 1, method=method)["Result"] == 11


def test_a_killed_call_is_answered_and_the_next_one_works(coprocess: Starter) -> None:
    worker = coprocess(SOURCE, "die", "add")
    assert worker.call("die", method="fork") == {"Result": "the function was killed by signal 9", "StatusCode": 500}
    assert worker.call("add", 1)["Result"] == 11


def test_forked_calls_run_in_a_process_of_their_own(coprocess: Starter) -> None:
    worker = coprocess(SOURCE, "process")
    here = worker.call("process", method="direct")["Result"]
    assert worker.call("process", method="thread")["Result"] == here
    assert worker.call("process", method="fork")["Result"] != here


@methods
def test_what_functions_print_never_reaches_the_worker_s_pipe(coprocess: Starter, method: str | None) -> None:
    worker = coprocess(SOURCE, "talk")
    assert worker.call("talk", method=method)["Result"] == "done"
    assert worker.unread_output() == b""


def test_a_call_works_in_its_task_s_directory(coprocess: Starter) -> None:
    worker = coprocess(SOURCE, "where")
    (worker.workspace / "t.12").mkdir()
    for method in ("direct", "fork"):
        assert worker.call("where", task=12, method=method)["Result"] == str(worker.workspace / "t.12")
    assert worker.call("where", task=13)["Result"] == str(worker.workspace)


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"fn_args": 3}', b'{"remote_task_exec_method": "telepathy"}', b"\xff"])
def test_input_that_makes_no_sense_is_answered(coprocess: Starter, data: bytes) -> None:
    worker = coprocess(SOURCE, "add")
    assert worker.raw("add", 1, data)["StatusCode"] == 500
    worker.hang_up()
    assert worker.call("add", 1)["Result"] == 11


def test_only_what_was_serverized_can_be_called(coprocess: Starter) -> None:
    worker = coprocess(SOURCE, "add", "run")
    assert worker.call("die") == {"Result": "no function 'die' here; there are: add, run", "StatusCode": 500}
    assert worker.call("run", "quietly")["Result"] == "the user's own run quietly"


def test_each_task_may_come_on_a_connection_of_its_own(coprocess: Starter) -> None:
    worker = coprocess(SOURCE, "add")
    for number in range(5):
        assert worker.call("add", number)["Result"] == number + 10
        worker.hang_up()


def test_a_coprocess_ends_when_its_worker_has_gone(coprocess: Starter) -> None:
    worker = coprocess(SOURCE, "add")
    worker.call("add", 1)
    assert worker.leave() == 0
