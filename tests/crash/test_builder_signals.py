"""Interrupting a build at any moment: Ctrl-C, TERM and HUP leave no file, no directory and no process, and say so."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.channel import Channel
from tests.support.cli import command_path, environment, run_cli
from tests.support.faults import count, processes_with, wait_for
from tests.support.gitserver import GitServer, Repository
from tests.support.httpserver import HttpServer

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A project that is built by a compiler of its own, which takes a moment and has children.
BACKEND = """
import pathlib, subprocess, zipfile
def get_requires_for_build_wheel(config_settings=None): return []
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    subprocess.run(["sh", "-c", "sleep 0.4 & sleep 0.4; wait"], check=True)
    name = "slow_project-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory, name), "w") as wheel:
        wheel.writestr("slow_project.py", "x = 1\\n")
        wheel.writestr("slow_project-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: slow-project\\nVersion: 1.0\\n")
        wheel.writestr("slow_project-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("slow_project-1.0.dist-info/RECORD", "slow_project.py,,\\n")
    return name
"""


@dataclass(frozen=True)
class Ground:
    """A spec, a cache in which a part of what it needs is, and how long a build takes with that."""

    spec: Path
    cache: Path
    seconds: float
    digest: str


@pytest.fixture(scope="module", params=["everything", "data", "conda"])
def ground(
    request: pytest.FixtureRequest, channel: Channel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    root = tmp_path_factory.mktemp("signals")
    project = root / "project"
    project.mkdir()
    (project / "backend.py").write_text(BACKEND)
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "slow-project"\nversion = "1.0"\n'
    )
    repository = Repository(root / "srv" / "data.git")
    repository.commit({f"file{number}": os.urandom(20_000) for number in range(50)})
    with ExitStack() as stack:
        web = stack.enter_context(HttpServer())
        git = stack.enter_context(GitServer(root / "srv"))
        web.put("/large.bin", os.urandom(20_000_000))
        conda = [f"python={channel.python}", "pip", "greet", {"pip": [str(project)]}]
        spec = {
            "conda": {"channels": [channel.url], "dependencies": conda},
            "http": {"LARGE": {"url": web.url("/large.bin")}},
            "git": {"DATA": {"remote": git.url(repository)}},
        }
        if request.param == "conda":
            spec = {"conda": {"channels": [channel.url], "dependencies": ["text-prefix", "ladder=1.2"]}}
        elif request.param == "data":
            del spec["conda"]
        (root / "spec.json").write_text(json.dumps(spec))
        first = build(root / "spec.json", root / "env.tar.gz", root / "cache")
        digest = json.loads(first)["digest"]
        # Compiling takes longest by far: it is done, all else is to do.
        for kind in ("conda", "pip", "git", "http"):
            shutil.rmtree(root / "cache" / kind, ignore_errors=True)
        shutil.copytree(root / "cache", root / "copy")
        began = time.monotonic()
        build(root / "spec.json", root / "env.tar.gz", root / "copy")
        yield Ground(root / "spec.json", root / "cache", time.monotonic() - began, digest)


def build(spec: Path, output: Path, cache: Path) -> str:
    return run_cli("poncho_package_create", "--json", spec, output, env={"PONCHO_CACHE_DIR": cache}).ok().stdout


def leftovers(root: Path) -> list[str]:
    """Return what is no cache and no output: scratch directories, files that were not published."""
    found = list(root.glob("cache/tmp/*"))
    found += [path for path in root.rglob(".*.tmp") if not path.is_relative_to(root / "cache" / "pip" / "uv")]
    return [str(path.relative_to(root)) for path in (*found, *root.glob("tmp/*"))]


def _before_the_command(words: str) -> bool:
    """Tell whether it was the interpreter that was interrupted, before the command's first lines ran: it says so itself."""
    started = "Fatal Python error: init" in words or "\n    import signal\n" in words
    return started and words.rstrip().endswith("KeyboardInterrupt")


def test_a_build_that_is_interrupted_at_a_random_time_leaves_nothing(ground: Ground, tmp_path: Path) -> None:
    dice = random.Random(ground.digest)
    work = tmp_path / "work"
    for number in range(count(4, 70)):
        shutil.rmtree(work, ignore_errors=True)
        for name in ("out", "tmp"):
            (work / name).mkdir(parents=True)
        cold = number % 10 == 3
        if not cold:
            shutil.copytree(ground.cache, work / "cache", copy_function=os.link)
        name = dice.choice(SIGNALS)
        marker = f"PONCHO_TEST_MARKER={uuid.uuid4()}"
        changes = {"PONCHO_CACHE_DIR": work / "cache", "TMPDIR": work / "tmp"}
        key, _, value = marker.partition("=")
        output = work / "out" / "env.tar.gz"
        began = time.monotonic()
        process = subprocess.Popen(
            [command_path("poncho_package_create"), ground.spec, output],
            env=environment({**changes, key: value}),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        moment = dice.uniform(0.0, ground.seconds * (2.0 if cold else 1.1))
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.send_signal(name)
            if number % 3 == 0:
                try:
                    process.wait(dice.uniform(0.0, 0.2))
                except subprocess.TimeoutExpired:
                    process.send_signal(dice.choice(SIGNALS))
        _, words = process.communicate(timeout=60)
        said = f"{number}: {name.name} after {moment:.2f} s (took {time.monotonic() - began:.2f} s): {words}"
        wait_for(lambda marker=marker: not processes_with(marker), 5)
        assert leftovers(work) == [], said
        lines = [line for line in words.splitlines() if "cleaning up" not in line and "warning:" not in line]
        if _before_the_command(words):
            assert process.returncode != 0, said
            assert not output.exists(), said
        elif process.returncode == 0:
            assert output.exists(), said
        elif process.returncode < 0:
            # Before the command took over there was nothing to undo, and nobody to say it; or it was done.
            assert -process.returncode in SIGNALS, said
            assert output.exists() == bool(words), said
        else:
            assert process.returncode - 128 in SIGNALS, said
            assert len(lines) == 1, said
            assert "interrupted (SIG" in lines[0], said
            assert output.exists() == ("complete already" in lines[0]), said
            assert "nothing was written" in lines[0] or output.exists(), said
    # What interrupted builds have left in the caches does no harm.
    assert json.loads(build(ground.spec, work / "again.tar.gz", work / "cache"))["digest"] == ground.digest


@pytest.mark.parametrize("ground", ["data"], indirect=True)
@pytest.mark.parametrize("where", ["terminal", "nohup"])
def test_what_was_ignored_from_the_start_stays_ignored(ground: Ground, tmp_path: Path, where: str) -> None:
    """A build under nohup survives the end of its session, and Ctrl-C in the shell that put it into the background."""
    ignored = signal.SIGHUP if where == "nohup" else signal.SIGINT
    shutil.copytree(ground.cache, tmp_path / "cache", copy_function=os.link)
    process = subprocess.Popen(
        [command_path("poncho_package_create"), "-q", ground.spec, tmp_path / "env.tar.gz"],
        env=environment({"PONCHO_CACHE_DIR": tmp_path / "cache"}),
        preexec_fn=lambda: signal.signal(ignored, signal.SIG_IGN),
    )
    wait_for(lambda: list(tmp_path.glob("cache/tmp/*")))
    process.send_signal(ignored)
    assert process.wait(120) == 0
    assert (tmp_path / "env.tar.gz").exists()
