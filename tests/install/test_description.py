"""What an environment holds is what a program in it would import."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from poncho.engine import select_engine
from poncho.install import description, site_packages
from poncho.store import BuilderCache
from tests.support.interpreter import base_executable


def distribution(site: Path, name: str, version: str) -> None:
    directory = site / f"{name}-{version}.dist-info"
    directory.mkdir(parents=True)
    (directory / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_what_several_directories_have_is_listed_as_the_first_has_it(
    builder_cache: BuilderCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv, shown = tmp_path / "env", [tmp_path / "first", tmp_path / "second"]
    subprocess.run([base_executable(), "-m", "venv", "--without-pip", venv], check=True)
    for number, site in enumerate((*site_packages(venv), *shown)):
        for name in ("own", "shared", "lower")[: number + 1]:
            distribution(site, name, f"{9 - number}")
    (shown[1] / "broken-1.dist-info").mkdir()
    (shown[1] / "broken-1.dist-info/METADATA").write_bytes(b"Name: \xff\n")
    # As Debian's interpreter has them, of which nobody may have written to the first.
    monkeypatch.setattr(description, "shown_sites", lambda *_: shown)
    lock = description.describe_environment(
        venv, engine=lambda: select_engine(None, cache=builder_cache), cache=builder_cache
    )
    assert [one.requirement for one in lock.pip] == ["lower==7", "own==9", "shared==8"]
