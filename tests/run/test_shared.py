"""A store that an administrator fills and everybody reads."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.handmade import RUNNER, plain
from tests.support.runner import PATH


@pytest.fixture
def site() -> Iterator[Path]:
    """Yield a directory that others can enter, with a store of root's that has one package of two."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv, to be two users")
    site = Path(tempfile.mkdtemp(prefix="poncho-site-"))
    site.chmod(0o755)
    for name, mode in (("store", 0o755), ("tmp", 0o777)):
        (site / name).mkdir()
        (site / name).chmod(mode)
    for name in ("known", "other"):
        plain(variables={name: "lib"}).write(site / f"{name}.tar.gz")
    shutil.copy(RUNNER, site / "run")
    subprocess.run(
        [site / "run", "-e", site / "known.tar.gz"], env={"PATH": PATH, "PONCHO_STORE": str(site / "store")}, check=True
    )
    yield site
    shutil.rmtree(site)


def as_user(site: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", site / "run", *args]
    env = {"PATH": PATH, "PONCHO_STORE": str(site / "store"), "TMPDIR": str(site / "tmp"), "HOME": "/nonexistent"}
    return subprocess.run(command, env=env, cwd=site / "tmp", capture_output=True, text=True, check=False)


def test_what_it_has_is_used_and_the_rest_goes_to_the_users_own(site: Path) -> None:
    show = ["sh", "-c", 'echo "${CONDA_PREFIX%/*}"']
    before = sorted(site.glob("store/**"))
    for option in ([], ["-d"]):
        done = as_user(site, *option, "-e", str(site / "known.tar.gz"), *show)
        assert done.stdout == f"{site}/store\n", done.stderr
    for time in range(2):
        done = as_user(site, "-e", str(site / "other.tar.gz"), *show)
        assert done.stdout == f"{site}/tmp/poncho-65534\n", done.stderr
        # Said once, when it costs something.
        warned = f"warning: the store {site}/store cannot be written and does not have {site}/other.tar.gz"
        assert (warned in done.stderr) is (time == 0)
    done = as_user(site, "-d", "-e", str(site / "other.tar.gz"), *show)
    assert f"{site}/store cannot be written: what it has not is kept in {site}/tmp/poncho-65534" in done.stderr
    assert sorted(site.glob("store/**")) == before


def test_a_store_that_the_user_could_write_must_be_his_own(site: Path) -> None:
    (site / "store").chmod(0o777)
    done = as_user(site, "-e", str(site / "known.tar.gz"), "say")
    assert done.returncode == 125
    assert "somebody else" in done.stderr
