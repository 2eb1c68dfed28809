"""What the command gets when asked: variables, a directory, a clean environment; and what an environment says of itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.handmade import plain
from tests.support.runner import Runner

IT_S = "it's"
SHOW = 'printf "%s|" "${A-unset}" "${B-unset}"'


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a package with two data variables and an activation script."""
    made = plain(variables={"DATA": "poncho/data/DATA", "TABLE": "poncho/data/TABLE/t.csv"}, scripts=["a.sh"])
    made.files["etc/conda/activate.d/a.sh"] = 'export ACTIVATED="it\'s"\necho noise\n'
    made.files["poncho/data/DATA/f"] = made.files["poncho/data/TABLE/t.csv"] = "x\n"
    made.write(tmp_path / "env.tar.gz")
    return tmp_path / "env.tar.gz"


def test_variables_are_set_after_activation_and_kept_as_they_are(run: Runner, package: Path) -> None:
    odd = "a 'b' \"c\" $(touch pwned) `x` \\ *\nsecond\n"
    done = run("-e", package, "--env", f"A={odd}", "--env=B=", "--", "sh", "-c", SHOW).ok()
    assert done.out == f"{odd}||"
    done = run("-e", package, "--env", "ACTIVATED=no", "--", "sh", "-c", 'echo "$ACTIVATED"').ok()
    assert done.out == "no\n"
    assert not list(run.directory.rglob("pwned"))


def test_a_file_of_variables(run: Runner, package: Path, tmp_path: Path) -> None:
    file = tmp_path / "variables"
    file.write_text("# a comment\n\nA=1 = '2' $HOME\nB=last line without an end")
    assert (
        run("-e", package, "--env-file", file, "sh", "-c", SHOW).ok().out == "1 = '2' $HOME|last line without an end|"
    )
    run("-e", package, "--env-file", tmp_path / "missing", "say").refused("cannot be read", "--env-file")


@pytest.mark.parametrize("name", ["1X", "A-B", "", "A B", "$(touch pwned)", "_pr_env", "ü"])
def test_what_is_not_a_name_is_refused(run: Runner, package: Path, name: str) -> None:
    run("-e", package, "--env", f"{name}=1", "say").refused("name", "hint:")
    assert not list(run.directory.rglob("pwned"))


def test_a_clean_environment_has_nothing_of_the_callers(run: Runner, package: Path) -> None:
    env = {"SECRET": "1", "A": "caller's\nTERM2=x", "LD_LIBRARY_PATH": "/x", "USER": "me", "LANG": "C"}
    done = run("-e", package, "--clean-env", "--env", "B=given", "env", env=env).ok()
    names = {line.partition("=")[0] for line in done.out.splitlines()}
    assert {"HOME", "USER", "LANG", "PATH", "B", "CONDA_PREFIX", "DATA", "ACTIVATED"} <= names
    assert not names & {"SECRET", "A", "LD_LIBRARY_PATH", "PONCHO_STORE", "TERM2"}
    assert "/usr/local/bin:/usr/bin:/bin\n" in done.out


def test_the_command_starts_in_a_directory(run: Runner, package: Path) -> None:
    place = run.cwd / "other place"
    place.mkdir()
    os.symlink(package, run.cwd / "e")
    assert run("-e", "e", "--cwd", "other place", "pwd", env={"CDPATH": "/"}).ok().out == f"{place}\n"
    run("-e", package, "--cwd", "missing", "pwd").refused("missing cannot be entered")


def test_what_is_printed_for_a_shell_makes_the_environment(run: Runner, package: Path, tmp_path: Path) -> None:
    odd = "it's\ntwo lines"
    done = run("-e", package, "--env", f"A={odd}", "--print-env", env={"PYTHONHOME": "/x", "KEEP": "1"}).ok()
    assert "KEEP" not in done.out
    script = tmp_path / "printed.sh"
    script.write_text(done.out)
    env = run.environment({"PYTHONHOME": "/x"})
    shown = '. "$0"; printf "%s|" "$A" "$ACTIVATED" "${PYTHONHOME-unset}" "$(say works)" "${DATA##*/}"'
    out = subprocess.run(["sh", "-c", shown, script], env=env, capture_output=True, check=True, text=True).stdout
    assert out == f"{odd}|it's|unset|works|DATA|"


def test_what_is_printed_as_json_is_the_same(run: Runner, package: Path) -> None:
    odd = 'back\\slash "quoted"\ttab\nnewline \x01\x1b ünï'
    odd = odd.replace("\x01", "")
    done = run("-e", package, "--env", f"A={odd}", "--print-env=json", env={"PYTHONHOME": "/x"}).ok()
    found = json.loads(done.out)
    prefix = str(run.store / run.unpacked()[0])
    assert found["A"] == odd
    assert found["PYTHONHOME"] is None
    assert (found["CONDA_PREFIX"], found["DATA"]) == (prefix, f"{prefix}/poncho/data/DATA")
    assert found["PATH"].startswith(f"{prefix}/bin:")


def test_data_variables_are_listed_with_where_they_lead(run: Runner, package: Path) -> None:
    done = run("-e", package, "--list-env").ok()
    prefix = run.store / run.unpacked()[0]
    assert done.out == f"DATA\t{prefix}/poncho/data/DATA\nTABLE\t{prefix}/poncho/data/TABLE/t.csv\n"
    moved = prefix.rename(run.directory / "moved")
    assert f"TABLE\t{moved}/poncho/data/TABLE/t.csv\n" in run("-e", moved, "--list-env").ok().out


def test_options_in_any_order_and_spelling(run: Runner, package: Path) -> None:
    run("-e", package).ok()
    assert run("--env=A=1", "-e", package, "--env", "B=2", "-w", 5, "sh", "-c", SHOW).ok().out == "1|2|"
    for option in ("--env", "--env-file", "--cwd", "--bind", "-e"):
        run("-e", package, option).refused("needs a value")
    run("-e", package, "--bind", "/", "say").refused("--isolate")


@pytest.mark.parametrize("level", ["x86-64-v2", "x86-64-v9"])
def test_a_cpu_of_too_low_a_level_is_told_before_anything_is_unpacked(run: Runner, tmp_path: Path, level: str) -> None:
    plain(facts={"cpu": level}).write(tmp_path / "cpu.tar.gz")
    done = run("-e", tmp_path / "cpu.tar.gz", "say", "x")
    if level == "x86-64-v9":
        done.refused(f"needs a CPU of level {level}", "this node's is x86-64-v")
        assert run.unpacked() == []
    elif "sse4_2" in Path("/proc/cpuinfo").read_text():
        assert done.ok().out == "x\n"


def test_every_step_of_a_cold_start_is_a_line_with_its_time(run: Runner, package: Path) -> None:
    done = run("-d", "-e", package, "say", "x").ok()
    lines = [line for line in done.err.splitlines() if line != "noise"]
    assert all(line.startswith("poncho_package_run: +") and " s  " in line for line in lines)
    steps = "\n".join(lines)
    for word in ("fit", "unpacking", "relocating", "published", "ready", "activate.d"):
        assert word in steps


def test_what_is_written_wrongly_is_told_how_to_write_it(run: Runner, package: Path) -> None:
    run(f"-e{package}", "say").refused(f"unknown option -e{package}", f"a blank is missing: -e {package}")
    for options in (["-u", "a", "-u", "b"], ["-u", "a", "--unpack-to=b"]):
        run("-e", package, *options, "say").refused("is given twice: a and b")
    run("-e", package, "-e", "other", "say").refused("is given twice")
    assert run.unpacked() == []
    assert not list(run.cwd.iterdir())


@pytest.mark.parametrize("seconds", ["x", "", "5x", "-1"])
def test_a_wait_that_is_no_number_is_refused_whether_there_is_something_to_wait_for_or_not(
    run: Runner, package: Path, seconds: str
) -> None:
    run("-e", package, "-w", seconds, "say").refused("takes whole seconds")
    run("-e", package, "-w", 5, "say").ok()
    run("-e", package, "-w", seconds, "say").refused("takes whole seconds")


def test_a_store_that_is_a_file_is_named(run: Runner, package: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = {"PONCHO_STORE": str(tmp_path / "file")}
    run("-e", package, "say", env=store).refused(f"the store {tmp_path / 'file'} is not a directory", "hint:")


@pytest.mark.parametrize("options", [[], ["--clean-env"]])
def test_names_that_a_shell_keeps_for_itself_are_variables_like_others(
    run: Runner, package: Path, tmp_path: Path, options: list[str]
) -> None:
    """As in a file that Docker Compose reads: bash would end at UID, zsh become that user."""
    plain().write(simple := tmp_path / "simple.tar.gz")
    (file := tmp_path / "variables").write_text("UID=1234\nGID=it's\nOPTIND=x\nA=1\n")
    show = "import os, sys; print([os.environ.get(n) for n in sys.argv[1:]], os.getuid())"
    argv = [sys.executable, "-c", show, "UID", "GID", "OPTIND", "SHLVL", "A"]
    for one in (package, simple):
        done = run("-e", one, *options, "--env-file", file, "--env", "SHLVL=7", "--", *argv).ok()
        assert done.out == f"{['1234', IT_S, 'x', '7', '1']} {os.getuid()}\n"


def test_a_clean_environment_has_no_names_either_that_no_shell_could_have(run: Runner, package: Path) -> None:
    env = {"a.b": "1", "it's mine": "2", "BASH_FUNC_a-b%%": "() { :; }", "BASH_FUNC_module%%": "() { :; }"}
    done = run("-e", package, "--clean-env", "env", env=env).ok()
    assert not {line.partition("=")[0] for line in done.out.splitlines()} & set(env)


def test_what_is_printed_has_every_name_and_any_bytes(run: Runner, package: Path) -> None:
    argv = run.command("-e", package, "--env", "_project=1", "--print-env=json", "--env", "A=")
    argv[-1] += "\udcff"
    done = subprocess.run(
        argv, env=run.environment({"LC_ALL": "C.UTF-8"}), cwd=run.cwd, capture_output=True, check=True
    )
    printed = json.loads(done.stdout.decode("utf-8", "surrogateescape"))
    assert printed["A"] == "\udcff"
    assert printed["_project"] == "1"


@pytest.mark.parametrize("seconds", ["08", "000", "99999999999999999999999"])
def test_any_number_is_a_wait(run: Runner, package: Path, seconds: str) -> None:
    assert run("-e", package, "-w", seconds, "say", "x").ok().out == "x\n"
