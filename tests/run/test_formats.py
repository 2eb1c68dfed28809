"""Packages in other wrappings: zstd and squashfs, where the node can read them; one clear line where it cannot."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

from poncho.pack.layout import Facts, header
from tests.support.handmade import node_platform, plain
from tests.support.runner import Runner, without


@pytest.fixture
def zst(tmp_path: Path) -> Path:
    """Return a .tar.zst as the packer frames it."""
    if not shutil.which("zstd"):
        pytest.skip("no zstd on this machine")
    digest = plain().write(tmp_path / "env.tar.gz")
    tar = gzip.decompress((tmp_path / "env.tar.gz").read_bytes())
    body = subprocess.run(["zstd", "-qc"], input=tar, capture_output=True, check=True).stdout
    (tmp_path / "env.tar.zst").write_bytes(header("tar.zst", digest, Facts(node_platform(), "", 1, 1, 0)) + body)
    return tmp_path / "env.tar.zst"


@pytest.fixture
def squashfs(tmp_path: Path) -> Path:
    """Return an image of an environment."""
    if not shutil.which("mksquashfs") or not shutil.which("unsquashfs"):
        pytest.skip("no squashfs tools on this machine")
    plain().unpack(tmp_path / "tree")
    command = ["mksquashfs", tmp_path / "tree", tmp_path / "env.squashfs", "-quiet", "-no-progress"]
    subprocess.run(command, check=True, capture_output=True)
    return tmp_path / "env.squashfs"


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_a_zstd_package_has_the_same_digest_and_starts_without_a_process(run: Runner, zst: Path, locale: str) -> None:
    env = {"LC_ALL": locale}
    assert run("-e", zst, "say", "cold", env=env).ok().out == "cold\n"
    assert run("-e", zst, "say", "warm", env={**env, "PATH": "/nowhere"}).ok().out == "warm\n"
    assert run("-e", zst.with_name("env.tar.gz"), "tool", env=env).ok()
    assert len(run.unpacked()) == 1
    assert len(run.unpacked()[0]) == 32


def test_a_truncated_zstd_package_is_refused(run: Runner, zst: Path) -> None:
    zst.write_bytes(zst.read_bytes()[:-500])
    run("-e", zst, "say").refused("truncated or damaged")
    assert run.unpacked() == run.leftovers() == []


def test_a_squashfs_image_is_unpacked_and_relocated(run: Runner, squashfs: Path) -> None:
    for _ in range(2):
        assert run("-e", squashfs, "say", "x").ok().out == "x\n"
    root = run.store / run.unpacked()[0]
    assert (root / "etc/settings").read_text().startswith(f"root = {root}\n")
    squashfs.write_bytes(squashfs.read_bytes()[:3000])
    run("-e", squashfs, "say").refused("squashfs image", "cannot be unpacked")
    assert len(run.unpacked()) == 1


def test_a_node_without_the_tool_is_told(run: Runner, zst: Path, squashfs: Path, tmp_path: Path) -> None:
    env = {"PATH": without(tmp_path / "bin", "zstd", "unsquashfs")}
    run("-e", zst, "say", env=env).refused("needs zstd", ".tar.gz")
    run("-e", squashfs, "say", env=env).refused("needs unsquashfs", ".tar.gz")
    assert run.unpacked() == run.leftovers() == []
