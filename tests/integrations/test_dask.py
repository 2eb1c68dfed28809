"""Dask: real schedulers, nannies and workers; the client outside, the workers in a package."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from poncho.errors import PackageError, UsageError
from tests.support.cli import CHECKOUT
from tests.support.engines import AREA, ARGUMENTS, FUNCTION, engine_package, run_program

pytest.importorskip("distributed", reason="dask[distributed] is not installed: it is in the dependency group 'test'")
from poncho.integrations.dask import (
    check_versions,
    python_command,
    use_package,
    version_differences,
    worker_command,
)

pytestmark = [pytest.mark.network]

FULL = bool(os.environ.get("PONCHO_TEST_FULL"))

HEAD = (
    f"""
import json, os, subprocess, sys
sys.path.append({str(CHECKOUT)!r})
from pathlib import Path
from distributed import Client, LocalCluster
from poncho.errors import PonchoError
from poncho.integrations.dask import PackagedCluster, check_versions, python_command, use_package
"""
    + FUNCTION
    + f"""
def fails():
    raise ValueError("no muon")

def answers(client):
    try:
        client.submit(fails).result(60)
    except ValueError as error:
        said = str(error)
    return [client.submit(area, {ARGUMENTS}, pure=False).result(60), said]

def prefixes(client):
    return sorted(client.run(lambda: __import__("sys").prefix).values())

def local(**options):
    return LocalCluster(host="127.0.0.1", dashboard_address="127.0.0.1:0", threads_per_worker=1, **options)

def write(*values):
    Path("answer.json").write_text(json.dumps(values))
"""
)

LOCAL = (
    HEAD
    + """
if __name__ == "__main__":
    here = os.getcwd()
    Path("beside.py").write_text("word = 'own'")
    os.chdir("/")
    with PackagedCluster(sys.argv[1], n_workers=1) as cluster, Client(cluster) as client:
        answer = answers(client)
        answer.append(client.submit(lambda: __import__("beside").word).result(60))
        cluster.scale(2)
        client.wait_for_workers(2, timeout=60)
        grown = prefixes(client)
        differences = [one.name for one in check_versions(client)]
    os.chdir(here)
    write(answer, grown, differences)
"""
)

BROKEN = (
    HEAD
    + """
if __name__ == "__main__":
    said = []
    for options in (
        {"worker_options": {"no_such_option": 1}},
        {"store": "/proc/no/such/place"},
        {"worker_options": {"resources": {1, 2}}},
    ):
        try:
            PackagedCluster(sys.argv[1], n_workers=1, **options).close()
        except PonchoError as error:
            said.append([str(error), error.hint])
    write(*said)
"""
)

NOISY = (
    HEAD
    + """
def noisy():
    import logging, warnings
    print("printed", file=sys.stderr)
    warnings.warn("warned")
    logging.getLogger("mine").error("logged")

if __name__ == "__main__":
    os.dup2(os.open("said.txt", os.O_RDWR | os.O_CREAT), 2)
    with PackagedCluster(sys.argv[1], n_workers=1) as cluster, Client(cluster) as client:
        client.submit(noisy).result(60)
        client.run(lambda: None)
    write(Path("said.txt").read_text())
"""
)

INTERRUPTED = (
    HEAD
    + """
import signal, threading, time

def children():
    words = (Path(task, "children").read_text() for task in Path("/proc/self/task").iterdir())
    return [pid for text in words for pid in text.split() if "defunct" not in Path("/proc", pid, "status").read_text()]

def interrupt():
    while not children():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)

if __name__ == "__main__":
    threading.Thread(target=interrupt).start()
    try:
        PackagedCluster(sys.argv[1], n_workers=2)
    except KeyboardInterrupt:
        write(children())
"""
)

TWO = (
    HEAD
    + """
import threading

def bring(mine, wait_for, then):
    try:
        with local(n_workers=1) as cluster, Client(cluster, set_as_default=False) as client:
            wait_for.wait(60)
            use_package(client, sys.argv[1], timeout=20, reporter=lambda event: then(event.kind))
            said[mine] = prefixes(client)
    finally:
        ended.set()

if __name__ == "__main__":
    said, begun, both, ended, now = {}, threading.Event(), threading.Event(), threading.Event(), threading.Event()
    now.set()

    def first(kind):  # goes on when the second one is at work, too
        if kind == "start":
            begun.set()
            both.wait(60)

    def second(kind):  # goes on when the first one has ended
        if kind == "start":
            both.set()
            ended.wait(60)

    threads = [threading.Thread(target=bring, args=one) for one in (("a", now, first), ("b", begun, second))]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    write(said.get("a"), said.get("b"))
"""
)

RUNNING = (
    HEAD
    + """
if __name__ == "__main__":
    upload, package, second = {"upload": True, "shared": False, "look": None}[sys.argv[1]], sys.argv[2], sys.argv[3]
    with local(n_workers=1) as cluster, Client(cluster) as client:
        before = prefixes(client)
        use_package(client, package, upload=upload)
        answer = answers(client)
        cluster.scale(2)
        client.wait_for_workers(2, timeout=60)
        later = prefixes(client)
        client.restart()
        restarted = prefixes(client)
        if upload:
            use_package(client, second, upload=upload)
        replaced = prefixes(client)
    # The client's own multiprocessing is what it was.
    import multiprocessing.spawn
    assert os.fsdecode(multiprocessing.spawn.get_executable()) == sys.executable
    write(before, answer, later, restarted, replaced)
"""
)

REFUSED = (
    HEAD
    + """
if __name__ == "__main__":
    said = []
    with local(n_workers=0) as cluster, Client(cluster) as client:
        command = [str(Path(sys.executable).parent / "dask"), "worker", cluster.scheduler_address, "--no-nanny", "--no-dashboard"]
        worker = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            client.wait_for_workers(1, timeout=60)
            use_package(client, sys.argv[1])
        except PonchoError as error:
            said.append(str(error))
        finally:
            worker.terminate()
            worker.wait(30)
    with local(n_workers=1) as cluster, Client(cluster) as client:
        before = prefixes(client)
        try:
            use_package(client, sys.argv[1], store="/proc/no/such/place")
        except PonchoError as error:
            said.append([str(error), error.hint])
        said.append(prefixes(client) == before)
    write(*said)
"""
)

BY_SSH = (
    HEAD
    + """
from distributed import SSHCluster
if __name__ == "__main__":
    port, key, package, store = sys.argv[1:]
    options = {"port": int(port), "known_hosts": None, "client_keys": [key], "config": None}
    python = python_command(package, store=store)
    # The scheduler is the first host's; workers are the others'. All are in the package.
    with SSHCluster(["127.0.0.1"] * 2, connect_options=options, remote_python=python,
                    scheduler_options={"dashboard_address": "127.0.0.1:0"}) as cluster, Client(cluster) as client:
        write(answers(client), client.run_on_scheduler(lambda: __import__("sys").prefix))
"""
)


@pytest.fixture(scope="module")
def package(shared_directory: Path) -> Path:
    return engine_package(shared_directory, "distributed", "cloudpickle")


@pytest.mark.slow
def test_workers_of_a_packaged_cluster_are_in_the_package_also_those_that_come_later(package: Path, tmp_path: Path):
    store = tmp_path / "store"
    (product, said, beside), grown, differences = run_program(LOCAL, tmp_path, package, env={"PONCHO_STORE": store})
    assert product[:2] == AREA
    assert said == "no muon"
    assert beside == "own", "modules beside the main program are found, as by a LocalCluster"
    assert len(grown) == 2
    assert all(Path(prefix).is_relative_to(store) for prefix in grown)
    assert set(differences) <= {"numpy", "pandas", "lz4"}


def test_a_worker_that_does_not_start_is_an_error_with_its_last_words(package: Path, tmp_path: Path):
    (message, hint), (node, todo), unsendable = run_program(BROKEN, tmp_path, package)
    assert "ended before it was there" in message
    assert "no_such_option" in hint
    assert "the store /proc/no/such/place cannot be made" in node
    assert todo == "set PONCHO_STORE to a directory that can be written"
    assert "worker_options cannot be sent to the workers" in unsendable[0]


def test_no_worker_is_left_when_the_start_is_interrupted(package: Path, tmp_path: Path):
    assert run_program(INTERRUPTED, tmp_path, package) == [[]]


def test_what_tasks_write_to_stderr_is_seen(package: Path, tmp_path: Path):
    said = run_program(NOISY, tmp_path, package)[0]
    assert all(word in said for word in ("printed", "warned", "logged"))
    assert " - INFO - " not in said, "Dask's usual words are not for people"


@pytest.mark.slow
@pytest.mark.parametrize(
    "way", ["upload", pytest.param("shared", marks=pytest.mark.skipif(not FULL, reason="PONCHO_TEST_FULL=1"))]
)
def test_a_package_comes_to_a_running_cluster_and_stays(
    way: str, package: Path, shared_directory: Path, tmp_path: Path
):
    store = tmp_path / "store"
    second = engine_package(shared_directory, "distributed", "cloudpickle", "zict")
    before, (product, said), later, restarted, replaced = run_program(
        RUNNING, tmp_path, way, package, second, env={"PONCHO_STORE": store}
    )
    assert before == [sys.prefix]
    assert product[:2] == AREA
    assert said == "no muon"
    assert later == restarted == [product[2]] * 2
    assert Path(product[2]).is_relative_to(store)
    if way == "upload":
        assert len(set(replaced)) == 1
        assert replaced[0] not in (product[2], sys.prefix)


@pytest.mark.slow
def test_two_clusters_of_one_program_get_their_package_at_the_same_time(package: Path, tmp_path: Path):
    first, second = run_program(TWO, tmp_path, package, env={"PONCHO_STORE": tmp_path / "store"})
    assert first == second
    assert Path(first[0]).is_relative_to(tmp_path / "store")


@pytest.mark.parametrize("given", [None, "tcp://scheduler:8786", object()])
def test_what_is_no_client_is_refused(given: object, package: Path):
    for call in (check_versions, lambda one: use_package(one, package)):
        with pytest.raises(UsageError, match="a Client is needed, not"):
            call(given)


def test_workers_without_nannies_and_nodes_where_the_package_does_not_run_are_said(package: Path, tmp_path: Path):
    alone, (node, todo), untouched = run_program(REFUSED, tmp_path, package)
    assert "1 of 1 workers have no nanny" in alone
    assert "/proc/no/such/place" in node
    assert "\n" not in node
    assert todo.startswith("set PONCHO_STORE")
    assert untouched, "a package that failed has changed the workers"


@pytest.mark.slow
def test_workers_of_an_ssh_cluster_are_in_the_package(package: Path, tmp_path: Path):
    pytest.importorskip("asyncssh", reason="asyncssh is not installed: it is in the dependency group 'test'")
    server = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if server is None:
        pytest.skip("sshd is not installed (Debian: openssh-server)")
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    for name in ("host", "user"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": tmp_path / "host",
        "AuthorizedKeysFile": tmp_path / "user.pub",
        "PasswordAuthentication": "no",
        "StrictModes": "no",
        "PermitRootLogin": "yes",
        "PidFile": "none",
        "UsePAM": "no",
    }
    (tmp_path / "sshd.conf").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd separates its privileges; services make it
    daemon = subprocess.Popen([server, "-D", "-e", "-f", tmp_path / "sshd.conf"], stderr=subprocess.PIPE)
    store = tmp_path / "store"
    try:
        (product, said), scheduler = run_program(
            BY_SSH, tmp_path, str(port), tmp_path / "user", package, store, timeout=90
        )
    finally:
        daemon.terminate()
        daemon.communicate(timeout=30)
    assert product[:2] == AREA
    assert said == "no muon"
    assert scheduler == product[2]
    assert Path(scheduler).is_relative_to(store)


@pytest.mark.parametrize("name", ["SLURMCluster", "PBSCluster", "LSFCluster", "SGECluster", "HTCondorCluster"])
def test_job_scripts_of_dask_jobqueue_start_workers_through_the_runner(name: str, package: Path, tmp_path: Path):
    jobqueue = pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is in the dependency group 'test'")
    options: dict[str, Any] = {"HTCondorCluster": {"disk": "1GB"}, "LSFCluster": {"lsf_units": "mb"}}.get(name, {})
    if name == "LSFCluster":
        options["use_stdin"] = True
    python = python_command(package, stage_to=tmp_path / "nodes see it")
    with getattr(jobqueue, name)(
        cores=1, memory="1GB", python=python, scheduler_options={"dashboard_address": "127.0.0.1:0"}, **options
    ) as cluster:
        script = cluster.job_script()
    assert "-- python -m distributed.cli.dask_worker tcp://" in script
    assert str(tmp_path / "nodes see it") in script


def test_the_command_of_a_worker_is_an_argument_list(package: Path):
    words = worker_command(package, "tcp://login:8786", "--nworkers", "2", store="/local")
    assert words[:2] == ["env", "PONCHO_STORE=/local"]
    assert words[-6:] == ["--", "dask", "worker", "tcp://login:8786", "--nworkers", "2"]
    assert shlex.split(python_command(package))[-2:] == ["--", "python"]


class Told:
    """A client that was told versions: what Dask's own protocol answers, with what differs put in."""

    def __init__(self, **changed: str | None) -> None:
        same = {"python": "3.11.7.final.0", "distributed": "2026.1.0", "msgpack": "1.1.0", "numpy": None}
        self._answer = {
            "client": {"packages": same},
            "scheduler": {"packages": same},
            "workers": {"tcp://w:1": {"packages": same | changed}},
        }

    def get_versions(self) -> dict[str, Any]:
        return self._answer


def test_versions_that_break_are_refused_with_the_versions_to_build_with():
    with pytest.raises(PackageError, match=r"msgpack \(client 1\.1\.0, scheduler 1\.1\.0, workers 0\.9\)") as caught:
        check_versions(Told(msgpack="0.9", python="3.12.1.final.0"))
    assert "Python 3.11, msgpack==1.1.0" in str(caught.value.hint)


def test_versions_that_matter_only_where_values_cross_are_told_and_pass():
    (difference,) = check_versions(Told(numpy="2.1", python="3.11.9.final.0"))
    assert str(difference) == "numpy (client missing, scheduler missing, workers 2.1)"
    assert version_differences(Told()) == ()
