"""Hazards 11 and 12: other people's directories, and names that want to be code."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.faults import NOBODY, as_nobody
from tests.support.handmade import plain
from tests.support.runner import Runner

NAMES = [
    "a b",
    " lead",
    "trail ",
    "two  spaces",
    "$(touch pwned)",
    "`touch pwned`",
    "${IFS}touch${IFS}pwned",
    "; touch pwned;",
    "&& touch pwned",
    "| touch pwned",
    "' ; touch pwned; '",
    '" ; touch pwned; "',
    "it's",
    'say "hi"',
    "back\\slash",
    "\\n",
    "%s%n",
    "*",
    "[a-z]?",
    "~",
    "~root",
    "-e",
    "--",
    "-rf",
    "#hash",
    "!bang",
    "&",
    "<in>out",
    "tab\there",
    "ünï→cödé",
    "\x1b[31mred",
    "(paren)",
    "{a,b}",
    "a=b",
    "x" * 80,
    "|s,a,b,e;#",
    "&\\1",
    "$1$@$*",
    ".hidden",
]
NEWLINES = ["line\nbreak", "\n", "a\n; touch pwned;\nb", "$(touch pwned)\n"]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "env.tar.gz"
    plain().write(path)
    return path


def nothing_ran(run: Runner) -> None:
    """Assert that no name became a command."""
    assert not [path for path in run.directory.parent.rglob("*") if path.name.startswith(("pwned", "in>out", "out"))]


@pytest.mark.parametrize("name", [*NAMES, *NEWLINES])
def test_an_odd_name_is_only_a_name(run: Runner, package: Path, name: str) -> None:
    """Forty names, each as the package's, the store's, a directory's, the working directory's and an argument."""
    works = "\n" not in name
    odd = run.cwd / name
    odd.mkdir()
    shutil.copy(package, odd / name)
    # The package's name, relative and absolute; an argument; the working directory.
    for spelt in (f"./{name}", odd / name, name):
        assert run("-e", spelt, "printf", "%s", name, cwd=odd).ok().out == name
    nothing_ran(run)
    # The store's and the directory's: files in them name that path.
    for options, env in (([], {"PONCHO_STORE": str(odd / "store")}), (["-u", str(odd / "env")], {})):
        for _ in range(2):
            done = run("-e", package, *options, "tool", "x", env=env)
            if works:
                assert done.ok().out.endswith("x\n") or done.out, done
            else:
                done.refused("newline")
        nothing_ran(run)
    if works:
        assert run("-e", odd / "env", "say", "x").ok().out == "x\n"
        assert (odd / "env/etc/settings").read_text().startswith(f"root = {odd / 'env'}\n")
        (odd / "env").rename(odd / "moved")
        assert run("-e", odd / "moved", "say", "x").ok().out == "x\n"
        assert (odd / "moved/etc/settings").read_text().startswith(f"root = {odd / 'moved'}\n")
    nothing_ran(run)
    # A variable of the caller, and a command.
    assert run("-e", package, "sh", "-c", 'printf %s "$ODD"', env={"ODD": name}).ok().out == name
    shutil.copy("/bin/true", odd / "command")
    assert run("-e", package, f"./{name}/command").ok().out == ""
    nothing_ran(run)


def test_a_place_that_path_cannot_name_is_refused_before_a_wrong_python_runs(run: Runner, package: Path) -> None:
    odd = run.cwd / "a:b"
    odd.mkdir()
    run("-e", package, "say", env={"PONCHO_STORE": str(odd / "store")}).refused("colon")
    run("-e", package, "-u", odd / "env", "say").refused("colon")
    run("-e", plain().unpack(odd / "unpacked"), "say").refused("colon")
    shutil.copy(package, odd / "env.tar.gz")
    run("-e", odd / "env.tar.gz", "say").ok()


@pytest.fixture
def common() -> Iterator[Path]:
    """Yield a directory like /tmp: everybody may write, nobody may delete what is somebody else's."""
    place = Path(tempfile.mkdtemp(prefix="poncho-common-"))
    place.chmod(0o1777)
    yield place
    shutil.rmtree(place)


def run_as(common: Path, package: Path, *prefix: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a package from a copy of the runner that everybody can read."""
    script = common / "poncho_package_run"
    if not script.exists():
        shutil.copy(Runner(common / "unused").script, script)
        shutil.copy(package, common / "env.tar.gz")
        script.chmod(0o755)
        (common / "env.tar.gz").chmod(0o444)
    env = {"PATH": os.defpath, "TMPDIR": str(common), **variables}
    command = [*prefix, str(script), "-e", str(common / "env.tar.gz"), "say", "x"]
    return subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("how", ["directory", "open directory", "link to his directory", "link to nothing", "file"])
def test_what_somebody_else_put_into_tmp_beforehand_is_refused(common: Path, package: Path, how: str) -> None:
    """Hazard 11: he knows where the store will be, and makes it first."""
    store = common / f"poncho-{os.geteuid()}"
    script = {
        "directory": 'mkdir -m 700 "$1"',
        "open directory": 'mkdir -m 777 "$1"',
        "link to his directory": 'mkdir "$1-his" && ln -s "$1-his" "$1"',
        "link to nothing": 'ln -s "$1-his" "$1"',
        "file": ': >"$1"',
    }[how]
    subprocess.run(as_nobody("sh", "-c", script, "sh", store), check=True)
    done = run_as(common, package)
    assert done.returncode == 125, done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert "PONCHO_STORE" in done.stderr
    found = {path.name for path in common.rglob("*")} - {"poncho_package_run", "env.tar.gz", "unused", "work here"}
    assert found <= {store.name, f"{store.name}-his"}, "something was written into it"


def test_a_whole_environment_that_somebody_else_put_there_is_not_run(common: Path, package: Path) -> None:
    store = common / f"poncho-{os.geteuid()}"
    his = as_nobody()
    assert run_as(common, package, *his, PONCHO_STORE=str(store)).stdout == "x\n"
    done = run_as(common, package)
    assert done.returncode == 125
    assert "somebody else" in done.stderr


def test_somebody_else_has_a_store_of_his_own(common: Path, package: Path) -> None:
    assert run_as(common, package).stdout == "x\n"
    assert run_as(common, package, *as_nobody()).stdout == "x\n"
    for uid in (os.geteuid(), NOBODY):
        facts = (common / f"poncho-{uid}").stat()
        assert (facts.st_uid, facts.st_mode & 0o777) == (uid, 0o700)
    # Neither takes the other's, even when he names it.
    done = run_as(common, package, *as_nobody(), PONCHO_STORE=str(common / f"poncho-{os.geteuid()}"))
    assert done.returncode == 0 or "hint" in done.stderr
