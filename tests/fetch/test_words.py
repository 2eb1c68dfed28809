"""What went wrong, in words of ours: never in those of a library that quote what nobody may see."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from poncho.errors import FetchError
from poncho.fetch.gitfailure import says_disk_full
from poncho.fetch.remote import Remote
from poncho.fetch.session import parse

SECRET = "canary7canary"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (f"user:{SECRET}@\u2a74", "characters that no host has"),
        (f"user:{SECRET}@[host", "its brackets hold no address"),
        (f"user:{SECRET}@[1::2::3]", "its brackets hold no address"),
        (f"user:{SECRET}@host:99999", "its port is no number"),
        (f"user:{SECRET}/more@host", "its port is no number"),
    ],
)
@pytest.mark.parametrize("call", [parse, Remote.parse], ids=["http", "git"])
def test_a_url_that_is_none_is_refused_without_its_password(call, place: str, words: str) -> None:
    with pytest.raises(FetchError, match=words) as caught:
        call(f"https://{place}/x")
    assert SECRET not in f"{caught.value} {caught.value.to_json()}"


def test_a_full_disk_is_told_from_what_git_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert says_disk_full("fatal: write error: No space left on device", None)
    assert says_disk_full("error: Disk quota exceeded", tmp_path)
    assert not says_disk_full("fatal: repository not found", tmp_path)
    usage = shutil.disk_usage(tmp_path)
    for free, full in ((1 << 20, True), (1 << 40, False)):
        monkeypatch.setattr(shutil, "disk_usage", lambda place, free=free: usage._replace(free=free))
        assert says_disk_full("error: unable to write file x/file9", tmp_path) is full
    assert not says_disk_full("error: unable to write file x/file9", None)
