"""A directory given with -e, bin/run_in_env and bin/conda-unpack: right wherever the environment lies now."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.handmade import PLACEHOLDER, RUNNER, Handmade, foreign, plain, tree
from tests.support.runner import Runner


@pytest.fixture
def env(run: Runner) -> Path:
    """Return an environment as plain tar leaves it."""
    return plain().unpack(run.cwd / "env")


def settings(env: Path) -> str:
    return (env / "etc/settings").read_text().splitlines()[0]


def test_a_directory_unpacked_by_plain_tar_is_relocated_once(run: Runner, env: Path) -> None:
    assert "relocating" in run("-d", "-e", "env", "say", "x").ok().err
    assert settings(env) == f"root = {env}"
    assert run("-e", "env", "say", "x", env={"PATH": "/nowhere"}).ok().out == "x\n"


def test_taskvines_life_cycle(run: Runner, env: Path) -> None:
    """Unpacked by tar, set up by run_in_env, moved, called through a link by 50 tasks at once, moved again."""
    run(script=env / "bin/run_in_env").ok()
    assert settings(env) == f"root = {env}"
    cache = run.directory / "cache"
    cache.mkdir()
    moved = env.rename(cache / "output.0")
    link = run.cwd / "__vine_env_X"
    link.symlink_to(os.path.relpath(moved, run.cwd))
    tasks = [
        subprocess.Popen(
            run.command("tool", script=Path("__vine_env_X/bin/run_in_env")),
            cwd=run.cwd,
            env=run.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(50)
    ]
    for task in tasks:
        out, err = task.communicate(timeout=60)
        assert (task.returncode, err) == (0, b"")
        assert f"{run.cwd}/__vine_env_X".encode() not in out
    assert settings(moved) == f"root = {moved}"
    again = moved.rename(cache / "output.1")
    link.unlink()
    link.symlink_to(again)
    assert run("say", "x", script=Path("__vine_env_X/bin/run_in_env")).ok().out == "x\n"
    assert settings(again) == f"root = {again}"


def test_run_in_env_names_its_directory(run: Runner, env: Path) -> None:
    for _ in range(2):
        assert (
            run("sh", "-c", "echo $PONCHO_PREFIX $CONDA_PREFIX", script=env / "bin/run_in_env").ok().out
            == f"{env} {env}\n"
        )
    (run.cwd / "runner").symlink_to(env / "bin/run_in_env")
    (run.cwd / "relative").symlink_to("runner")
    for name in ("runner", "relative"):
        assert run("say", "x", script=run.cwd / name).ok().out == "x\n"
    assert run("--", "say", "--", script=env / "bin/run_in_env").ok().out == "--\n"
    assert run(script=env / "bin/run_in_env").ok().out == ""


def test_run_in_env_starts_no_process_when_the_environment_is_settled(run: Runner, env: Path) -> None:
    run(script=env / "bin/run_in_env").ok()
    nothing = {"PATH": "/nowhere"}
    assert run("say", "x", script=env / "bin/run_in_env", env=nothing).ok().out == "x\n"
    (run.cwd / "link").symlink_to(env)
    assert run("say", "x", script=Path("link/bin/run_in_env"), env=nothing).ok().out == "x\n"


def test_conda_unpack_may_be_run_any_number_of_times(run: Runner, env: Path) -> None:
    run(script=env / "bin/conda-unpack").ok()
    before = tree(env)
    for _ in range(2):
        run(script=env / "bin/conda-unpack").ok()
    assert tree(env) == before
    longer = env.rename(run.cwd / "env2")
    run(script=longer / "bin/conda-unpack").ok()
    assert settings(longer) == f"root = {longer}"


@pytest.mark.parametrize("name", ["a b", "q'uote\"", "ünï", "a&b|c\\d", "$(x)", "-dash", "*", "tab\there", "x" * 60])
def test_prefixes_of_every_kind_are_written_right(run: Runner, name: str) -> None:
    env = plain().unpack(run.cwd / name)
    assert run("-e", name, "say", "x").ok().out == "x\n"
    root = str(env)
    first = "#!/usr/bin/env say" if " " in root or "\t" in root else f"#!{root}/bin/say --from {root}/bin"
    if len(os.fsencode(first)) > 127:
        first = "#!/usr/bin/env say"
    assert (env / "bin/tool").read_text() == f"{first}\nprefix={root}\nagain {root}{root}/x\n"
    assert (env / "lib/blob").read_bytes()[20:320] == (b"lib=" + os.fsencode(root) + b"/lib").ljust(300, b"\0")
    assert (env / "bin/tool").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("python", [False, True])
def test_a_path_that_is_too_long_is_refused_before_anything_is_written(run: Runner, python: bool) -> None:
    deep = run.cwd / "/".join(["d" * 100] * 3)
    env = plain(python=python).unpack(deep)
    before = tree(env)
    run("-e", deep, "say", "x").refused("too long for lib/blob", "hint:")
    assert {name: found for name, found in tree(env).items() if "poncho/state" not in name} == before


def test_an_environment_without_records_needs_no_relocation(run: Runner) -> None:
    env = Handmade().unpack(run.cwd / "env")
    assert run("-e", env, "say", "x").ok().err == ""
    moved = env.rename(run.cwd / "moved")
    assert run("-e", moved, "sh", "-c", "echo $CONDA_PREFIX").ok().out == f"{moved}\n"


@pytest.mark.parametrize(
    ("record", "word"),
    [
        ("text\t1\t../../outside", "leads out"),
        ("text\t1\t/outside", "leads out"),
        ("text\t1\tlib64/../../x", "leads out"),
        ("text\t1\tlib64/blob", "symbolic link"),
        ("text\t1\tlink", "missing"),
        ("text\t1/../2\tetc/settings", ""),
        ("text\t99\tetc/settings", "missing"),
        ("gone\t1\tetc/settings", "unknown kind"),
    ],
)
@pytest.mark.parametrize("python", [False, True])
def test_records_cannot_lead_outside(run: Runner, record: str, word: str, python: bool) -> None:
    env = plain(python=python).unpack(run.cwd / "env")
    outside = run.cwd / "outside"
    (env / "link").symlink_to("../outside")
    outside.write_text("kept")
    (env / "poncho/relocation").write_text(f"poncho-relocation 1\nplaceholder\t{PLACEHOLDER}\n{record}\n")
    run("-e", env, "say", "x").refused(word)
    assert outside.read_text() == "kept"


def test_a_directory_of_conda_pack_is_relocated_exactly_once(run: Runner, tmp_path: Path) -> None:
    """conda-pack's own script, run twice, turns /home/u/env2 into /home/u/env22 (its issue 106)."""
    env = run.cwd / "env2"
    env.mkdir()
    foreign(tmp_path / "conda.tar.gz", prefix=str(run.cwd / "env"), files={"lib/blob": ""})
    subprocess.run(["tar", "xf", tmp_path / "conda.tar.gz", "-C", env], check=True)
    for _ in range(3):
        assert run("-e", env, "where").ok().out == f"{env}\n"
    (env / "poncho/state/prefix").unlink()
    (env / "poncho/env.sh").unlink()
    assert run("-e", env, "where").ok().out == f"{env}\n"


def test_a_moved_directory_of_conda_pack_runs_with_a_warning(run: Runner, tmp_path: Path) -> None:
    foreign(tmp_path / "conda.tar.gz")
    run("-e", tmp_path / "conda.tar.gz", "-u", "env").ok()
    (run.cwd / "env").rename(run.cwd / "moved")
    done = run("-e", "moved", "say", "x").ok()
    assert done.out == "x\n"
    assert "warning" in done.err


def test_a_conda_prefix_as_it_is_works_and_is_left_as_it_is(run: Runner) -> None:
    env = run.cwd / "conda"
    (env / "bin").mkdir(parents=True)
    (env / "bin/hello").write_text("#!/bin/sh\necho $CONDA_PREFIX $PYTHONPATH\n")
    (env / "bin/hello").chmod(0o755)
    before = tree(env)
    assert run("-e", env, "hello", env={"PYTHONPATH": "/x"}).ok().out == f"{env}\n"
    assert tree(env) == before


def test_a_directory_that_holds_no_environment_is_refused(run: Runner) -> None:
    run("-e", run.cwd, "true").refused("no environment")


def test_the_packed_runner_runs_its_own_environment(run: Runner, env: Path) -> None:
    assert (env / "bin/poncho_package_run").read_bytes() == RUNNER.read_bytes()
    assert run("-e", env, "say", "x", script=env / "bin/poncho_package_run").ok().out == "x\n"
