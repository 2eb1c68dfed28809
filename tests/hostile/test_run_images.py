"""Images that want to write elsewhere, mounted or unpacked by the runner: contained, or refused in one line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from poncho.pack import squashfs as form
from tests.support.handmade import plain
from tests.support.images import can_mount, image_by_hand, mounts, needs_tools, unmount_all
from tests.support.runner import Runner

pytestmark = needs_tools
OUTSIDE = "poncho-hostile-image"
WAYS = [pytest.param([], marks=can_mount, id="mounted"), pytest.param(["--no-mount"], id="unpacked")]


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """Yield an environment whose image would be accepted, as far as it goes."""
    root = plain().unpack(tmp_path / "tree")
    for name in ("bin/tool", "etc/settings", "lib/blob"):
        fit = root / "poncho/fit" / name
        fit.parent.mkdir(parents=True, exist_ok=True)
        (root / name).rename(fit)
        (root / name).symlink_to(form.link_target(name))
    yield root
    unmount_all(tmp_path)
    assert not os.path.lexists(f"/tmp/{OUTSIDE}")


@pytest.mark.parametrize("how", WAYS)
def test_the_environment_itself_is_accepted(run: Runner, tree: Path, tmp_path: Path, how: list[str]) -> None:
    if how:
        pytest.skip("unpacked, its digest would have to be right")
    image = image_by_hand(tree, tmp_path / "env.squashfs", "-all-root")
    assert run("-e", image, "say", "x").ok().out == "x\n"


def bin_out(tree: Path) -> None:
    (tree / "bin").rename(tree / "old")
    (tree / "bin").symlink_to("/tmp")


def poncho_out(tree: Path) -> None:
    (tree / "poncho").rename(tree / "old")
    (tree / "poncho").symlink_to("old")


def fit_out(tree: Path) -> None:
    (tree / "poncho/fit").rename(tree / "old")
    (tree / "poncho/fit").symlink_to("/tmp")


def env_sh_out(tree: Path) -> None:
    (tree / "poncho/env.sh").unlink()
    (tree / "poncho/env.sh").symlink_to("/etc/profile")


def link_in_fit(tree: Path) -> None:
    (tree / "poncho/fit/out").symlink_to("/tmp")


def pipe_in_fit(tree: Path) -> None:
    os.mkfifo(tree / "poncho/fit/pipe")


def record_out(tree: Path) -> None:
    records = tree / "poncho/relocation"
    records.write_text(records.read_text().replace("\tetc/settings", f"\t../../../../../../../tmp/{OUTSIDE}"))


def record_through_the_image(tree: Path) -> None:
    records = tree / "poncho/relocation"
    records.write_text(records.read_text().replace("\tetc/settings", "\tponcho/env.sh"))


def fit_through_a_link(tree: Path) -> None:
    """Its parent is a link out of the environment: unpacked, the file would land behind it."""
    (tree / "out").symlink_to("/tmp")
    (tree / "poncho/fit/out").mkdir()
    (tree / f"poncho/fit/out/{OUTSIDE}").write_text("x")


EVIL = [bin_out, fit_out, env_sh_out, link_in_fit, pipe_in_fit, record_out, record_through_the_image]


@pytest.mark.parametrize("evil", [*EVIL, poncho_out, fit_through_a_link])
@pytest.mark.parametrize("how", WAYS)
def test_what_leads_out_writes_nothing_there(
    run: Runner, tree: Path, tmp_path: Path, evil: Callable[[Path], None], how: list[str]
) -> None:
    image = image_by_hand(tree, tmp_path / "env.squashfs", "-all-root")
    evil(tree)
    image = image_by_hand(tree, tmp_path / "env.squashfs", "-all-root") if evil is not poncho_out else image
    before = {str(path) for path in tmp_path.rglob("*") if run.store not in path.parents and run.store != path}
    done = run(*how, "-e", image, "say", "x")
    if evil in EVIL:
        done.refused()
        assert run.unpacked() == []
        assert mounts(run.directory) == []
    assert run.leftovers() == []
    assert {str(path) for path in tmp_path.rglob("*") if run.store not in path.parents and run.store != path} == before


@can_mount
def test_a_truncated_image_is_refused(run: Runner, tree: Path, tmp_path: Path) -> None:
    image = image_by_hand(tree, tmp_path / "env.squashfs", "-all-root")
    data = image.read_bytes()
    for size in (len(data) - 5000, len(data) // 2, 140_000, 600):
        image.write_bytes(data[:size])
        run("-e", image, "say", "x").refused("squashfs image", "cannot be unpacked")
    assert run.unpacked() == run.leftovers() == mounts(run.directory) == []


@can_mount
def test_devices_and_setuid_programs_in_an_image_have_no_effect(run: Runner, tree: Path, tmp_path: Path) -> None:
    (tree / "bin/say").chmod(0o4755)
    image = image_by_hand(tree, tmp_path / "env.squashfs", "-all-root", "-p", "lib/null c 666 root root 1 3")
    run("-e", image, "say").ok()
    (where,) = mounts(run.directory)
    options = next(line.split()[3] for line in Path("/proc/mounts").read_text().splitlines() if where in line)
    assert {"ro", "nosuid", "nodev"} <= set(options.split(","))
