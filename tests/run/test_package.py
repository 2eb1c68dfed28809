"""A package, by its path: unpacked once into the store, found there without a process afterwards."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.handmade import PLACEHOLDER, plain, tree
from tests.support.runner import Runner, without


def test_it_is_unpacked_once_and_then_found_by_its_digest(run: Runner, package: Path) -> None:
    assert run("-e", package, "say", "first").ok().out == "first\n"
    assert len(run.unpacked()) == 1
    renamed = package.rename(package.with_name("another name without extension"))
    # A PATH with nothing on it shows that the second run starts no process at all.
    assert run("-e", renamed, "say", "second", env={"PATH": "/nowhere"}).ok().out == "second\n"
    assert len(run.unpacked()) == 1
    assert run.leftovers() == []


def test_every_shell_writes_the_same_environment(run: Runner, package: Path) -> None:
    run("-e", package).ok()
    root = run.store / run.unpacked()[0]
    assert root.name.isalnum()
    files = tree(root)
    prefix = str(root).encode()
    assert files["etc/settings"] == (0o644, b"root = " + prefix + b"\nno newline at the end")
    assert files["lib/blob"][1][20:320] == (b"lib=" + prefix + b"/lib").ljust(300, b"\0")
    assert files["lib/blob"][1][400:670] == (prefix + b"\\n\tb").ljust(270, b"\0")
    assert files["lib/blob"][1].endswith(bytes(20) + b"end")
    assert files["lib/ünï cödé"] == (0o644, b"x")
    assert files["bin/say"][0] == 0o755
    assert files["bin/shout"] == (0, b"say")
    assert PLACEHOLDER.encode() not in b"".join(
        data for name, (_, data) in files.items() if not name.startswith("poncho/")
    )


def test_two_packages_live_side_by_side(run: Runner, package: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.tar.gz"
    plain(files={"bin/say": "#!/bin/sh\necho other\n", "lib/blob": bytes(1000)}).write(other)
    for _ in range(3):
        assert run("-e", package, "say", "this").ok().out == "this\n"
        assert run("-e", other, "say", "this").ok().out == "other\n"
    assert len(run.unpacked()) == 2


def test_paths_with_odd_characters_work(run: Runner, package: Path) -> None:
    odd = run.directory / "a b $(touch pwned) 'q' \"d\" & | \\ * ünï"
    odd.mkdir()
    moved = package.rename(odd / "-e.tar.gz")
    env = {"PONCHO_STORE": str(odd / "st ore")}
    for _ in range(2):
        assert run("-e", moved, "say", "a  b", env=env).ok().out == "a  b\n"
    assert run("-e", "-e.tar.gz", "say", "x", env=env, cwd=odd).ok().out == "x\n"
    root = next(path for path in (odd / "st ore").iterdir() if not path.name.startswith("."))
    assert (root / "etc/settings").read_text() == f"root = {root}\nno newline at the end"
    assert not list(run.directory.rglob("pwned"))


def test_a_relative_store_and_a_moved_store_work(run: Runner, package: Path) -> None:
    env = {"PONCHO_STORE": "here/store"}
    run("-e", package, "say", "x", env=env).ok()
    (run.cwd / "here").rename(run.cwd / "there")
    env = {"PONCHO_STORE": "there/store"}
    assert run("-e", package, "tool", env=env).ok().err == ""
    root = next(path for path in (run.cwd / "there/store").iterdir() if not path.name.startswith("."))
    assert (root / "etc/settings").read_text().startswith(f"root = {root}\n")


def test_the_interpreter_of_the_package_unpacks_the_rest(run: Runner, tmp_path: Path) -> None:
    made = plain(python=True, boot=("bin/python3", "poncho/unpack.py"))
    made.files["poncho/unpack.py"] = (
        "import sys, tarfile\n"
        "with tarfile.open(sys.argv[1]) as archive:\n"
        "    archive.extractall(sys.argv[2], filter='fully_trusted')\n"
    )
    made.write(tmp_path / "boot.tar.gz")
    done = run("-d", "-e", tmp_path / "boot.tar.gz", "say", "x").ok()
    assert "the interpreter is there" in done.err
    assert "using tar" not in done.err


def test_tar_takes_over_where_the_fast_way_fails(run: Runner, tmp_path: Path) -> None:
    made = plain(python=True, boot=("bin/python3", "poncho/unpack.py"))
    made.files["poncho/unpack.py"] = "import sys\nopen(sys.argv[2] + '/half', 'w')\nsys.exit('no fork here')\n"
    made.write(tmp_path / "boot.tar.gz")
    done = run("-d", "-e", tmp_path / "boot.tar.gz", "say", "x").ok()
    assert "no fork here): using tar" in done.err
    assert not (run.store / run.unpacked()[0] / "half").exists()


def test_an_archive_that_the_fast_way_calls_damaged_is_refused(run: Runner, tmp_path: Path) -> None:
    made = plain(python=True, boot=("bin/python3", "poncho/unpack.py"))
    made.files["poncho/unpack.py"] = "import sys\nsys.stderr.write('has a damaged chunk')\nsys.exit(3)\n"
    made.write(tmp_path / "boot.tar.gz")
    run("-e", tmp_path / "boot.tar.gz", "say", "x").refused("truncated or damaged", "has a damaged chunk")
    assert run.unpacked() == run.leftovers() == []


def test_python_and_shell_relocate_to_the_same_bytes(run: Runner, tmp_path: Path) -> None:
    made = plain(python=True)
    made.write(tmp_path / "python.tar.gz")
    run("-e", tmp_path / "python.tar.gz").ok()
    root = run.store / run.unpacked()[0]
    by_python = tree(root)
    (root / "bin/python3").write_text("#!/bin/sh\nexit 9\n")
    (root / "poncho/state/prefix").unlink()
    done = run("-d", "-e", root).ok()
    assert "by the shell" in done.err
    by_shell = tree(root)
    del by_python["bin/python3"], by_shell["bin/python3"]
    assert {k: v for k, v in by_shell.items() if "state/lock" not in k} == by_python


def test_no_sha256sum_no_find_no_flock_no_getconf_still_works(run: Runner, package: Path, tmp_path: Path) -> None:
    path = without(tmp_path / "bin", "sha256sum", "find", "flock", "getconf", "ldd", "stat", "python3", "bash")
    assert run("-e", package, "say", "x", env={"PATH": path}).ok().out == "x\n"
    assert run.leftovers() == []


def test_the_digest_must_be_that_of_the_content(run: Runner, package: Path) -> None:
    data = package.read_bytes()
    at = data.index(b"PONCHO-PACKAGE 1\n") + 17
    # Its first half, which names it in a store, and the other one.
    for half in (at, at + 33):
        package.write_bytes(data[:half] + b"0" * 32 + data[half + 32 :])
        run("-e", package, "say", "x").refused("damaged", "digest")
        assert run.unpacked() == []
        assert run.leftovers() == []


def test_a_header_that_is_not_of_this_form_makes_it_no_package_of_ours(run: Runner, package: Path) -> None:
    data = package.read_bytes()
    at = data.index(b"PONCHO-PACKAGE 1\n") + 17
    # The whole digest on a line of its own, the facts on the next.
    package.write_bytes(data[: at + 32] + data[at + 33 : at + 65] + b"\n" + data[at + 65 :])
    assert run("-e", package, "say", "x").ok().out == "x\n"
    (name,) = run.unpacked()
    assert len(name) == 12


def test_a_store_entry_is_not_written_again(run: Runner, package: Path) -> None:
    run("-e", package).ok()
    root = run.store / run.unpacked()[0]
    before = {path: os.lstat(path).st_mtime_ns for path in root.rglob("*")}
    run("-e", package, "say", "x").ok()
    assert {path: os.lstat(path).st_mtime_ns for path in root.rglob("*")} == before
