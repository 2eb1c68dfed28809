"""Files, directories, packages, notebooks, standard input; local modules; broken and hostile sources."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poncho.analysis import Analysis, SourceText, analyze
from poncho.errors import AnalysisError

Look = Callable[..., Analysis]


def names(analysis: Analysis) -> set[str]:
    return {one.name for one in analysis.findings if one.included}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], Path]:
    """Write files into the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return write


def test_local_modules_are_followed_and_reported(tree: Any, env: Any) -> None:
    top = tree(
        {
            "app.py": "import helper\nfrom pkg import sub\nfrom pkg.deep.one import x\nimport bare.tool\n",
            "helper.py": "import numpy\n",
            "pkg/__init__.py": "from .core import *\n",
            "pkg/core.py": "import pandas\n",
            "pkg/sub.py": "from . import core\nfrom .deep import one\nimport pkg.deep.two\n",
            "pkg/deep/__init__.py": "",
            "pkg/deep/one.py": "from ..other import y\n",
            "pkg/deep/two.py": "import scipy\n",
            "pkg/other.py": "import yaml\n",
            "pkg/unused.py": "import zzz_not_reached\n",
            "bare/tool.py": "import sympy\n",
        }
    )
    analysis = analyze([Path("app.py")], prefix=env.prefix)
    assert names(analysis) == {"numpy", "pandas", "scipy", "pyyaml", "sympy"}
    files = {str(path.relative_to(top)) for path in analysis.local_modules}
    assert "pkg/other.py" in files
    assert "pkg/unused.py" not in files
    assert "app.py" not in files


def test_the_tier_of_a_local_module_passes_to_its_imports(tree: Any, env: Any) -> None:
    tree(
        {
            "app.py": "import sure\ndef f():\n    import lazy\ntry:\n    import maybe\nexcept ImportError: pass\n",
            "sure.py": "import numpy\ndef f():\n    import lazy2\n",
            "lazy.py": "import pandas\n",
            "lazy2.py": "import yaml\nimport numpy\n",
            "maybe.py": "import zzz_unknown\nimport scipy\n",
        }
    )
    analysis = analyze(["app.py"], prefix=env.prefix)
    tiers = {one.name: one.tier.label for one in analysis.findings}
    assert tiers == {"numpy": "required", "pandas": "conditional", "pyyaml": "conditional", "scipy": "optional"}


def test_modules_that_import_each_other_end(tree: Any, env: Any) -> None:
    tree({"a.py": "import b\nimport numpy\n", "b.py": "import a\nimport yaml\n"})
    assert names(analyze(["a.py"], prefix=env.prefix)) == {"numpy", "pyyaml"}


def test_the_main_guard_of_a_helper_is_not_run(tree: Any, env: Any) -> None:
    tree({"app.py": "import helper\n", "helper.py": "if __name__ == '__main__':\n    import zzz_unknown\n"})
    assert names(analyze(["app.py"], prefix=env.prefix)) == set()


def test_a_file_beside_the_program_hides_a_package_and_a_file_elsewhere_does_not(tree: Any, env: Any) -> None:
    tree({"app.py": "import yaml\nimport numpy\n", "yaml.py": "", "other/numpy.py": "", "scipy/data.txt": ""})
    assert names(analyze(["app.py"], prefix=env.prefix)) == {"numpy"}


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-dev.txt", "environment.yml", "spec.json", "pyproject.toml"]
)
def test_a_list_of_packages_is_no_program_that_needs_nothing(tree: Any, name: str) -> None:
    tree({name: "numpy\n"})
    with pytest.raises(AnalysisError, match="is no program") as caught:
        analyze([name])
    assert f"poncho_package_create {name} env.tar.gz" in str(caught.value.hint)
    assert ("analyse the project, name ." in str(caught.value.hint)) == (name == "pyproject.toml")


def test_a_bare_directory_does_not_hide_what_is_installed(tree: Any, env: Any) -> None:
    env.install("parsl", "1.0", {"parsl/__init__.py": ""})
    tree({"app.py": "import parsl\n", "parsl/notes.py": ""})
    assert names(analyze(["app.py"], prefix=env.prefix)) == {"parsl"}


def test_a_package_given_as_a_directory(tree: Any, env: Any) -> None:
    tree({"pkg/__init__.py": "from pkg.a import x\nimport pkg._generated\n", "pkg/a.py": "import numpy\n"})
    assert names(analyze([Path("pkg")], prefix=env.prefix)) == {"numpy"}


def test_a_project_directory_knows_its_src_and_sets_tests_aside(tree: Any, env: Any) -> None:
    tree(
        {
            "proj/src/mine/__init__.py": "import numpy\n",
            "proj/scripts/go.py": "import mine\nimport yaml\n",
            "proj/tests/test_it.py": "import pytest\nimport zzz_unknown\nimport mine\n",
            "proj/setup.py": "import setuptools\n",
            "proj/.venv/lib/x.py": "import zzz_hidden\n",
            "proj/build/lib/x.py": "import zzz_hidden\n",
        }
    )
    assert names(analyze(["proj"], prefix=env.prefix)) == {"numpy", "pyyaml"}


def test_pythonpath_holds_local_modules_too(tree: Any, env: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    top = tree({"app.py": "import shared_code\n", "lib/shared_code.py": "import numpy\n"})
    monkeypatch.setenv("PYTHONPATH", str(top / "lib"))
    assert names(analyze(["app.py"], prefix=env.prefix)) == {"numpy"}


def test_a_relative_import_that_leads_nowhere_is_a_problem_not_an_error(look: Look) -> None:
    analysis = look("from .missing import x\nimport numpy\n")
    assert "'.missing'" in str(analysis.problems[0])
    assert names(analysis) == {"numpy"}


def test_several_sources_and_standard_input_together(tree: Any, env: Any) -> None:
    tree({"a.py": "import numpy\n", "b.py": "import yaml\n"})
    analysis = analyze(["a.py", "-", Path("b.py")], prefix=env.prefix, stdin="import pandas\n")
    assert names(analysis) == {"numpy", "pandas", "pyyaml"}


@pytest.mark.parametrize(
    "text",
    [
        "import yaml\n",
        "def f():\n    import yaml\n",
        "    @python_app(executors=['a'])\n    def f(x):\n        import yaml\n        return 1\n",
        "        import yaml\n        yaml.dump({})\n",
        "        import yaml\n    return yaml\n",
        "    async def f(self):\n        '''doc\nat the margin'''\n        import yaml\n",
        "\n\n\t@app\n\tdef f():\n\t\timport yaml\n",
        "    return 1\n    import yaml\n",
        "import yaml\r\nimport os\r\n",
        "\ufeffimport yaml",
    ],
)
def test_standard_input_may_be_cut_out_of_a_file(env: Any, text: str) -> None:
    assert names(analyze("-", prefix=env.prefix, stdin=text)) == {"pyyaml"}


def test_the_one_function_on_standard_input_is_what_will_run(env: Any) -> None:
    analysis = analyze("-", prefix=env.prefix, stdin="    @app\n    def f():\n        import yaml\n")
    assert analysis.findings[0].tier.label == "required"


def test_text_and_source_objects(env: Any) -> None:
    assert names(analyze("import yaml\n", prefix=env.prefix)) == {"pyyaml"}
    finding = analyze(SourceText("import yaml", name="cell 3"), prefix=env.prefix).findings[0]
    assert str(finding.places[0]) == "cell 3:1"


def notebook(*cells: Any, language: str = "python") -> str:
    listed = [{"cell_type": "code", "source": cell, "metadata": {}, "outputs": []} for cell in cells]
    text = [{"cell_type": "markdown", "source": ["import zzz_markdown"]}]
    return json.dumps({"cells": text + listed, "metadata": {"kernelspec": {"language": language}}, "nbformat": 4})


def test_a_notebook_with_magics(tree: Any, env: Any) -> None:
    tree(
        {
            "nb.ipynb": notebook(
                ["%matplotlib inline\n", "import numpy as np\n", "!pip install foo\n", "np?\n", "files = !ls\n"],
                "%%bash\nimport zzz_in_bash\n",
                "%%time\nimport pandas\n  ",
                "%time import scipy\n",
                "for i in x:\n    %timeit f(i)\n    import yaml\nawait f()\n",
                "x = (\nimport sympy\n",
                "def f():\n    return np.array(1)\n",
            )
        }
    )
    analysis = analyze(["nb.ipynb"], prefix=env.prefix)
    assert names(analysis) == {"numpy", "pandas", "scipy", "pyyaml", "sympy"}
    places = {one.name: str(one.places[0]) for one in analysis.findings}
    assert places["numpy"] == "nb.ipynb:cell 2:2"
    assert places["pyyaml"] == "nb.ipynb:cell 6:3"
    assert len(analysis.problems) == 1
    assert "cell 7" in str(analysis.problems[0])
    assert names(analyze(["nb.ipynb"], prefix=env.prefix, function="f")) >= {"numpy"}


def test_a_notebook_in_another_language_is_named(tree: Any, env: Any) -> None:
    tree({"nb.ipynb": notebook("library(x)", language="R"), "a.py": "import yaml\n"})
    analysis = analyze(["nb.ipynb", "a.py"], prefix=env.prefix)
    assert "in r, not in Python" in str(analysis.problems[0])
    assert names(analysis) == {"pyyaml"}


@pytest.mark.parametrize("text", ['{"cells": [', "[]", "{}", "import json\n"])
def test_a_damaged_notebook_that_was_named_is_refused(tree: Any, env: Any, text: str) -> None:
    tree({"nb.ipynb": text, "a.py": "import yaml\n", "all/nb.ipynb": text, "all/a.py": "import yaml\n"})
    with pytest.raises(AnalysisError, match=r"cannot read nb\.ipynb: not a notebook") as caught:
        analyze(["nb.ipynb", "a.py"], prefix=env.prefix)
    assert caught.value.hint
    # One of many in a directory is left out, and named.
    analysis = analyze(["all"], prefix=env.prefix)
    assert "not a notebook" in str(analysis.problems[0])
    assert names(analysis) == {"pyyaml"}


def test_a_notebook_in_another_language_alone_is_nothing_to_analyse(tree: Any, env: Any) -> None:
    tree({"nb.ipynb": notebook("library(x)", language="R")})
    with pytest.raises(AnalysisError, match="in r, not in Python"):
        analyze(["nb.ipynb"], prefix=env.prefix)


def test_pep_723_requirements_are_declared(look: Look, env: Any) -> None:
    env.install("rich", "13.0", {"rich/__init__.py": ""})
    script = (
        '# /// script\n# requires-python = ">=3.8"\n'
        '# dependencies = ["rich>=12", "pyyaml<7", "plugin[x]>1"]\n# ///\nimport yaml\n'
    )
    analysis = look(script)
    assert set(analysis.spec.pip) == {"rich==13.0", "pyyaml<7", "plugin[x]>1"}
    assert "requires-python" not in str(analysis.problems)


def test_a_broken_pep_723_block_is_named(look: Look) -> None:
    analysis = look("# /// script\n# dependencies = [\n# ///\nimport yaml\n")
    assert "PEP 723" in str(analysis.problems[0])
    assert names(analysis) == {"pyyaml"}


@pytest.mark.parametrize(
    "text",
    [
        "type X[T = int] = list[T]\nimport numpy\n",
        "lazy import numpy\n",
        "lazy from numpy import array\n",
        "print 'python 2'\nimport numpy\n",
        "exec 'x'\nfrom numpy import (array, # one\n  dot)\n",
        "import numpy\nx = (\n",
        "x = [1,\nimport numpy\n",
        "def f(:\n    pass\nimport numpy\n",
        'x = """ import zzz_in_string\n"""\nimport numpy\n)\n',
        "if a:\n  import numpy\n    bad indent\n",
        "import \\\n   numpy\n?\n",
        "try: import numpy\nexcept ImportError, e: raise\n",
    ],
)
def test_code_that_does_not_parse_is_named_and_read_all_the_same(look: Look, text: str) -> None:
    analysis = look(text)
    assert {one.name for one in analysis.findings} == {"numpy"}
    assert "app.py" in "".join(map(str, analysis.problems)) or not analysis.problems


def test_the_lexical_reader_knows_tiers(look: Look) -> None:
    analysis = look(
        "import numpy\ndef f():\n    import pandas\nif TYPE_CHECKING:\n    import scipy\n"
        "try:\n    import ujson\nexcept ImportError:\n    pass\nx = = 1\n"
    )
    tiers = {one.name: one.tier.label for one in analysis.findings}
    assert tiers == {"numpy": "required", "pandas": "conditional", "scipy": "type-checking", "ujson": "optional"}


@pytest.mark.parametrize(
    "data",
    [
        b"import numpy\n\xff\xfe garbage \x80\n",
        b"# -*- coding: no-such-codec -*-\nimport numpy\n",
        b"# -*- coding: latin-1 -*-\nx = '\xe9'\nimport numpy\n",
        b"import numpy\n" + b"x = " + b"(" * 3000 + b")" * 3000,
        b"import numpy\n" + b"x = " + b"-" * 200_000 + b"1",
        b"import numpy\n" + b"".join(b" " * i + b"if x:\n" for i in range(150)) + b" " * 150 + b"pass\n",
    ],
)
def test_odd_bytes_and_deep_nesting_end_nothing(tree: Any, env: Any, data: bytes) -> None:
    (tree({}) / "odd.py").write_bytes(data)
    assert {one.name for one in analyze(["odd.py"], prefix=env.prefix).findings} == {"numpy"}


@pytest.mark.parametrize("data", [b"\x7fELF\0\0\0\1", b"\0" * 100, os.urandom(4000)], ids=["elf", "zeros", "random"])
def test_binary_data_is_named_and_the_rest_analysed(tree: Any, env: Any, data: bytes) -> None:
    top = tree({"good.py": "import numpy\n"})
    (top / "bad.py").write_bytes(data)
    analysis = analyze(["bad.py", "good.py"], prefix=env.prefix)
    assert names(analysis) == {"numpy"}
    assert "bad.py" in str(analysis.problems[0])


@pytest.mark.parametrize("path", ["missing.py", "empty-directory", "bad\0name.py"])
def test_a_named_source_that_is_not_there_is_an_error(tree: Any, env: Any, path: str) -> None:
    (tree({}) / "empty-directory").mkdir()
    with pytest.raises(AnalysisError) as caught:
        analyze([path], prefix=env.prefix)
    assert "\n" not in caught.value.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_source_is_an_error(tree: Any, env: Any) -> None:
    top = tree({"secret.py": "import numpy\n"})
    (top / "secret.py").chmod(0)
    with pytest.raises(AnalysisError, match="Permission denied"):
        analyze(["secret.py"], prefix=env.prefix)


def test_mutated_source_ends_nothing(tree: Any, env: Any) -> None:
    tree({})
    seed = Path(__file__).read_bytes()
    shuffle = random.Random(7)
    for _ in range(150):
        data = bytearray(seed)
        for _ in range(shuffle.randrange(1, 40)):
            start = shuffle.randrange(len(data))
            data[start : start + shuffle.randrange(30)] = shuffle.choice(
                [b"", b"(", b"'''", b"\0", b"\n  ", b"import ", b"\xff"]
            )
        analyze(SourceText(data.decode("latin-1")), prefix=env.prefix, strict=False)


def test_nothing_of_the_program_is_run(tree: Any, env: Any) -> None:
    canary = "import pathlib\npathlib.Path('canary').write_text('x')\n"
    top = tree(
        {
            "app.py": f"import helper\n{canary}",
            "helper.py": canary,
            "pkg/__init__.py": canary,
            "sitecustomize.py": canary,
        }
    )
    env.install("trap", "1.0", {"trap/__init__.py": canary})
    (env.site / "trap.pth").write_text("import trap\n")
    analyze(["app.py", "pkg"], prefix=env.prefix)
    assert not (top / "canary").exists()
