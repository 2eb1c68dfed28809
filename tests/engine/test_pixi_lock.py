"""pixi.lock, read by rattler in its worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from poncho.engine.pixi_lock import read_pixi_lock
from poncho.errors import SpecError
from poncho.lock.codec import dumps, loads
from poncho.lock.foreign import lifted
from poncho.lock.model import Lock
from poncho.store import BuilderCache
from tests.lock.foreign_samples import MD5, PIXI_4, PIXI_5, PIXI_6, PIXI_7, SHA


def read(text: str, tmp_path: Path, **options: str) -> Lock:
    options = {"platform": "linux-64", "source": "pixi.lock", **options}
    return read_pixi_lock(text, cache=BuilderCache(tmp_path), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [PIXI_4, PIXI_5, PIXI_6, PIXI_7], ids=["v4", "v5", "v6", "v7"])
def test_every_version_gives_the_same_lock(text: str, tmp_path: Path):
    lock = read(text, tmp_path)
    [python], [six] = lock.conda, lock.pip
    assert (python.name, python.version, python.build) == ("python", "3.11.7", "hab00c5b_1_cpython")
    assert (python.sha256, python.md5, python.size) == (SHA, MD5, 30830615)
    assert python.record["depends"] == ["bzip2 >=1.0.8,<2.0a0"]
    assert (six.requirement, six.sha256) == ("six==1.16.0", SHA)
    assert lock.channels == ("https://h.example/conda-forge",)
    assert loads(dumps(lifted(lock))).conda[0].url == python.url


def test_another_platform_is_taken_when_it_is_asked_for(tmp_path: Path):
    assert read(PIXI_6, tmp_path, platform="osx-arm64").conda[0].subdir == "osx-arm64"


@pytest.mark.parametrize(
    ("options", "words", "hint"),
    [
        ({"platform": "linux-aarch64"}, "no packages for linux-aarch64", "linux-64, osx-arm64"),
        ({"environment": "docs"}, "no environment 'docs'", "default, empty"),
    ],
)
def test_what_it_does_not_hold_is_said_with_what_it_does(
    options: dict[str, str], words: str, hint: str, tmp_path: Path
):
    with pytest.raises(SpecError, match=words) as caught:
        read(PIXI_6, tmp_path, **options)
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    "text",
    [
        PIXI_6.replace("version: 6", "version: 99"),
        PIXI_6.replace(SHA, "zz"),
        PIXI_6.replace("packages:", "packages: &a [*a]"),
        PIXI_6.replace("h.example", "h.\udc80example".encode("utf-8", "replace").decode()),
        "version: 6\nenvironments: 7\npackages: []\n",
    ],
)
def test_a_damaged_one_is_one_line(text: str, tmp_path: Path):
    try:
        read(text, tmp_path)
    except SpecError as error:
        said = str(error)
    else:
        said = ""
    assert "\n" not in said
