"""poncho_package_run: each line of the contract that its callers hold, and the faults 25 to 32, which it lacks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.handmade import RUNNER, foreign, plain, tree
from tests.support.runner import Runner, without


@pytest.fixture
def run(tmp_path: Path) -> Runner:
    return Runner(tmp_path / "node")


@pytest.fixture
def tarball(tmp_path: Path) -> Path:
    path = tmp_path / "env.tar.gz"
    plain(variables={"DATA": "lib"}).write(path)
    return path


# --- options


@pytest.mark.parametrize("environment", ["-e", "--environment"])
@pytest.mark.parametrize("unpack", [[], ["-u", "x"], ["--unpack-to", "x"]])
@pytest.mark.parametrize("wait", [[], ["-w", "5"], ["--wait-for-lock", "5"]])
def test_every_option_in_both_spellings(
    run: Runner, tarball: Path, environment: str, unpack: list[str], wait: list[str]
) -> None:
    assert run(*unpack, environment, tarball, *wait, "say", "-e", "x").ok().out == "-e x\n"


def test_parsing_stops_at_the_first_word_that_is_not_an_option(run: Runner, tarball: Path) -> None:
    assert run("-e", tarball, "say", "-u", "dir", "--", "-h").ok().out == "-u dir -- -h\n"
    assert run("-e", tarball, "--", "say", "--help").ok().out == "--help\n"
    assert run("-e", tarball, "--", "say", "--").ok().out == "--\n"


def test_an_unknown_option_before_the_command_is_refused(run: Runner, tarball: Path) -> None:
    run("-e", tarball, "-x", "say").refused("unknown option -x", "hint:")
    run("-e").refused("-e needs a value")
    run("say").refused("no environment")
    run("-e", tarball, "-w", "soon", "-u", "y", "say").refused("whole seconds")


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(run: Runner, option: str) -> None:
    out = run(option).ok().out
    for word in ("--environment", "--unpack-to", "--wait-for-lock", "--debug", "--help-env-creation", "PONCHO_STORE"):
        assert word in out


def test_help_env_creation(run: Runner) -> None:
    assert "poncho_package_create" in run("--help-env-creation").ok().out


@pytest.mark.parametrize("how", [["-d"], ["--debug"], {"PONCHO_PACKAGE_RUN_DEBUG": "yes"}])
def test_debug_says_each_step_with_its_time_on_stderr(
    run: Runner, tarball: Path, how: list[str] | dict[str, str]
) -> None:
    options, env = (how, {}) if isinstance(how, list) else ([], how)
    for _ in range(2):
        done = run(*options, "-e", tarball, "say", "x", env=env).ok()
        assert done.out == "x\n"
        assert done.err
        assert all(line.startswith("poncho_package_run: +") and " s  " in line for line in done.err.splitlines())
    assert run("-e", tarball, "say", "x").ok().err == ""


# --- one file


@pytest.mark.parametrize("name", ["py_wrapper", "python_package_run", "a b"])
def test_one_file_copied_alone_under_any_name_on_a_node_without_python(
    run: Runner, tarball: Path, tmp_path: Path, name: str
) -> None:
    copy = Path(shutil.copy(RUNNER, run.cwd / name))
    package = tarball.rename(run.cwd / "package")
    nothing = without(
        tmp_path / "bin",
        *(n for n in os.listdir("/usr/bin") if n.startswith(("python", "perl", "conda", "flock", "realpath"))),
    )
    for _ in range(2):
        assert run("-e", package, "say", "x", script=copy, env={"PATH": nothing}).ok().out == "x\n"


def test_python_package_run_is_the_same_command() -> None:
    assert (RUNNER.parent / "python_package_run").resolve() == RUNNER


# --- exit status


@pytest.mark.parametrize("status", [0, 1, 2, 77, 124, 125, 126, 127, 128, 255])
def test_the_exit_status_is_the_commands(run: Runner, tarball: Path, status: int) -> None:
    assert run("-e", tarball, "sh", "-c", f"exit {status}").status == status


def test_a_command_that_is_missing_or_not_executable(run: Runner, tarball: Path) -> None:
    run("-e", tarball, "no-such-command").refused("no-such-command", "not found", status=127)
    (run.cwd / "data").write_text("")
    run("-e", tarball, "./data").refused("./data", "cannot be executed", status=126)
    run("-e", tarball, "./nothing").refused("not found", status=127)
    assert run("-e", tarball, "/").status == 126


def test_what_beginners_type_gets_the_next_step(run: Runner, tarball: Path) -> None:
    (run.cwd / "fit.py").write_text("")
    run("-e", tarball, "fit.py").refused("fit.py: command not found", "python fit.py", status=127)
    run("-e", tarball, "./fit.py").refused("python ./fit.py", "chmod +x", status=126)
    run(tarball, "python", "fit.py").refused("no environment given", f"did you mean -e {tarball}?")


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "QUIT", "USR1", "KILL"])
def test_a_signal_ends_the_command_as_if_there_were_no_runner(run: Runner, tarball: Path, name: str) -> None:
    number = getattr(signal, f"SIG{name}")
    assert run("-e", tarball, "sh", "-c", f"kill -{name} $$").status == -number
    through_a_shell = subprocess.run(
        ["sh", "-c", '"$@"; exit $?', "sh", *run.command("-e", tarball, "sh", "-c", f"kill -{name} $$")],
        env=run.environment(),
        check=False,
        stderr=subprocess.DEVNULL,
    )
    assert through_a_shell.returncode == 128 + number


def test_without_a_command_it_only_sets_up(run: Runner, tarball: Path) -> None:
    for _ in range(2):
        done = run("-e", tarball).ok()
        assert (done.out, done.err) == ("", "")
    assert len(run.unpacked()) == 1


# --- what the command gets


def test_stdin_and_stdout_belong_to_the_command(run: Runner, tarball: Path) -> None:
    for _ in range(2):
        assert run("-e", tarball, "cat", input=b"line\nrest").ok().out == "line\nrest"


def test_every_descriptor_is_inherited(run: Runner, tarball: Path) -> None:
    for _ in range(2):
        pipes = [os.pipe() for _ in range(12)]
        ends = [end for pipe in pipes for end in pipe]
        words = " ".join(str(write) for _, write in pipes)
        code = f"import os\nfor fd in map(int, '{words}'.split()): os.write(fd, b'%d' % fd)"
        run("-e", tarball, sys.executable, "-c", code, pass_fds=ends).ok()
        assert [os.read(read, 9) for read, _ in pipes] == [str(write).encode() for _, write in pipes]
        for end in ends:
            os.close(end)


def test_it_is_the_same_process_group_and_the_same_process(run: Runner, tarball: Path) -> None:
    for _ in range(2):
        process = run.start(
            "-e", tarball, sys.executable, "-c", "import os; print(os.getpid(), os.getpgrp())", start_new_session=True
        )
        out, _ = process.communicate(timeout=60)
        assert out.split() == [str(process.pid).encode()] * 2


def test_the_callers_working_directory_and_umask(run: Runner, tarball: Path) -> None:
    for _ in range(2):
        done = run("-e", tarball, "sh", "-c", "pwd; umask", umask=0o027).ok()
        assert done.out == f"{run.cwd}\n0027\n"


def test_the_environment_is_first_on_path_and_its_variables_are_set(run: Runner, tarball: Path) -> None:
    for _ in range(2):
        out = run("-e", tarball, "sh", "-c", 'command -v say; echo "$CONDA_PREFIX"; echo "$DATA"').ok().out.splitlines()
        root = str(run.store / run.unpacked()[0])
        assert out == [f"{root}/bin/say", root, f"{root}/lib"]


def test_other_variables_are_left_alone(run: Runner, tarball: Path) -> None:
    mine = {
        "env": "1",
        "store": "2",
        "digest": "3",
        "line": "4",
        "dir": "5",
        "ODD": "a b\n$(x) 'q'",
        "LC_ALL": "C",
        "LD_LIBRARY_PATH": "/x",
    }
    seen = []
    for _ in range(2):
        out = run("-e", tarball, sys.executable, "-c", "import os; print(dict(os.environ))", env=mine).ok().out
        found = eval(out)
        assert {name: found.get(name) for name in mine} == mine
        seen.append({name for name in found if name not in run.environment(mine)})
    assert seen[0] == seen[1]
    assert not [name for name in seen[0] if name.startswith("_pr") or name.startswith("PONCHO")]


def test_pythonpath_is_unset_and_poncho_prefix_is_not_exported(run: Runner, tarball: Path) -> None:
    for _ in range(2):
        out = (
            run(
                "-e", tarball, "sh", "-c", 'echo "${PYTHONPATH-unset} ${PONCHO_PREFIX-unset}"', env={"PYTHONPATH": "/x"}
            )
            .ok()
            .out
        )
        assert out == "unset unset\n"


def test_many_first_calls_at_once_unpack_once(run: Runner, tarball: Path) -> None:
    """Work Queue: all tasks of a worker share one directory."""
    started = [run.start("-d", "-e", tarball, "--unpack-to", "shared-env", "say", "x") for _ in range(20)]
    ends = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0] * 20
    assert {out for out, _ in ends} == {b"x\n"}
    assert sum(err.count(b"unpacking") for _, err in ends) == 1


# --- the tarball


def test_plain_conda_pack_tarballs_run(run: Runner, tmp_path: Path) -> None:
    foreign(tmp_path / "conda.tar.gz")
    for _ in range(2):
        assert run("-e", tmp_path / "conda.tar.gz", "where").ok().out == f"{run.store / run.unpacked()[0]}\n"


def test_taskvines_commands(run: Runner, tarball: Path) -> None:
    """Literally what vine_file.c and vine_task.c run, through sh -c."""
    shutil.copy(tarball, run.cwd / "package.tar.gz")
    for command in (
        "mkdir output && tar xf package.tar.gz -C output && output/bin/run_in_env",
        "mkdir cache && mv output cache/x && ln -s cache/x __vine_env_X",
        "__vine_env_X/bin/run_in_env say done > out",
        "__vine_env_X/bin/run_in_env sh -c 'echo ${PONCHO_PREFIX:+$PONCHO_PREFIX/bin/}say' >> out",
    ):
        subprocess.run(["sh", "-c", command], cwd=run.cwd, env=run.environment(), check=True)
    assert (run.cwd / "out").read_text() == f"done\n{run.cwd}/cache/x/bin/say\n"


# --- faults of today's runner


def test_fault_25_a_directory_given_with_e_is_relocated(run: Runner) -> None:
    env = plain().unpack(run.cwd / "env")
    run("-e", "env", "say").ok()
    assert (env / "etc/settings").read_text().startswith(f"root = {env}\n")


def test_fault_26_sigterm_ends_the_command_and_leaves_its_environment(run: Runner, tarball: Path) -> None:
    process = run.start("-e", tarball, "sh", "-c", "echo $$; exec sleep 60", start_new_session=True)
    assert process.stdout is not None
    assert int(process.stdout.readline()) == process.pid
    process.terminate()
    assert process.wait(timeout=10) == -signal.SIGTERM
    assert (run.store / run.unpacked()[0] / "bin/say").exists()


def test_fault_27_a_directory_with_environment_a_never_runs_a_when_asked_for_b(
    run: Runner, tarball: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.tar.gz"
    plain(files={"bin/say": "#!/bin/sh\necho other\n", "lib/blob": bytes(1000)}).write(other)
    for _ in range(5):
        assert run("-e", tarball, "-u", "env", "say", "this").ok().out == "this\n"
        assert run("-e", other, "-u", "env", "say", "this").ok().out == "other\n"


def test_fault_28_a_torn_unpack_is_not_accepted(run: Runner, tarball: Path) -> None:
    torn = run.cwd / "env"
    (torn / "bin").mkdir(parents=True)
    (torn / "bin/conda-unpack").write_text("")
    (torn / ".poncho_package_run_expanded").write_text("")
    assert run("-e", tarball, "-u", torn, "say", "x").ok().out == "x\n"


def test_fault_29_spaces_and_missing_parents(run: Runner, tarball: Path) -> None:
    spaced = tarball.rename(run.cwd / "my env.tar.gz")
    assert run("-e", spaced, "-u", "a b/c d/e", "say", "x").ok().out == "x\n"
    assert run("-e", spaced.name, "say", "x").ok().out == "x\n"
    assert run("-e", "a b/c d/e", "say", "x").ok().out == "x\n"


def test_fault_30_the_working_directory_is_left_as_it_is(run: Runner, tarball: Path, everyone: Path) -> None:
    run("-e", tarball, "say", "x").ok()
    assert list(run.cwd.iterdir()) == []
    if os.geteuid() == 0:
        for file in (RUNNER, tarball):
            shutil.copy(file, everyone)
        store = everyone / "store"
        store.mkdir()
        os.chown(store, 65534, 65534)
        read_only = everyone / "cwd"
        read_only.mkdir(mode=0o555)
        done = run(
            "-e",
            everyone / tarball.name,
            "say",
            "x",
            script=everyone / RUNNER.name,
            cwd=read_only,
            env={"PONCHO_STORE": str(store)},
            user=65534,
        )
    else:
        run.cwd.chmod(0o555)
        done = run("-e", tarball, "say", "x")
    assert done.ok().out == "x\n"


def test_fault_31_errors_go_to_stderr(run: Runner, tarball: Path) -> None:
    run("-e", "/no/such/file", "say").refused("does not exist")
    tarball.write_bytes(b"\x1f\x8b\x08\x00")
    run("-e", tarball, "say").refused("truncated or damaged")


def test_fault_32_the_users_python_stays_out(run: Runner, tarball: Path) -> None:
    leaks = {
        "PYTHONPATH": "/x",
        "PYTHONHOME": "/x",
        "PYTHONSTARTUP": "/x",
        "VIRTUAL_ENV": "/x",
        "PYTHONNOUSERSITE": None,
    }
    for _ in range(2):
        done = run(
            "-e",
            tarball,
            "sh",
            "-c",
            'echo "$PYTHONPATH$PYTHONHOME$PYTHONSTARTUP$VIRTUAL_ENV|$PYTHONNOUSERSITE"',
            env=leaks,
        )
        assert done.ok().out == "|1\n"


def test_fault_32_neither_flock_nor_realpath_is_needed(run: Runner, tarball: Path, tmp_path: Path) -> None:
    path = without(tmp_path / "bin", "flock", "realpath")
    for option in ([], ["-u", "env"]):
        assert run("-e", tarball, *option, "say", "x", env={"PATH": path}).ok().out == "x\n"


def test_nothing_is_unpacked_a_second_time_by_default(run: Runner, tarball: Path) -> None:
    run("-e", tarball, "say").ok()
    root = run.store / run.unpacked()[0]
    before = tree(root), root.stat().st_ino
    time.sleep(0.01)
    run("-e", tarball, "say").ok()
    assert (tree(root), root.stat().st_ino) == before


def test_a_read_only_directory_runs_with_one_warning(run: Runner, everyone: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    env = plain().unpack(everyone / "env")
    done = run("-e", env, "say", "x", cwd=everyone, user=65534).ok()
    assert done.out == "x\n"
    assert done.err.count("\n") == 1
    assert "warning" in done.err
    assert run(cwd=everyone, user=65534, script=env / "bin/conda-unpack").status == 125
