"""What only a part of a package needs does not stand in the way of the rest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from poncho.analysis import Analysis, Tier, analyze
from poncho.errors import AnalysisError


def _package(tmp_path: Path, files: Mapping[str, str]) -> Analysis:
    app = tmp_path / "code" / "app"
    app.mkdir(parents=True)
    for name, text in {"__init__.py": "", **files}.items():
        (app / name).write_text(text)
    return analyze(tmp_path / "code")


def _tiers(analysis: Analysis) -> dict[str, Tier]:
    return {one.name: one.tier for one in analysis.findings}


def test_an_unknown_import_of_a_function_in_a_package_is_left_out_with_a_warning(tmp_path: Path) -> None:
    analysis = _package(tmp_path, {"debug.py": "def memory():\n    import zzz_nowhere\n"})
    assert [one.name for one in analysis.unresolved] == ["zzz_nowhere"]
    assert [one for one in analysis.problems if "--pkg-mapping zzz_nowhere=NAME" in str(one)]


def test_an_unknown_import_that_the_package_needs_to_load_is_still_an_error(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="zzz_nowhere"):
        _package(tmp_path, {"__init__.py": "import zzz_nowhere\n"})


def test_an_unknown_import_of_a_function_in_a_script_is_still_an_error(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("def memory():\n    import zzz_nowhere\n")
    with pytest.raises(AnalysisError, match="zzz_nowhere"):
        analyze(script)


def test_a_module_that_is_only_tried_is_as_optional_as_that(tmp_path: Path) -> None:
    tried = "try:\n    from .cloud import Store\nexcept ImportError:\n    Store = None\n"
    analysis = _package(tmp_path, {"__init__.py": tried, "cloud.py": "import boto3\nStore = boto3\n"})
    assert _tiers(analysis)["boto3"] is Tier.OPTIONAL


def test_the_module_in_the_except_branch_and_one_for_type_checkers_are_not_optional(tmp_path: Path) -> None:
    text = """\
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from .robots import Parser
try:
    from .fast import run
except ImportError:
    from .slow import run
"""
    files = {
        "__init__.py": text,
        "fast.py": "import httptools\n",
        "slow.py": "import h11\n",
        "robots.py": "import yarl\n",
    }
    tiers = _tiers(_package(tmp_path, files))
    assert tiers["httptools"] is Tier.OPTIONAL
    assert tiers["h11"] is Tier.CONDITIONAL
    assert tiers["yarl"] is Tier.CONDITIONAL


def test_a_feature_that_says_what_it_lacks_is_optional_in_a_package(tmp_path: Path) -> None:
    text = """\
def plot():
    try:
        import matplotlib
    except ImportError:
        raise RuntimeError("plotting needs matplotlib") from None
"""
    assert _tiers(_package(tmp_path, {"plots.py": text}))["matplotlib"] is Tier.OPTIONAL


def test_what_is_taken_from_xdg_tells_which_project_is_meant(tmp_path: Path) -> None:
    names = {one.name for one in _package(tmp_path, {"__init__.py": "from xdg import xdg_config_home\n"}).findings}
    assert names == {"xdg"}
