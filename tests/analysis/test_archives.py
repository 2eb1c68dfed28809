"""Zipapps, wheels, eggs, zip files, source distributions; damaged and hostile ones."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import zipapp
import zipfile
from pathlib import Path
from typing import Any

import pytest

from poncho.analysis import analyze
from poncho.errors import AnalysisError


def names(analysis: Any) -> set[str]:
    return {one.name for one in analysis.findings if one.included}


def zipped(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def tarred(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


@pytest.mark.parametrize("name", ["app.pyz", "app"])
def test_a_zipapp_is_read_whatever_its_name(env: Any, tmp_path: Path, name: str) -> None:
    source = tmp_path / "source"
    (source / "pkg").mkdir(parents=True)
    (source / "__main__.py").write_text("import pkg.core\nimport numpy\n")
    (source / "pkg" / "__init__.py").write_text("")
    (source / "pkg" / "core.py").write_text("import yaml\n")
    zipapp.create_archive(source, tmp_path / name, interpreter="/usr/bin/env python3")
    analysis = analyze([tmp_path / name], prefix=env.prefix)
    assert names(analysis) == {"numpy", "pyyaml"}
    places = {one.name: str(one.places[0]) for one in analysis.findings}
    assert places["pyyaml"] == f"{tmp_path / name}/pkg/core.py:1"
    assert analysis.local_modules == ()


def test_what_travels_inside_a_zipapp_is_not_asked_for(env: Any, tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "app.pyz",
        {"__main__.py": "import numpy, yaml\n", "site-packages/numpy/__init__.py": "import zzz_hidden\n"},
    )
    assert names(analyze([path], prefix=env.prefix)) == {"pyyaml"}


def test_a_wheel_and_an_egg(env: Any, tmp_path: Path) -> None:
    files = {"pkg/__init__.py": "import numpy\n", "pkg-1.dist-info/METADATA": "Name: pkg\nRequires-Dist: numpy>=2\n\n"}
    wheel = zipped(tmp_path / "pkg-1-py3-none-any.whl", files)
    analysis = analyze([wheel], prefix=env.prefix)
    assert analysis.spec.pip == ("numpy>=2",)
    assert analysis.projects[0].differences == ()
    egg = zipped(tmp_path / "pkg-1.egg", {"pkg/__init__.py": "import yaml\n", "EGG-INFO/PKG-INFO": "Name: pkg\n\n"})
    assert names(analyze([egg], prefix=env.prefix)) == {"pyyaml"}


def test_a_source_distribution_is_a_project(env: Any, tmp_path: Path) -> None:
    path = tarred(
        tmp_path / "thing-1.tar.gz",
        {
            "thing-1/pyproject.toml": "[build-system]\nrequires = []\n"
            '[project]\nname = "thing"\ndependencies = ["numpy", "six"]\n',
            "thing-1/src/thing/__init__.py": "import numpy\nimport yaml\n",
            "thing-1/tests/test_it.py": "import pytest\n",
        },
    )
    analysis = analyze([path], prefix=env.prefix)
    assert names(analysis) == {"numpy", "pyyaml"}
    said = {(one.kind, one.name): one.message for one in analysis.projects[0].differences}
    assert set(said) == {("missing", "pyyaml"), ("unused", "six")}
    assert f"{path}/src/thing/__init__.py:2" in said["missing", "pyyaml"]
    assert f"{path}/pyproject.toml:5" in said["unused", "six"]


def test_an_error_names_the_archive(env: Any, tmp_path: Path) -> None:
    path = zipped(tmp_path / "app.zip", {"app.py": "import zzz_nowhere\n"})
    with pytest.raises(AnalysisError) as caught:
        analyze([path], prefix=env.prefix)
    assert f"{path}/app.py:1" in caught.value.message
    assert "poncho-analyze" not in f"{caught.value.message}{caught.value.context}"


def test_members_that_lead_elsewhere_are_not_written(env: Any, tmp_path: Path) -> None:
    files = {
        "../out.py": "import scipy\n",
        "/abs.py": "import scipy\n",
        "a/../../b.py": "import scipy\n",
        "c.py": "import numpy\n",
    }
    inside = tmp_path / "in"
    inside.mkdir()
    for path in (zipped(inside / "a.zip", files), tarred(inside / "a.tar.gz", files)):
        assert names(analyze([path], prefix=env.prefix)) == {"numpy"}
    assert sorted(one.name for one in tmp_path.iterdir() if one.name.endswith(".py")) == []


def test_a_tarball_that_was_cut_off_is_said(env: Any, tmp_path: Path) -> None:
    path = tarred(tmp_path / "a.tar.gz", {f"a/{number}.py": f"import m{number * 7919}\n" for number in range(500)})
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(AnalysisError, match="not a whole archive"):
        analyze([path], prefix=env.prefix)


@pytest.mark.parametrize("name", ["a.zip", "a.whl", "a.pyz", "a.tar.gz", "a.tar.xz", "a.tar"])
def test_a_damaged_archive_is_said_in_one_line(env: Any, tmp_path: Path, name: str) -> None:
    whole = zipped(tmp_path / "whole.zip", {"a.py": "import numpy\n" * 50}).read_bytes()
    for data in (b"", b"not an archive at all", whole[:-30], whole[:40]):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(AnalysisError, match="not a whole archive") as caught:
            analyze([tmp_path / name], prefix=env.prefix)
        assert "\n" not in caught.value.message


def test_a_packed_environment_is_no_program(env: Any, tmp_path: Path) -> None:
    path = tarred(tmp_path / "env.tar.gz", {"conda-meta/history": "", "bin/x.py": "import numpy\n"})
    with pytest.raises(AnalysisError, match="packed environment") as caught:
        analyze([path], prefix=env.prefix)
    assert "poncho inspect" in (caught.value.hint or "")


def test_an_archive_without_python_is_said(env: Any, tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"data\.zip holds no Python file"):
        analyze([zipped(tmp_path / "data.zip", {"a.txt": "x"})], prefix=env.prefix)


def test_nothing_is_left_behind(env: Any, tmp_path: Path) -> None:
    code = "import sys, pathlib, poncho.analysis as a\na.analyze([sys.argv[1]], prefix=pathlib.Path(sys.argv[2]))\n"
    path = zipped(tmp_path / "a.zip", {"a.py": "import numpy\n"})
    private = tmp_path / "private"
    private.mkdir()
    checkout = str(Path(__file__).resolve().parents[2])
    subprocess.run(
        [sys.executable, "-c", code, str(path), str(env.prefix)],
        env={"TMPDIR": str(private), "PYTHONPATH": checkout, "PATH": "/usr/bin:/bin", "HOME": str(private / "h")},
        check=True,
    )
    assert not list(private.glob("poncho*"))
