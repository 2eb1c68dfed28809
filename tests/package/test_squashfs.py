"""Looking into squashfs images: ours and others', truncated, changed and hostile ones. Nothing is mounted or executed."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from poncho.errors import PackageError
from poncho.pack import squashfs as form
from poncho.package import open_package, verify
from poncho.package.unpack import unpack
from poncho.package.unpacked import verify_unpacked
from tests.support.faults import count
from tests.support.images import image_by_hand, needs_tools, small_image
from tests.support.prefixes import packed, small_prefix

pytestmark = needs_tools


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small image. Read only."""
    return small_image(tmp_path_factory.mktemp("image")).path


def test_opening_reads_digest_manifest_and_contents(tmp_path: Path) -> None:
    prefix = small_prefix(tmp_path / "env")
    tarball = open_package(packed(prefix, tmp_path / "env.tar.gz").path)
    package = open_package(packed(prefix, tmp_path / "env.squashfs", format="squashfs").path)
    assert package.is_poncho
    assert package.digest == tarball.digest
    assert package.manifest == tarball.manifest
    assert list(package.contents()) == list(tarball.contents())
    assert package.spec_text == tarball.spec_text
    assert package.facts is not None
    assert package.facts.boot == 0


def test_an_image_of_others_is_listed_and_not_verified(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    (tree / "bin/tool").write_bytes(bytes(300_000) + b"x")
    (tree / "bin/link").symlink_to("tool")
    path = image_by_hand(tree, tmp_path / "other.squashfs", digest=None)
    package = open_package(path)
    assert not package.is_poncho
    found = {item.path: item for item in package.contents()}
    assert found["bin/tool"].size == 300_001
    assert found["bin/link"].target == "tool"
    with pytest.raises(PackageError, match="not made by PONCHO"):
        verify(path)


def test_it_unpacks_to_what_the_tarball_unpacks_to(tmp_path: Path) -> None:
    prefix = small_prefix(tmp_path / "env")
    found = []
    for suffix in ("tar.gz", "squashfs"):
        path = packed(prefix, tmp_path / f"env.{suffix}", format=suffix).path
        here = tmp_path / suffix / "here"
        here.parent.mkdir()
        unpack(path, here, relocate=False)
        files = (file for file in here.rglob("*") if file.is_file() and not file.is_symlink())
        times = {file.relative_to(here): file.lstat().st_mtime for file in files if file.parent.name != "state"}
        found.append((tree(here), times))
    assert found[0] == found[1]


def test_unpacked_it_is_relocated_and_right(image: Path, tmp_path: Path) -> None:
    done = unpack(image, tmp_path / "here")
    assert done.relocated
    assert done.digest == open_package(image).digest
    assert str(tmp_path / "here/share") in (tmp_path / "here/bin/tool").read_text()
    assert verify_unpacked(tmp_path / "here") == []
    assert not (tmp_path / "here/poncho/fit").exists()


def test_an_image_of_others_is_unpacked_with_its_times(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    (tree / "bin/tool").write_text("x")
    os.utime(tree / "bin/tool", (1_000_000_000, 1_000_000_000))
    done = unpack(image_by_hand(tree, tmp_path / "other.squashfs", digest=None), tmp_path / "here")
    assert (done.digest, done.relocated) == (None, False)
    assert (tmp_path / "here/bin/tool").stat().st_mtime == 1_000_000_000


def test_an_image_that_lost_its_header_is_not_believed(image: Path, tmp_path: Path) -> None:
    for act in (verify, lambda path: unpack(path, tmp_path / "here")):
        with pytest.raises(PackageError):
            act(image_of_others(image, tmp_path))
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize("compressor", ["gzip", "xz", "zstd"])
def test_what_mksquashfs_compresses_is_read(tmp_path: Path, compressor: str) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(300):
        (tree / f"file {number}").write_text(f"{number}\n" * number)
    (tree / "large").write_bytes(random.Random(1).randbytes(700_000))
    (tree / "sparse").write_bytes(b"")
    os.truncate(tree / "sparse", 500_000)
    path = image_by_hand(tree, tmp_path / "other.squashfs", compressor=compressor, digest=None)
    assert sum(1 for _ in open_package(path).contents()) == 302


def test_a_compressor_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    path = image_by_hand(tmp_path / "tree", tmp_path / "other.squashfs", compressor="lz4", digest=None)
    with pytest.raises(PackageError, match="does not read"):
        open_package(path)


def test_truncated_anywhere_it_is_refused(image: Path, tmp_path: Path) -> None:
    data = image.read_bytes()
    dice = random.Random(1)
    for _ in range(count(40, 500)):
        (tmp_path / "broken").write_bytes(data[: dice.randrange(4, len(data) - 4096)])
        with pytest.raises(PackageError):
            verify(tmp_path / "broken")


def test_a_changed_bit_is_refused_or_changes_nothing_of_the_environment(image: Path, tmp_path: Path) -> None:
    data = bytearray(image.read_bytes())
    used = int.from_bytes(data[40:48], "little")
    reference = verify(image)
    dice = random.Random(2)
    refused = 0
    tries = count(60, 500)
    right = None
    for _ in range(tries):
        at, bit = dice.randrange(used), 1 << dice.randrange(8)
        data[at] ^= bit
        (tmp_path / "broken").write_bytes(data)
        data[at] ^= bit
        try:
            # Bytes that no reader looks at, as the counts of links, may differ: then the environment is the same.
            assert verify(tmp_path / "broken") == reference
            unpack(tmp_path / "broken", tmp_path / "here", relocate=False)
            right = right or tree(tmp_path / "here")
            assert tree(tmp_path / "here") == right
            shutil.rmtree(tmp_path / "here")
        except PackageError:
            refused += 1
            with pytest.raises(PackageError):
                unpack(tmp_path / "broken", tmp_path / "here", relocate=False)
            assert not (tmp_path / "here").exists()
    assert refused > tries * 0.95


def test_what_stands_behind_the_end_is_refused(image: Path, tmp_path: Path) -> None:
    (tmp_path / "longer").write_bytes(image.read_bytes() + b"more" * 1024)
    with pytest.raises(PackageError, match="behind its end"):
        verify(tmp_path / "longer")


def tree(root: Path) -> dict[str, object]:
    """Return what lies below a directory: content and mode of files, targets of links."""
    return {
        str(path.relative_to(root)): path.readlink()
        if path.is_symlink()
        else (path.read_bytes(), path.stat().st_mode)
        if path.is_file()
        else None
        for path in root.rglob("*")
    }


def tree_with(directory: Path) -> Path:
    """Make what looks like an environment."""
    tree = directory / "tree"
    for name in ("bin/say", "poncho/contents", "poncho/manifest.json", "poncho/env.sh", "lib/evil-name"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("x\n")
    return tree


def absolute_link(tree: Path) -> None:
    (tree / "lib/link").symlink_to("/etc/passwd")


def link_out(tree: Path) -> None:
    (tree / "lib/link").symlink_to("../../outside")


def link_to_another_fitted_file(tree: Path) -> None:
    (tree / "lib/link").symlink_to("../../fitted/lib/other")


def fit_without_a_link(tree: Path) -> None:
    (tree / "poncho/fit/lib").mkdir(parents=True)
    (tree / "poncho/fit/lib/link").write_text("x")


def link_without_fit(tree: Path) -> None:
    (tree / "lib/link").symlink_to(form.link_target("lib/link"))


def link_in_fit(tree: Path) -> None:
    (tree / "poncho/fit/lib").mkdir(parents=True)
    (tree / "poncho/fit/lib/link").symlink_to("/etc/passwd")


def pipe(tree: Path) -> None:
    os.mkfifo(tree / "lib/pipe")


def setuid(tree: Path) -> None:
    (tree / "lib/evil-name").chmod(0o4755)


def setgid_directory(tree: Path) -> None:
    (tree / "lib").chmod(0o2755)


def state(tree: Path) -> None:
    (tree / "poncho/state").mkdir()
    (tree / "poncho/state/digest").write_text("x")


@pytest.mark.parametrize(
    "evil",
    [
        *(absolute_link, link_out, link_to_another_fitted_file, fit_without_a_link, link_without_fit, link_in_fit),
        *(pipe, setuid, setgid_directory, state),
    ],
)
def test_hostile_members_are_refused_by_name(tmp_path: Path, evil: Callable[[Path], None]) -> None:
    tree = tree_with(tmp_path)
    evil(tree)
    with pytest.raises(PackageError, match=r"refused|belong together|owner or time"):
        verify(image_by_hand(tree, tmp_path / "evil.squashfs", "-all-root"))
    with pytest.raises(PackageError):
        unpack(tmp_path / "evil.squashfs", tmp_path / "here")
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize("name", ["../../outs", "/tmp/outsi", "..", ".", "a\0b"])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    """The name is written over one in an image that is not compressed."""
    tree = tree_with(tmp_path)
    old = b"evil-name"
    if len(name) < 3:
        (tree / "lib/evil-name").rename(tree / "lib" / ("é" if len(name) == 2 else "q"))
        old = ("é" if len(name) == 2 else "q").encode()
    path = image_by_hand(tree, tmp_path / "evil.squashfs", "-all-root", tables=True)
    data = path.read_bytes()
    at = data.rindex(old)
    path.write_bytes(data[:at] + name.encode()[: len(old)].ljust(len(old), b"x") + data[at + len(old) :])
    with pytest.raises(PackageError):
        verify(path)
    with pytest.raises(PackageError):
        list(open_package(image_of_others(path, tmp_path)).contents())


def image_of_others(path: Path, directory: Path) -> Path:
    """Return the same image without PONCHO's header."""
    data = path.read_bytes().replace(b"PONCHO-PACKAGE 1", b"NOTHING-PACKAGE!", 1)
    (directory / "others.squashfs").write_bytes(data)
    return directory / "others.squashfs"


def test_a_directory_that_contains_itself_ends(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "aa/bb").mkdir(parents=True)
    (tree / "aa/bb/file").write_text("x")
    path = image_by_hand(tree, tmp_path / "loop.squashfs", tables=True, digest=None)
    data = bytearray(path.read_bytes())
    # The entry of bb gets the inode of aa.
    entry_a, entry_b = data.rindex(b"aa") - 8, data.rindex(b"bb") - 8
    data[entry_b : entry_b + 2] = data[entry_a : entry_a + 2]
    path.write_bytes(data)
    with pytest.raises(PackageError, match=r"twice|more files"):
        list(open_package(path).contents())


def test_a_bomb_is_stopped_at_what_the_header_says(tmp_path: Path) -> None:
    tree = tree_with(tmp_path)
    (tree / "lib/zeros").write_bytes(b"")
    os.truncate(tree / "lib/zeros", 512 << 20)
    path = image_by_hand(tree, tmp_path / "bomb.squashfs", "-all-root", "-all-time", "0", "-mkfs-time", "0")
    assert path.stat().st_size < 2_000_000
    code = (
        "import sys\nfrom pathlib import Path\nfrom poncho.errors import PackageError\n"
        "from poncho.package import verify\n"
        "try:\n    verify(Path(sys.argv[1]))\nexcept PackageError as error:\n    print(error)\n"
        "print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True, timeout=60)
    said, used = done.stdout.splitlines()
    assert "more bytes than it says" in said
    assert int(used) < 150_000


def test_random_bytes_behind_the_magic_are_no_image(tmp_path: Path) -> None:
    dice = random.Random(3)
    good = small_image(tmp_path).path.read_bytes()
    for number in range(count(100, 2000)):
        head = bytearray(good[:96])
        for _ in range(1 + number % 4):
            head[dice.randrange(4, 96)] = dice.randrange(256)
        (tmp_path / "x.squashfs").write_bytes(bytes(head) + good[96:])
        try:
            list(open_package(tmp_path / "x.squashfs").contents())
            verify(tmp_path / "x.squashfs")
        except PackageError:
            continue
