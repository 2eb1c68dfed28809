"""Squashfs images: the same content under the same digest as a tarball, the same bytes each time, a header for shells."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from pathlib import Path

import pytest

from poncho.cli.create import main
from poncho.errors import BuildError, UsageError
from poncho.pack import PackedPackage, PackOptions
from poncho.package import open_package, verify
from tests.support.images import needs_tools
from tests.support.packages import unpack
from tests.support.prefixes import packed, small_prefix

pytestmark = needs_tools


def sha256(path: Path) -> str:
    """Return the digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_image_has_the_digest_of_the_tarball_and_every_byte_of_it(prefix: Path, tmp_path: Path) -> None:
    tarball = packed(prefix, tmp_path / "env.tar.gz")
    image = packed(prefix, tmp_path / "env.squashfs", format="squashfs")
    assert (image.digest, image.files, image.unpacked_bytes) == (tarball.digest, tarball.files, tarball.unpacked_bytes)
    found = verify(image.path)
    assert (found.digest, found.files, found.bytes) == (image.digest, image.files, image.unpacked_bytes)


def test_the_same_environment_gives_the_same_image(tmp_path: Path) -> None:
    found = set()
    for number, mask in enumerate((0o022, 0o077)):
        # Made again elsewhere, in another order of directory entries, at another time, under another umask.
        elsewhere = tmp_path / ("x" * (1 + 30 * number))
        elsewhere.mkdir()
        if number:
            for name in ("zz", "aa", "mm"):
                (elsewhere / name).touch()
        other = small_prefix(elsewhere / "env")
        (other / "etc/settings.ini").write_text(f"root={other}\n")
        os.utime(other / "lib/plain.txt", (number, number))
        old = os.umask(mask)
        try:
            image = packed(other, elsewhere / "env.squashfs", format="squashfs", threads=1 + number)
        finally:
            os.umask(old)
        found.add((image.digest, sha256(image.path)))
        time.sleep(1.1)  # what is stamped with the time, is so in whole seconds
    assert len(found) == 1


def test_a_shell_reads_digest_and_facts_without_a_process(prefix: Path, tmp_path: Path) -> None:
    image = packed(prefix, tmp_path / "env.squashfs", format="squashfs")
    script = (
        'while IFS= read -r line; do [ "$line" != "PONCHO-PACKAGE 1" ] || break; done; read -r key; read -r facts; '
        'echo "$key${facts%% *}"; echo "${facts#* }"'
    )
    for shell in ("dash", "bash"):
        with image.path.open("rb") as stream:
            said = subprocess.run(
                [shell, "-c", script],
                stdin=stream,
                capture_output=True,
                text=True,
                check=True,
                env={"LC_ALL": "C.UTF-8"},
            ).stdout.splitlines()
        assert said[0] == image.digest
        assert f"files={image.files} " in said[1]
    assert image.path.read_bytes()[:4] == b"hsqs"


@pytest.mark.parametrize(
    "how", [{"level": 1}, {"level": 19}, {"compression": "gzip"}, {"compression": "gzip", "level": 1}]
)
def test_level_and_compression_change_the_size_and_nothing_else(
    prefix: Path, tmp_path: Path, how: dict[str, object]
) -> None:
    reference = packed(prefix, tmp_path / "env.tar.gz")
    image = packed(prefix, tmp_path / "env.squashfs", format="squashfs", **how)
    assert verify(image.path).digest == reference.digest


def test_what_cannot_be_asked_for_is_refused() -> None:
    with pytest.raises(UsageError, match="no compression level"):
        PackOptions(format="squashfs", level=0)
    with pytest.raises(UsageError, match="no compression level"):
        PackOptions(format="squashfs", compression="gzip", level=10)
    with pytest.raises(UsageError, match="for squashfs images"):
        PackOptions(compression="gzip").for_output("env.tar.gz")
    with pytest.raises(UsageError, match="unknown compression"):
        PackOptions(format="squashfs", compression="rar")  # type: ignore[arg-type]


def test_without_the_tool_one_line_says_so_before_anything_is_built(
    prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match="mksquashfs") as caught:
        packed(prefix, tmp_path / "env.squashfs", format="squashfs")
    assert "squashfs-tools" in (caught.value.hint or "")
    (tmp_path / "spec.json").write_text('{"python": "3.11"}')
    assert main([str(tmp_path / "spec.json"), str(tmp_path / "env.squashfs")]) == 1
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in said] == ["poncho_package_create", "hint"]
    assert not (tmp_path / "env.squashfs").exists()


def test_a_tool_that_fails_leaves_nothing_and_is_quoted(
    prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "mksquashfs").write_text("#!/bin/sh\nhead -c 1000 >/dev/null\necho 'FATAL ERROR: it broke'\nexit 1\n")
    (tools / "mksquashfs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    with pytest.raises(BuildError, match="it broke"):
        packed(prefix, tmp_path / "env.squashfs", format="squashfs")
    (tools / "mksquashfs").write_text(
        "#!/bin/sh\nhead -c 1000 >/dev/null\necho 'Write failed: No space left on device'\nexit 1\n"
    )
    with pytest.raises(BuildError, match="no space left"):
        packed(prefix, tmp_path / "env.squashfs", format="squashfs")
    (tools / "mksquashfs").write_text("#!/bin/sh\ncat >/dev/null\n")
    with pytest.raises(BuildError, match="header"):
        packed(prefix, tmp_path / "env.squashfs", format="squashfs")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["env", "tools"]


@pytest.mark.parametrize("name", ["env.squashfs", "env.sqfs"])
def test_the_command_writes_an_image_by_its_suffix(conda_prefix: Path, tmp_path: Path, name: str) -> None:
    if name == "env.sqfs":
        conda_prefix = small_prefix(tmp_path / "small")
    assert main([str(conda_prefix), str(tmp_path / name), "--level", "1", "-q"]) == 0
    package = open_package(tmp_path / name)
    assert package.is_poncho
    assert package.path.read_bytes()[:4] == b"hsqs"


def test_unpacked_by_hand_it_can_be_relocated(prefix: Path, tmp_path: Path) -> None:
    (prefix / "bin/python3.11").unlink()
    image = packed(prefix, tmp_path / "env.squashfs", format="squashfs")
    there = tmp_path / "by hand"
    subprocess.run(["unsquashfs", "-q", "-n", "-d", there, image.path], check=True, capture_output=True)
    subprocess.run([there / "bin/conda-unpack"], check=True, env={"PATH": "/usr/bin:/bin"})
    tarball: PackedPackage = packed(prefix, tmp_path / "env.tar.gz")
    other = unpack(tarball.path, tmp_path / "by tars")
    subprocess.run([other / "bin/conda-unpack"], check=True, env={"PATH": "/usr/bin:/bin"})
    for path in sorted(other.rglob("*")):
        twin = there / path.relative_to(other)
        assert path.is_symlink() == twin.is_symlink(), twin
        if path.is_file() and "state" not in path.parts:
            assert path.read_bytes().replace(os.fsencode(other), b"@") == twin.read_bytes().replace(
                os.fsencode(there), b"@"
            )
    assert not (there / "poncho/fit").exists()
