"""Scripts find the environment's Python beside themselves: from anywhere, by any name, without activation."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from poncho.pack import shebang
from tests.support.packages import members, read_member, unpack
from tests.support.prefixes import packed, relocate

BODY = "import sys\nprint('hello', sys.argv[1:])\n"
SHELLS = [["sh"], ["bash"], ["dash"], ["busybox", "sh"]]


def there(prefix: Path, where: Path) -> Path:
    """Return the small prefix, packed and unpacked; its python3.11 prints the arguments that it gets."""
    return unpack(packed(prefix, where.parent / "env.tar.gz").path, where)


def run(*argv: str | os.PathLike[str], **how: object) -> list[str]:
    """Run a script without any environment and return the arguments that Python got."""
    env = {"PATH": "/usr/bin:/bin"} | how.pop("env", {})  # type: ignore[operator]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=env, **how)  # type: ignore[call-overload]
    return [line.removeprefix("python ") for line in done.stdout.splitlines()]


def test_a_script_runs_without_activation_or_relocation(prefix: Path, tmp_path: Path) -> None:
    script = there(prefix, tmp_path / "a place with spaces") / "bin/hello"
    assert run(script, "a b", "c") == [str(script), "a b", "c"]


def test_a_script_runs_through_links_elsewhere(prefix: Path, tmp_path: Path) -> None:
    root = there(prefix, tmp_path / "there")
    (tmp_path / "one").symlink_to(root / "bin/hello")
    (tmp_path / "two").symlink_to("one")
    (tmp_path / "dir").symlink_to(root)
    assert run(tmp_path / "two", "x") == [str(tmp_path / "two"), "x"]
    assert run(tmp_path / "dir/bin/hello") == [str(tmp_path / "dir/bin/hello")]


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_a_script_runs_when_a_shell_is_told_to_read_it(prefix: Path, tmp_path: Path, shell: list[str]) -> None:
    if subprocess.run(["sh", "-c", f"command -v {shell[0]}"], capture_output=True, check=False).returncode:
        pytest.skip(f"no {shell[0]} here")
    root = there(prefix, tmp_path / "there")
    assert run(*shell, "hello", "x", cwd=root / "bin")[1:] == ["x"]
    assert run(*shell, root / "bin/hello", "x") == [str(root / "bin/hello"), "x"]


def test_a_script_runs_when_found_on_the_path(prefix: Path, tmp_path: Path) -> None:
    root = there(prefix, tmp_path / "there")
    assert run("hello", "x", env={"PATH": f"{root}/bin:/usr/bin:/bin"})[1:] == ["x"]
    assert run("sh", "-c", "hello x", cwd=root / "bin", env={"PATH": ".:/usr/bin:/bin"})[1:] == ["x"]


@pytest.mark.parametrize(
    "first",
    [
        b"#!/opt/env/bin/python3.11\n",
        b"#! /opt/env/bin/python3.11 \r\n",
        b"#!/usr/bin/env python3.11\n",
        b"#!/bin/sh\n'''exec' /opt/env/bin/python3.11 \"$0\" \"$@\"\n' '''\n",
        b"#!/bin/sh\n'''exec' \"/opt/env/bin/python3.11\" \"$0\" \"$@\"\n' '''\n",
        b"#!/bin/sh\n'''exec' \"/opt/env/bin/python3.11\" \"$0\" \"$@\" #'''\n",
        b"#!/bin/sh\n'''exec' '/opt/env/bin/python3.11' \"$0\" \"$@\"\n' '''\n",
    ],
)
def test_every_kind_of_first_line_for_the_environments_python_is_understood(first: bytes) -> None:
    found = shebang.find_interpreter(first + BODY.encode(), [b"/opt/env"], {"python3.11"})
    assert found is not None
    assert found.name == "python3.11"
    assert shebang.relocatable(first + BODY.encode(), found).endswith(b"'''\n" + BODY.encode())  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "first",
    [b"#!/usr/bin/python3\n", b"#!/opt/env2/bin/python3.11\n", b"#!/opt/env/bin/perl\n", b"#!/usr/bin/env bash\n", b""],
)
def test_other_interpreters_are_left_alone(first: bytes) -> None:
    assert shebang.find_interpreter(first + b"x\n", [b"/opt/env"], {"python3.11"}) is None


def test_options_and_another_encoding_are_kept(prefix: Path, tmp_path: Path) -> None:
    script = prefix / "bin/hello"
    script.write_bytes(f"#!{prefix}/bin/python3.11 -E -s\n# -*- coding: latin-1 -*-\n".encode() + b"print('\xe9')\n")
    root = there(prefix, tmp_path / "there")
    assert run(root / "bin/hello") == ["-E", "-s", str(root / "bin/hello")]
    lines = (root / "bin/hello").read_bytes().split(b"\n")
    assert b"coding: latin-1" in lines[1]
    compile((root / "bin/hello").read_bytes(), "hello", "exec")


@pytest.mark.parametrize("head", ['"""Usage: hello"""\n', "from __future__ import annotations\n", "not ( python\n"])
def test_a_script_that_python_would_read_otherwise_is_relocated_instead(
    prefix: Path, tmp_path: Path, head: str
) -> None:
    (prefix / "bin/hello").write_text(f"#!{prefix}/bin/python3.11\n{head}{BODY}")
    root = there(prefix, tmp_path / "there")
    relocate(root)
    assert (root / "bin/hello").read_text() == f"#!{root}/bin/python3.11\n{head}{BODY}"


def test_a_script_of_another_interpreter_inside_is_relocated(prefix: Path, tmp_path: Path) -> None:
    (prefix / "bin/perly").write_text(f"#!{prefix}/bin/perl -w\n1;\n")
    (prefix / "bin/perly").chmod(0o755)
    root = there(prefix, tmp_path / "there")
    relocate(root)
    assert (root / "bin/perly").read_text() == f"#!{root}/bin/perl -w\n1;\n"
    assert os.access(root / "bin/perly", os.X_OK)


def test_a_zipapp_keeps_its_archive(prefix: Path, tmp_path: Path) -> None:
    import zipapp

    (tmp_path / "app").mkdir()
    (tmp_path / "app/__main__.py").write_text(BODY)
    zipapp.create_archive(tmp_path / "app", prefix / "bin/app", interpreter=f"{prefix}/bin/python3.11")
    root = there(prefix, tmp_path / "there")
    import sys

    done = subprocess.run([sys.executable, root / "bin/app", "x"], capture_output=True, text=True, check=True)
    assert done.stdout == "hello ['x']\n"
    assert run(root / "bin/app", "x") == [str(root / "bin/app"), "x"]


def test_python_modules_with_a_first_line_are_not_given_a_header(prefix: Path, tmp_path: Path) -> None:
    module = prefix / "lib/python3.11/site-packages/thing/tool.py"
    module.write_text(f"#!{prefix}/bin/python3.11\n{BODY}")
    package = packed(prefix, tmp_path / "env.tar.gz")
    assert read_member(package.path, "lib/python3.11/site-packages/thing/tool.py").startswith(b"#!/poncho_placeholder")
    assert "poncho/relocation" in members(package.path)


def test_a_script_without_a_python_in_the_environment_does_not_show_how_long_the_prefix_was():
    long = b"""#!/bin/sh\n'''exec' "/opt/env/bin/python" -u "$0" "$@" #'''\nprint(1)\n"""
    assert shebang.shortened(long, [b"/opt/env"]) == b"#!/opt/env/bin/python -u\nprint(1)\n"
    assert shebang.shortened(long, [b"/opt/other"]) is None
    assert shebang.shortened(b"#!/opt/env/bin/python\n", [b"/opt/env"]) is None
