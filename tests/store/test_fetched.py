"""Which entries of a store a fetched package was unpacked into."""

from __future__ import annotations

from pathlib import Path

import pytest

from poncho.store.fetched import fetched
from tests.support.handmade import plain


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".fetched").mkdir()
    return tmp_path


def test_one_of_ours_is_known_by_its_key_however_it_lies_there(root: Path) -> None:
    path = root / ".fetched" / f"{'f' * 64}.package"
    digest = plain().write(path)
    (package,) = fetched(root)
    assert package.name == digest[:32]
    # Unpacked; mounted, for one job and for another; mounted apart; beside a directory that has its name already.
    for name in (package.name, f"{package.name}.mount", f"{package.name}.mount2", f"{package.name}.apart", digest):
        assert package.is_source_of(["other", name])
    assert not package.is_source_of([digest[32:], "f" * 12])


def test_one_that_others_made_is_known_by_the_head_of_the_file_s_sha256(root: Path) -> None:
    (root / ".fetched" / f"{'ab' * 32}.package").write_bytes(b"\x1f\x8b")
    (package,) = fetched(root)
    assert package.is_source_of(["ab" * 6])
    assert package.is_source_of(["ab" * 32])
    assert not package.is_source_of(["cd" * 6])
