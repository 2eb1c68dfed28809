"""Libraries in the hands of workers, for the tests of what they speak."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from poncho.compat import package_serverize
from tests.support.workers import TaskVineWorker, WorkQueueWorker

VineStarter = Callable[..., TaskVineWorker]
QueueStarter = Callable[..., WorkQueueWorker]


@pytest.fixture
def taskvine(tmp_path: Path) -> Iterator[VineStarter]:
    """Yield a function that makes a library of live functions and has a worker start it, where nothing else lies."""
    workers: list[TaskVineWorker] = []

    def start(*functions: Any, name: str = "library", cores: int = 2, slots: int = 2, **options: Any) -> TaskVineWorker:
        directory = tmp_path / f"worker{len(workers)}" / "libr.7"
        directory.mkdir(parents=True)
        package_serverize.generate_library(
            library_cache_path=directory,
            library_code_path=directory / "library_code.py",
            library_env_path=directory / "library_env.tar.gz",
            library_info_path=directory / "library_info.clpk",
            functions=functions,
            library_name=name,
            need_pack=False,
            **options,
        )
        worker = TaskVineWorker(directory, [sys.executable, "library_code.py"], cores=cores, slots=slots)
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.close()


@pytest.fixture
def source_library(tmp_path: Path) -> Iterator[VineStarter]:
    """Yield a function that serverizes a source text for TaskVine and has a worker start the one file."""
    workers: list[TaskVineWorker] = []

    def start(text: str, *functions: str, **options: Any) -> TaskVineWorker:
        directory = tmp_path / "worker" / "libr.7"
        directory.mkdir(parents=True)
        (tmp_path / "source.py").write_text(text)
        program = directory / "library_code.py"
        package_serverize.create_library_code(tmp_path / "source.py", functions, program, "taskvine", **options)
        workers.append(TaskVineWorker(directory, [program]))
        return workers[-1]

    yield start
    for worker in workers:
        worker.close()


@pytest.fixture
def coprocess(tmp_path: Path) -> Iterator[QueueStarter]:
    """Yield a function that serverizes a source text for Work Queue and has a worker start it."""
    workers: list[WorkQueueWorker] = []

    def start(text: str, *functions: str) -> WorkQueueWorker:
        (tmp_path / "workspace").mkdir()
        (tmp_path / "source.py").write_text(text)
        program = tmp_path / "coprocess.py"
        package_serverize.create_library_code(tmp_path / "source.py", functions, program, "work_queue")
        workers.append(WorkQueueWorker(tmp_path / "workspace", program))
        return workers[-1]

    yield start
    for worker in workers:
        worker.close()
