"""--unpack-to DIR: DIR is the environment, and only ever the one that was asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.handmade import foreign, plain
from tests.support.runner import Runner


@pytest.fixture
def other(tmp_path: Path) -> Path:
    path = tmp_path / "other.tar.gz"
    plain(files={"bin/say": "#!/bin/sh\necho other\n", "lib/blob": bytes(1000)}).write(path)
    return path


@pytest.mark.parametrize("state", ["absent", "empty", "parents absent", "symbolic link", "working directory"])
def test_the_directory_becomes_the_environment(run: Runner, package: Path, state: str) -> None:
    target = run.directory / "the env"
    cwd = run.cwd
    if state == "empty":
        target.mkdir(mode=0o750)
    elif state == "parents absent":
        target = target / "a" / "b"
    elif state == "symbolic link":
        (run.directory / "real").mkdir()
        target.symlink_to("real")
    elif state == "working directory":
        target.mkdir()
        cwd = target
    name = "." if state == "working directory" else os.path.relpath(target, cwd)
    for _ in range(2):
        assert run("-e", package, "-u", name, "say", "x", cwd=cwd).ok().out == "x\n"
    assert (target / "bin/say").is_file()
    assert not (target / ".poncho").exists()
    assert (target / "etc/settings").read_text().startswith(f"root = {target.resolve()}\n")
    assert not run.store.exists()
    if state == "empty":
        assert target.stat().st_mode & 0o777 == 0o750


def test_the_second_run_starts_no_process(run: Runner, package: Path) -> None:
    run("-e", package, "-u", "env").ok()
    assert run("-e", package, "-u", "env", "say", "x", env={"PATH": "/nowhere"}).ok().out == "x\n"


def test_a_directory_with_another_environment_never_gives_the_wrong_one(
    run: Runner, package: Path, other: Path
) -> None:
    for _ in range(3):
        assert run("-e", package, "-u", "env", "say", "this").ok().out == "this\n"
        assert run("-e", other, "-u", "env", "say", "this").ok().out == "other\n"
    assert len(list((run.cwd / "env/.poncho").iterdir())) == 1


def test_other_content_stays_as_it_is(run: Runner, package: Path) -> None:
    target = run.cwd / "env"
    (target / "bin").mkdir(parents=True)
    (target / "bin/say").write_text("#!/bin/sh\necho mine\n")
    (target / "bin/say").chmod(0o755)
    assert run("-e", package, "-u", target, "say", "x").ok().out == "x\n"
    assert (target / "bin/say").read_text().endswith("mine\n")
    assert [path.name for path in target.iterdir()] == ["bin", ".poncho"] or len(list(target.iterdir())) == 2


def test_a_publishing_that_was_killed_halfway_is_undone(run: Runner, package: Path) -> None:
    target = run.cwd / "env"
    run("-e", package, "-u", target).ok()
    (target / ".poncho").mkdir()
    names = [path.name for path in target.iterdir() if path.name not in ("poncho", ".poncho")]
    (target / ".poncho/publishing").write_text("\n".join(names) + "\n../precious\n")
    (run.cwd / "precious").write_text("kept")
    (target / "bin/say").write_text("#!/bin/sh\necho torn\n")
    (target / "poncho/state/digest").unlink()
    for path in (target / "poncho").rglob("*"):
        if path.is_file():
            path.unlink()
    for path in sorted((target / "poncho").rglob("*"), reverse=True):
        path.rmdir()
    (target / "poncho").rmdir()
    assert run("-e", package, "-u", target, "say", "x").ok().out == "x\n"
    assert "torn" not in (target / "bin/say").read_text()
    assert (run.cwd / "precious").exists()
    assert not (target / ".poncho").exists()


def test_an_unpacked_directory_that_was_moved_is_used_and_relocated(run: Runner, package: Path) -> None:
    run("-e", package, "-u", "env").ok()
    (run.cwd / "env").rename(run.cwd / "moved")
    done = run("-d", "-e", package, "-u", "moved", "say", "x").ok()
    assert "relocating" in done.err
    assert "unpacking" not in done.err
    assert (run.cwd / "moved/etc/settings").read_text().startswith(f"root = {run.cwd / 'moved'}\n")


@pytest.mark.parametrize("kind", ["file", "below a file"])
def test_an_unusable_directory_is_one_clear_line(run: Runner, package: Path, kind: str) -> None:
    (run.cwd / "file").write_text("")
    target = "file" if kind == "file" else "file/env"
    run("-e", package, "-u", target, "say", "x").refused("file")


def test_a_tarball_of_conda_pack_works_too(run: Runner, package: Path, tmp_path: Path) -> None:
    tarball = tmp_path / "conda.tar.gz"
    foreign(tarball)
    for _ in range(2):
        assert run("-e", tarball, "-u", "env", "where").ok().out == f"{run.cwd}/env\n"
        assert run("-e", package, "-u", "env", "say", "x").ok().out == "x\n"
    assert "reading" not in run("-d", "-e", tarball, "-u", "env", "where").ok().err


def test_a_name_that_ends_in_a_newline_is_never_another_directory(run: Runner, package: Path) -> None:
    (run.cwd / "env").mkdir()
    run("-e", package, "-u", "env\n", "say", "x").refused("holds a newline")
    assert os.listdir(run.cwd / "env") == []
