"""Only regular files are read where others may have put anything."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from poncho import _regular


@pytest.mark.parametrize("size", [0, 1, 5000, 3 << 20])
def test_a_file_is_read_whole(tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(os.urandom(size))
    assert _regular.read_bytes(tmp_path / "file") == (tmp_path / "file").read_bytes()
    with open(tmp_path / "file", "rb", opener=_regular.opener) as stream:
        assert stream.read() == (tmp_path / "file").read_bytes()


def test_what_the_kernel_makes_up_is_read_whole() -> None:
    assert _regular.read_bytes("/proc/self/status").startswith(b"Name:")
    assert b"VmRSS" in _regular.read_bytes("/proc/self/status")


def test_a_pipe_a_socket_a_device_and_a_directory_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "terminal").symlink_to("/dev/tty")
    before = len(os.listdir("/proc/self/fd"))
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(tmp_path)  # a socket's path is a short one
        listening.bind("socket")
        for name in ("pipe", "device", "terminal", "socket", ".", "missing"):
            with pytest.raises(OSError, match=r".") as raised:
                _regular.read_bytes(tmp_path / name)
            assert raised.value.strerror
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_is_too_large_to_be_metadata_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as stream:
        stream.truncate(_regular.LIMIT + 1)
    with pytest.raises(OSError, match="larger than 256 MiB"):
        _regular.read_bytes(tmp_path / "file")


def test_what_can_be_the_name_of_a_file_is_what_the_system_takes() -> None:
    assert all(map(_regular.is_name, ("a", "ünï", "a\udcff", "\n")))
    assert not any(map(_regular.is_name, ("", "a\0", "\ud800", "a\udc00")))
