"""A script asks for what it reaches: by imports, by calls that surely happen, and by the names that frameworks read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from poncho.analysis import Analysis, Tier, analyze
from poncho.errors import AnalysisError


@pytest.fixture(autouse=True)
def _nothing_installed(env: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", str(env.prefix))


def _write(tmp_path: Path, files: Mapping[str, str]) -> Path:
    code = tmp_path / "code"
    for name, text in files.items():
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text(text)
    return code


# As pip writes it. What uv writes, and conda:
PIP = """\
#!/usr/bin/python3
# -*- coding: utf-8 -*-
import re
import sys
from app.cli import main
if __name__ == '__main__':
    sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])
    sys.exit(main())
"""
UV = """\
#!/usr/bin/python3
# -*- coding: utf-8 -*-
import sys
from app.cli import main
if __name__ == "__main__":
    if sys.argv[0].endswith("-script.pyw"):
        sys.argv[0] = sys.argv[0][:-11]
    elif sys.argv[0].endswith(".exe"):
        sys.argv[0] = sys.argv[0][:-4]
    sys.exit(main())
"""
CONDA = """\
# -*- coding: utf-8 -*-
import re
import sys

from app.cli import main

if __name__ == '__main__':
    sys.argv[0] = re.sub(r'(-script\\.pyw?|\\.exe)?$', '', sys.argv[0])
    sys.exit(main())
"""


def _entry(tmp_path: Path, files: Mapping[str, str], script: str = PIP) -> Analysis:
    code = _write(tmp_path, {"application.py": script, "app/__init__.py": "", **files})
    return analyze(code / "application.py", strict=False)


def _included(analysis: Analysis) -> set[str]:
    return {one.name for one in analysis.findings if one.included}


def test_what_a_function_that_need_not_run_imports_is_left_out_and_says_why(tmp_path: Path) -> None:
    analysis = _entry(tmp_path, {"app/cli.py": "import click\ndef main(): pass\ndef plot():\n    import matplotlib\n"})
    assert _included(analysis) == {"click"}
    left = next(one for one in analysis.findings if one.name == "matplotlib")
    assert left.tier is Tier.OPTIONAL
    assert "inside a function of a package that need not run" in left.because


@pytest.mark.parametrize("script", [PIP, UV, CONDA, PIP.replace("\\n    sys.argv[0]", "\\n    # x\\n    sys.argv[0]")])
def test_every_console_script_is_known_as_one(tmp_path: Path, script: str) -> None:
    files = {"app/cli.py": "import click\ndef main(): pass\ndef plot():\n    import matplotlib\n"}
    assert _included(_entry(tmp_path, files, script)) == {"click"}


@pytest.mark.parametrize(
    "script",
    [
        "from app.cli import main\nmain()\n",
        "import sys\nfrom app.cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n",
        "from app import cli\ncli.Plotter().draw()\n",
    ],
)
def test_of_a_script_that_somebody_wrote_the_packages_are_their_own_and_all_their_functions_count(
    tmp_path: Path, script: str
) -> None:
    text = """\
import click
def main(): pass
class Plotter:
    def draw(self):
        import matplotlib
def hist(x):
    if x:
        import numpy
"""
    assert _included(_entry(tmp_path, {"app/cli.py": text}, script)) == {"click", "matplotlib", "numpy"}


def test_what_the_named_function_imports_is_taken_and_what_it_calls_too(tmp_path: Path) -> None:
    text = """\
from .work import Job
def main():
    import click
    start()
    Job.prepare()
    if click.confirm("?"):
        seldom()
def start():
    import rich
    def inner():
        import numpy
    inner()
def seldom():
    import pandas
"""
    job = """\
class Job:
    @classmethod
    def prepare(cls):
        import scipy
        cls.more()
    @classmethod
    def more(cls):
        import requests
    def other(self):
        import flask
"""
    analysis = _entry(tmp_path, {"app/cli.py": text, "app/work.py": job})
    assert _included(analysis) == {"click", "rich", "numpy", "scipy", "requests"}


def test_what_importing_a_module_calls_runs_and_so_does_what_a_function_imports_to_call_it(tmp_path: Path) -> None:
    text = """\
import click
from .options import configured, idle
@configured
def main(): pass
@click.command()
def other():
    import numpy
"""
    options = """\
def configured(function):
    from .factory import make
    return make(function)
def idle():
    import pandas
"""
    files = {"app/cli.py": text, "app/options.py": options, "app/factory.py": "def make(x):\n    import requests\n"}
    assert _included(_entry(tmp_path, files)) == {"click", "requests"}


def test_a_function_that_a_package_passes_on_is_the_one_that_runs(tmp_path: Path) -> None:
    files = {"app/__init__.py": "from .cli import main\n", "app/cli.py": "def main():\n    import click\n"}
    assert _included(_entry(tmp_path, files, PIP.replace("app.cli", "app"))) == {"click"}


def test_functions_of_a_script_and_of_a_module_beside_it_stay_conditional(tmp_path: Path) -> None:
    script = "import helper\ndef f():\n    import numpy\n"
    code = _write(tmp_path, {"application.py": script, "helper.py": "def g():\n    import pandas\n"})
    assert _included(analyze(code / "application.py")) == {"numpy", "pandas"}


def test_a_branch_in_a_function_of_a_package_is_optional_and_in_a_script_is_not(tmp_path: Path) -> None:
    text = "def f(plot):\n    if plot:\n        import matplotlib\n"
    code = _write(tmp_path, {"app/__init__.py": "", "app/plots.py": text, "script.py": text})
    assert not _included(analyze(code / "app"))
    assert _included(analyze(code / "script.py")) == {"matplotlib"}


def test_modules_that_the_text_names_are_loaded(tmp_path: Path) -> None:
    files = {
        "app/cli.py": "HANDLERS = {'http': 'app.handlers.http.Handler'}\ndef main(): pass\n",
        "app/handlers/__init__.py": "",
        "app/handlers/http.py": "import requests\n",
        "app/handlers/ftp.py": "import paramiko\n",
    }
    assert _included(_entry(tmp_path, files)) == {"requests"}


def test_all_modules_of_a_named_package_are_loaded_where_the_program_walks_through_packages(tmp_path: Path) -> None:
    files = {
        "app/cli.py": "from .walk import walk\ndef main():\n    walk('app.commands')\n",
        "app/walk.py": "from pkgutil import iter_modules\n",
        "app/commands/__init__.py": "",
        "app/commands/fetch.py": "import requests\n",
    }
    assert _included(_entry(tmp_path, files)) == {"requests"}
    still = {**files, "app/walk.py": "def walk(name): pass\n"}
    assert not _included(_entry(tmp_path / "other", still))


def test_a_walk_through_packages_counts_only_where_the_program_surely_loads_the_module_that_walks(
    tmp_path: Path,
) -> None:
    files = {
        "app/cli.py": "GROUPS = ['app.commands']\ndef main():\n    from .walk import walk\n    walk(GROUPS)\n",
        "app/walk.py": "from pkgutil import iter_modules\ndef walk(names): pass\n",
        "app/commands/__init__.py": "",
        "app/commands/fetch.py": "import requests\n",
    }
    assert _included(_entry(tmp_path, files)) == {"requests"}
    idle = "GROUPS = ['app.commands']\ndef main(): pass\ndef serve():\n    from .walk import walk\n"
    aside = _entry(tmp_path / "idle", {**files, "app/cli.py": idle})
    assert [(one.name, one.tier, one.included) for one in aside.findings] == [("requests", Tier.OPTIONAL, False)]
    # What imports lead to as well is as sure as they are.
    both = idle + "    from .commands import fetch\n"
    assert _included(_entry(tmp_path / "both", {**files, "app/cli.py": both})) == {"requests"}


def test_a_module_named_after_the_package_it_imports_is_for_those_who_have_that(tmp_path: Path) -> None:
    files = {
        "app/cli.py": "def main(): pass\ndef plot():\n    from .backends import Matplotlib, other\n",
        "app/backends/__init__.py": "def get():\n    from . import matplotlib, other\n",
        "app/backends/matplotlib.py": "import matplotlib.pyplot\nimport numpy\n",
        "app/backends/other.py": "import pandas\n",
    }
    analysis = _entry(tmp_path, files)
    assert _included(analysis) == {"numpy", "pandas"}
    left = next(one for one in analysis.findings if one.name == "matplotlib")
    assert (left.tier, left.reasons[0].why) == (Tier.OPTIONAL, "in a module of its name, which need not be loaded")
    surely = {**files, "app/cli.py": "def main():\n    from .backends import get\n    get()\n"}
    assert _included(_entry(tmp_path / "surely", surely)) == {"matplotlib", "numpy", "pandas"}
    # A script that somebody wrote asks for all that it leads to.
    own = _write(tmp_path / "own", {**files, "app/__init__.py": "", "script.py": "from app.backends import get\n"})
    assert _included(analyze(own / "script.py")) == {"matplotlib", "numpy", "pandas"}


def test_packages_named_after_a_program_that_looks_for_plug_ins_are_its_plug_ins(tmp_path: Path) -> None:
    files = {
        "app/cli.py": "from importlib.metadata import entry_points\ndef main(): pass\n",
        "app_duck/__init__.py": "import duckdb\n",
        "other/__init__.py": "import numpy\n",
    }
    assert _included(_entry(tmp_path, files)) == {"duckdb"}


def test_an_unknown_import_that_others_reach_outright_is_an_error_and_one_of_a_lone_part_is_not(tmp_path: Path) -> None:
    lone = {"app/cli.py": "def main(): pass\ndef f():\n    from . import part\n", "app/part.py": "import zzz_nowhere\n"}
    analysis = _entry(tmp_path, lone)
    assert [str(one) for one in analysis.problems if "--pkg-mapping zzz_nowhere=NAME" in str(one)]
    analyze(tmp_path / "code" / "application.py")
    both = {
        **lone,
        "app/cli.py": "def main(): pass\ndef f():\n    from . import more\n",
        "app/more.py": "from . import part\n",
    }
    _entry(tmp_path / "both", both)
    with pytest.raises(AnalysisError, match="zzz_nowhere"):
        analyze(tmp_path / "both" / "code" / "application.py")


def test_a_namespace_beside_the_package_holds_plug_ins_that_stop_nothing(tmp_path: Path) -> None:
    files = {
        "app/__init__.py": "import click\n",
        "appplug/web.py": "import zzz_nowhere\n",
        "appplug/big/__init__.py": "import yyy_nowhere\n",
        "appplug/big/inner.py": "from . import x\n",
    }
    analysis = analyze(_write(tmp_path, files))
    assert {"zzz_nowhere", "yyy_nowhere"} <= {one.name for one in analysis.unresolved}


def test_a_package_with_an_unknown_import_in_a_part_is_not_refused_the_second_time_either(tmp_path: Path) -> None:
    files = {f"app/m{number}.py": "import click\n" for number in range(20)}
    code = _write(tmp_path, {"app/__init__.py": "", **files, "app/part.py": "def f():\n    import zzz_nowhere\n"})
    first, second = analyze(code), analyze(code)
    assert first.to_json() == second.to_json()


def test_one_way_inside_of_something_tried_is_not_asked_for(tmp_path: Path) -> None:
    text = """\
try:
    try:
        from gcsfs.retry import x
    except ImportError:
        from gcsfs.utils import x
except ImportError:
    x = None
"""
    assert not _included(analyze(_write(tmp_path, {"app/__init__.py": text})))
