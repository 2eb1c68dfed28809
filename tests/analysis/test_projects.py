"""A project's own requirements beside what it imports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from poncho.analysis import analyze
from poncho.analysis.layout import installed_files
from poncho.analysis.project import read_project

BUILD = '[build-system]\nrequires = ["setuptools"]\n'


@pytest.fixture
def project(tmp_path: Path, env: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a project into the working directory and return its comparison."""
    monkeypatch.chdir(tmp_path)

    def run(files: dict[str, str], **options: Any) -> Any:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return analyze(["."], prefix=env.prefix, strict=False, **options).projects[0]

    return run


def said(comparison: Any) -> set[tuple[str, str]]:
    return {(one.kind, one.name) for one in comparison.differences}


def test_missing_misplaced_and_unused_are_told_apart(project: Any) -> None:
    found = project(
        {
            "pyproject.toml": f"""{BUILD}
[project]
name = "mine"
dependencies = [
    "numpy>=1.20",
    "six",
    "hypothesis",
    "tomli; python_version < '3.0'",
]
[project.optional-dependencies]
plot = ["matplotlib"]
[dependency-groups]
test = ["pytest", "requests", {{include-group = "lint"}}]
lint = ["mypy"]
""",
            "src/mine/__init__.py": "import numpy\nimport yaml\nimport requests\n",
            "src/mine/draw.py": "def draw():\n    import matplotlib.pyplot\n",
            "tests/test_mine.py": "import pytest, hypothesis, mine\n",
        }
    )
    assert said(found) == {
        ("missing", "pyyaml"),
        ("misplaced", "requests"),
        ("misplaced", "hypothesis"),
        ("unused", "six"),
    }
    by_name = {one.name: one for one in found.differences}
    assert str(by_name["six"].places[0]) == "pyproject.toml:8"
    assert str(by_name["requests"].declared[0].place) == "pyproject.toml:15"
    assert "group test" in by_name["requests"].message
    assert "tests/test_mine.py:1" in by_name["hypothesis"].message


def test_a_project_that_agrees_says_nothing(project: Any) -> None:
    found = project(
        {
            "pyproject.toml": f'{BUILD}[project]\nname = "mine"\ndependencies = ["PyYAML", "opencv-python-headless"]\n',
            "mine/__init__.py": "import yaml\nimport cv2\n",
        }
    )
    assert said(found) == set()


def test_the_projects_own_name_and_version_for_an_import_count(project: Any, env: Any) -> None:
    project(
        {
            "pyproject.toml": BUILD
            + '[project]\nname = "m"\ndependencies = ["opencv-python-headless>=4,<5; python_version>\'3\'"]\n',
            "m/__init__.py": "import cv2\n",
        }
    )
    analysis = analyze(["."], prefix=env.prefix)
    assert analysis.spec.pip == ("opencv-python-headless>=4,<5",)
    assert analysis.findings[0].evidence == "declared in pyproject.toml:5"


def test_an_optional_feature_that_says_what_is_missing_is_no_difference(project: Any) -> None:
    guarded = (
        "def f():\n    try:\n        import pandas\n    except ImportError:\n        raise RuntimeError('get pandas')\n"
    )
    found = project({"pyproject.toml": f'{BUILD}[project]\nname = "m"\ndependencies = []\n', "m/__init__.py": guarded})
    assert said(found) == set()


def test_what_no_package_is_known_for_is_left_out_of_the_spec_but_missing_all_the_same(project: Any, env: Any) -> None:
    files = {
        "pyproject.toml": f'{BUILD}[project]\nname = "m"\ndependencies = []\n',
        "m/__init__.py": "def f():\n    import pandas\n    import zzz_nowhere\n",
    }
    assert said(project(files)) == {("missing", "pandas"), ("missing", "zzz_nowhere")}
    analysis = analyze(["."], prefix=env.prefix, strict=False)
    assert [one.name for one in analysis.unresolved] == ["zzz_nowhere"]
    assert not any("zzz" in one for one in analysis.spec.pip)


def test_what_is_excluded_is_not_compared(project: Any) -> None:
    files = {
        "pyproject.toml": f'{BUILD}[project]\nname = "m"\ndependencies = ["six"]\n',
        "m/__init__.py": "import yaml\n",
    }
    assert said(project(files)) == {("missing", "pyyaml"), ("unused", "six")}
    assert said(project(files, exclude=["yaml", "six"])) == set()


def test_all_that_is_declared_can_be_taken_in(project: Any, env: Any) -> None:
    project({"pyproject.toml": f'{BUILD}[project]\nname = "m"\ndependencies = ["gunicorn>=20"]\n', "m/__init__.py": ""})
    assert analyze(["."], prefix=env.prefix).spec.pip == ()
    assert analyze(["."], prefix=env.prefix, include=["declared"]).spec.pip == ("gunicorn>=20",)


RUN, EXTRA, DEV = "run time", "extra", "development"
SETUP_CFG = """[metadata]
name = m
[options]
install_requires =
    numpy>1
    six
[options.extras_require]
test =
    pytest
"""
SETUP_PY = """from setuptools import setup
R = ['numpy'] + ['six']
setup(name='m', install_requires=R, extras_require={'x': ['dask']})
"""
POETRY = """[tool.poetry]
name = "m"
[tool.poetry.dependencies]
python = "^3.8"
numpy = "^1"
six = {version = "*", optional = true}
[tool.poetry.group.dev.dependencies]
pytest = "*"
"""
DYNAMIC = """[project]
name = "m"
dynamic = ["dependencies"]
[tool.setuptools.dynamic]
dependencies = {file = ["req.in"]}
"""
REQUIREMENTS = {
    "requirements.txt": "numpy==1.0  # why\n-r more.txt\n--index-url x\n",
    "more.txt": "six\n",
    "requirements-dev.txt": "pytest\n",
}
METADATA = "Name: m\nRequires-Dist: numpy>=1\nRequires-Dist: pytest; extra == 'test'\n\n"
EGG = {"EGG-INFO/PKG-INFO": "Name: m\n\n", "EGG-INFO/requires.txt": "numpy\n\n[x]\ndask\n"}


def test_a_list_that_is_a_link_to_itself_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "circle.txt").symlink_to("circle.txt")
    (tmp_path / "requirements.txt").write_text("-r circle.txt\nnumpy\n")
    found = read_project(tmp_path, "3.11.7")
    assert found is not None
    assert [one.name for one in found.dependencies] == ["numpy"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"setup.cfg": SETUP_CFG}, {"numpy": RUN, "six": RUN, "pytest": DEV}),
        ({"setup.py": SETUP_PY}, {"numpy": RUN, "six": RUN, "dask": EXTRA}),
        (REQUIREMENTS, {"numpy": RUN, "six": RUN, "pytest": DEV}),
        (
            {"requirements/base.txt": "numpy\n", "requirements/test.txt": "-r base.txt\npytest\n"},
            {"numpy": RUN, "pytest": DEV},
        ),
        ({"pyproject.toml": POETRY}, {"numpy": RUN, "six": EXTRA, "pytest": DEV}),
        ({"pyproject.toml": DYNAMIC, "req.in": "numpy\n"}, {"numpy": RUN}),
        ({"PKG-INFO": METADATA}, {"numpy": RUN, "pytest": DEV}),
        (EGG, {"numpy": RUN, "dask": EXTRA}),
    ],
)
def test_every_way_to_declare_is_read(tmp_path: Path, files: dict[str, str], expected: dict[str, str]) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = read_project(tmp_path, "3.11.7")
    assert found is not None
    roles = {}
    for one in found.dependencies:
        if roles.get(one.name) != "run time":
            roles[one.name] = one.role
    assert roles == expected


def test_requirements_that_are_computed_are_said(project: Any, env: Any) -> None:
    project(
        {"setup.py": "from setuptools import setup\nsetup(name='m', install_requires=read())\n", "m/__init__.py": ""}
    )
    assert any("install_requires is computed" in str(one) for one in analyze(["."], prefix=env.prefix).problems)


@pytest.mark.parametrize("text", ["[[[ = \x00", f"[project]\nname = {'[' * 5000}\n"], ids=["broken", "nested"])
@pytest.mark.parametrize("name", ["pyproject.toml", "setup.cfg", "setup.py"])
def test_a_broken_file_is_said_and_the_code_is_analysed(project: Any, env: Any, name: str, text: str) -> None:
    project({"requirements.txt": "numpy\n", name: text, "m.py": "import numpy\n"})
    analysis = analyze(["."], prefix=env.prefix)
    assert {one.name for one in analysis.findings if one.included} == {"numpy"}
    # What is nested is no mistake in the other two.
    if name == "pyproject.toml" or "\0" in text:
        assert any(name in str(one) for one in analysis.problems)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["pyproject.toml", "src/m/__init__.py", "scripts/x.py", "tests/__init__.py"], ["src/m"]),
        (["pyproject.toml", "m/__init__.py", "tools/__init__.py", "tests/__init__.py"], ["m"]),
        (["pyproject.toml", "m.py", "setup.py"], ["m.py"]),
        (["app.py", "requirements.txt"], None),
    ],
)
def test_what_a_project_installs_is_found(tmp_path: Path, files: list[str], expected: list[str] | None) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f'{BUILD}[project]\nname = "m"\n' if name == "pyproject.toml" else "")
    found = installed_files(tmp_path)
    assert (None if found is None else [one.relative_to(tmp_path).as_posix() for one in found]) == expected


def test_a_script_with_its_own_requirements_is_compared(tmp_path: Path, env: Any) -> None:
    script = tmp_path / "s.py"
    script.write_text('# /// script\n# dependencies = ["numpy", "six"]\n# ///\nimport numpy\nimport yaml\n')
    found = analyze([script], prefix=env.prefix).projects[0]
    assert said(found) == {("missing", "pyyaml"), ("unused", "six")}
