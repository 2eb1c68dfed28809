"""What a caller left closed, full or exported is no reason to fail, and never one to do something else."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.handmade import plain
from tests.support.runner import Runner

CLOSED = ["2>&-", "<&- 2>&-", "<&- >&- 2>&-", ">&-"]


@pytest.mark.parametrize("closed", CLOSED)
def test_closed_standard_streams_are_no_obstacle(run: Runner, package: Path, closed: str) -> None:
    command = 'exec "$@" ' + closed
    for _ in ("cold", "warm"):
        argv = run.command("-e", package, "--", "/bin/sh", "-c", "exit 7")
        done = subprocess.run(["/bin/sh", "-c", command, "sh", *argv], env=run.environment(), cwd=run.cwd, check=False)
        assert done.returncode == 7


def test_a_closed_stream_is_closed_for_the_command(node: Runner, package: Path) -> None:
    show = "for n in 0 1 2; do [ ! -e /proc/self/fd/$n ] || open=$open$n; done; exit $open"
    for _ in ("cold", "warm"):
        argv = node.command("-e", package, "--", "/bin/sh", "-c", show)
        done = subprocess.run(
            ["/bin/sh", "-c", 'exec "$@" 2>&-', "sh", *argv], env=node.environment(), cwd=node.cwd, check=False
        )
        assert done.returncode == 1, "0 and 1"


def test_steps_that_nobody_can_read_do_not_matter(run: Runner, package: Path) -> None:
    if run.shell == "zsh":
        pytest.skip("zsh ends by itself when it cannot say that it could not write")
    with open("/dev/full", "wb") as full:
        argv = run.command("-d", "-e", package, "--", "/bin/sh", "-c", "exit 7")
        assert subprocess.run(argv, env=run.environment(), cwd=run.cwd, stderr=full, check=False).returncode == 7


@pytest.mark.parametrize("option", ["--print-env", "--print-env=json", "--list-env", "--version", "--help"])
def test_what_cannot_be_printed_is_an_error_and_no_command_runs(run: Runner, tmp_path: Path, option: str) -> None:
    plain(variables={"DATA": "lib"}).write(package := tmp_path / "env.tar.gz")
    with open("/dev/full", "wb") as full:
        argv = run.command("-e", package, option, "--", "touch", run.directory / "ran")
        done = subprocess.run(
            argv, env=run.environment(), cwd=run.cwd, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 125
    assert "cannot be written to standard output" in done.stderr
    assert not (run.directory / "ran").exists()


@pytest.mark.parametrize("mask", [0o777, 0o377])
def test_a_mask_that_takes_the_owners_own_rights(run: Runner, package: Path, everyone: Path, mask: int) -> None:
    """Root may do everything whatever the mask, so this is an ordinary user."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    everyone.chmod(0o777)
    shutil.copy(package, everyone)
    package = everyone / package.name
    node = Runner(everyone, run.shell, Path(shutil.copy(run.script, everyone)))
    node.command()  # makes the link to the shell, as long as that is allowed
    for options in ([], ["-u", everyone / "env"], ["--no-store"]):
        done = node("-e", package, *options, "say", "x", umask=mask, user=65534)
        assert done.ok().out == "x\n"
        assert done.err == ""
    done = node("-e", package.as_uri(), "--", "sh", "-c", "umask", umask=mask, user=65534)
    assert int(done.ok().out, 8) == mask
    assert done.err == ""


def test_options_of_tools_that_the_caller_exports_are_not_for_unpacking(run: Runner, package: Path) -> None:
    env = {"TAR_OPTIONS": "--verbose --strip-components=1", "GZIP": "--keep", "XZ_OPT": "--no-such"}
    done = run("-e", package, "--", "sh", "-c", 'echo "$TAR_OPTIONS|$GZIP|$XZ_OPT"', env=env)
    assert done.ok().out == "|".join(env.values()) + "\n"
    assert done.err == ""


def test_shell_options_that_the_caller_exports_are_the_commands_alone(run: Runner, package: Path) -> None:
    """Bash takes SHELLOPTS from the environment: with errexit, noglob and noclobber most scripts end or go astray."""
    env = {"SHELLOPTS": "errexit:noglob:noclobber:nounset"}
    (run.cwd / "env").mkdir()
    (run.cwd / "env/other").touch()
    for options in ([], ["-u", "env"]):
        for _ in ("cold", "warm"):
            assert run("-e", package, *options, "say", "x", env=env).ok().out == "x\n"
    assert os.listdir(run.cwd / "env/.poncho")
    assert not (run.cwd / "env/bin").exists()
    if run.shell == "bash":
        for start in ([], ["-d"]):
            shown = run("-e", package, *start, "--", "bash", "-c", "echo $-", env=env).ok().out
            assert set("efuC") <= set(shown)


def test_what_the_caller_calls_field_separators_does_not_cut_the_digest(run: Runner, package: Path) -> None:
    for env in ({}, {"IFS": "0123456789abcdef \n"}):
        done = run("-e", package, "--", "sh", "-c", 'echo "$CONDA_PREFIX"', env=env)
        assert done.ok().out.strip().startswith("/")
        assert done.err == ""
    assert len([one for one in (run.directory / "store").glob("*") if len(one.name) == 32]) == 1


def test_bash_options_that_the_caller_exports_change_nothing(run: Runner, package: Path) -> None:
    env = {"BASHOPTS": "dotglob:failglob:nocasematch:nullglob"}
    for options in ([], ["-u", "env"], ["--no-store"]):
        for _ in ("cold", "warm"):
            assert run("-e", package, *options, "say", "x", env=env).ok().out == "x\n"


@pytest.mark.parametrize("path", ["", "/nonexistent"])
def test_a_path_that_leads_to_no_tools_is_the_commands_alone(run: Runner, package: Path, path: str) -> None:
    show = ["/bin/sh", "-c", 'echo "${PATH#"$CONDA_PREFIX"/bin}"']
    for options in ([], ["--no-store"]):
        for _ in ("cold", "warm"):
            done = run("-e", package, *options, "--", *show, env={"PATH": path}).ok()
            assert done.out == (f":{path}\n" if path else "\n")
            assert done.err == ""


def test_signals_that_the_caller_ignores_stay_ignored(run: Runner, package: Path) -> None:
    for options in ([], ["-d"], ["--no-store"]):
        argv = run.command("-e", package, *options, "--", "/bin/grep", "SigIgn", "/proc/self/status")
        argv = ["/bin/sh", "-c", 'trap "" HUP TERM; exec "$@"', "sh", *argv]
        done = subprocess.run(argv, env=run.environment(), cwd=run.cwd, capture_output=True, text=True, check=True)
        assert int(done.stdout.split()[1], 16) & 0x4007 == 0x4001
