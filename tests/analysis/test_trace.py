"""A run of a program, recorded and merged with what the code says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from poncho.analysis import analyze
from poncho.analysis.trace import merged, read_trace
from poncho.analysis.tracing import trace
from poncho.errors import AnalysisError


@pytest.fixture
def run(env: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Trace a text in an environment with ``one``, ``two`` (needs ``three``) and ``data``; return status and trace."""
    monkeypatch.chdir(tmp_path)
    env.install("one", "1.0", {"one/__init__.py": "", "one/deep.py": ""})
    env.install("three", "1.0", {"three.py": ""})
    env.install("two", "1.0", {"two/__init__.py": "import three\n"}, metadata="Requires-Dist: three")
    env.install("data", "1.0", {"data/__init__.py": "", "data/table.csv": "1,2\n"})

    def go(text: str, *arguments: str, environ: dict[str, str] | None = None) -> Any:
        (tmp_path / "app.py").write_text(text)
        python = str(env.prefix / "bin" / "python")
        return trace([python, "app.py", *arguments], {**os.environ, **(environ or {})})

    return go


def tops(found: Any) -> set[str]:
    return {one.name.partition(".")[0] for one in found.modules}


def save(found: Any, path: Path) -> Path:
    path.write_text(json.dumps(found.to_json()))
    return path


HIDDEN = "import importlib\nname = 't' + 'wo'\nimportlib.import_module(name)\nimport one.deep\n"


def test_a_run_shows_what_no_import_statement_says(run: Any, env: Any, tmp_path: Path) -> None:
    status, found = run(HIDDEN)
    assert status == 0
    assert (found.prefix, tops(found)) == (env.prefix, {"one", "two", "three"})
    analysis = analyze(["app.py"], traces=[save(found, tmp_path / "t.json")])
    assert analysis.spec.pip == ("one==1.0", "two==1.0")
    two = next(one for one in analysis.findings if one.name == "two")
    assert (two.evidence.startswith("seen in a run"), str(two.places[0]), two.seen) == (True, "app.py:3", True)
    assert (analysis.run.only_in_run, analysis.run.both, analysis.run.along) == (("two",), ("one",), ("three",))


def test_what_only_the_code_names_is_shown_and_kept(run: Any, tmp_path: Path) -> None:
    _, found = run("import sys\nif len(sys.argv) > 1:\n    import one\nimport two\n")
    analysis = analyze(["app.py"], traces=[save(found, tmp_path / "t.json")])
    assert analysis.run.only_in_code == ("one",)
    assert {one.name: one.seen for one in analysis.findings} == {"one": False, "two": True}
    _, other = run("import sys\nif len(sys.argv) > 1:\n    import one\nimport two\n", "x")
    both = [tmp_path / "t.json", save(other, tmp_path / "u.json")]
    assert analyze(["app.py"], traces=both).run.only_in_code == ()


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("import one, sys\nsys.exit(7)\n", 7),
        ("import one\nraise ValueError\n", 1),
        ("import one, os\nos._exit(5)\n", 5),
        ("import one, os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", 128 + signal.SIGKILL),
        ("import os, sys\nos.execv(sys.executable, [sys.executable, '-c', 'import one; raise SystemExit(3)'])\n", 3),
        ("import os\npid = os.fork()\nif not pid:\n    import one\n    os._exit(0)\nos.waitpid(pid, 0)\n", 0),
        ("import threading\nt = threading.Thread(target=__import__, args=('one',))\nt.start()\nt.join()\n", 0),
        ("import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import one'], check=True)\n", 0),
        ("import os\nos.closerange(3, 99)\nf = open('own', 'w')\nimport one\nf.close()\nassert open('own').read() == ''\n", 0),
        ("import atexit\natexit.register(__import__, 'one')\n", 0),
    ],
)  # fmt: skip
def test_however_a_program_ends_its_imports_are_recorded(run: Any, text: str, status: int) -> None:
    ended, found = run(text)
    assert ended == status
    assert "one" in tops(found)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_are_recorded(run: Any, method: str) -> None:
    text = (
        "import multiprocessing\n"
        "if __name__ == '__main__':\n"
        f"    with multiprocessing.get_context('{method}').Pool(1) as pool:\n"
        "        pool.map(exec, ['import importlib; importlib.import_module(chr(111) + chr(110) + chr(101))'])\n"
        "        pool.close()\n        pool.join()\n"
    )
    status, found = run(text)
    assert status == 0
    assert "one" in tops(found)


def test_data_files_of_the_environment_are_recorded(run: Any, env: Any, tmp_path: Path) -> None:
    table = env.site / "data" / "table.csv"
    _, found = run(f"open({str(table)!r}).read()\n")
    assert found.data == (str(table),)
    analysis = analyze(["app.py"], traces=[save(found, tmp_path / "t.json")])
    assert analysis.spec.pip == ("data==1.0",)
    assert "data/table.csv" in analysis.findings[0].because


def test_the_programs_own_plugins_are_reported(run: Any, tmp_path: Path) -> None:
    (tmp_path / "plugin.py").write_text("import two\n")
    _, found = run("import importlib\nimportlib.import_module('plug' + 'in')\n")
    analysis = analyze(["app.py"], traces=[save(found, tmp_path / "t.json")])
    assert analysis.run.files == ("plugin.py",)
    assert tmp_path / "plugin.py" in analysis.local_modules
    assert analysis.spec.pip == ("two==1.0",)


def test_another_sitecustomize_still_runs_and_the_path_is_clean(run: Any, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("import builtins\nbuiltins.mine = 1\n")
    text = "import sys, sitecustomize\nassert mine == 1 and 'poncho-trace' not in ''.join(sys.path)\n"
    text += "assert sys.argv[1:] == ['-o', 'x']\n"
    status, _ = run(text, "-o", "x", environ={"PYTHONPATH": str(tmp_path / "site")})
    assert status == 0


def test_a_command_without_python_gives_no_trace() -> None:
    assert trace(["sh", "-c", "exit 4"], os.environ) == (4, None)
    assert trace([sys.executable, "-I", "-c", "pass"], os.environ) == (0, None)


def test_a_program_without_its_interpreter_is_told_how_to_start_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("app.py").write_text("import json\n")
    with pytest.raises(AnalysisError, match="not found") as caught:
        trace(["app.py"], os.environ)
    assert caught.value.hint == "a file of that name is here: poncho trace -- python app.py"


@pytest.mark.parametrize(("command", "status"), [("nowhere-at-all", 127), ("/", 126)])
def test_a_command_that_cannot_be_started_is_said(command: str, status: int) -> None:
    with pytest.raises(AnalysisError) as caught:
        trace([command], os.environ)
    assert caught.value.context["status"] == status


def test_a_conda_package_of_which_only_a_library_or_a_program_is_used_is_taken_in(
    conda_env: Any, tmp_path: Path
) -> None:
    conda_env.add("proj", "9.1", "h1_0", ["share/proj/proj.db", "bin/projinfo"])
    conda_env.add("numpy", "1.24", "py_0", [f"{conda_env.site}/numpy/__init__.py"], dist="numpy")
    (tmp_path / "app.py").write_text("")
    document = {
        "poncho_trace": 1, "command": ["python", "app.py"], "status": 0, "processes": 1, "unfinished": 0,
        "environment": {"prefix": str(conda_env.prefix), "python": "3.11.7"}, "libraries": [],
        "modules": {"numpy": {"file": f"{conda_env.prefix}/{conda_env.site}/numpy/__init__.py", "by": "app.py:3"}},
        "data": [f"{conda_env.prefix}/share/proj/proj.db"], "programs": [f"{conda_env.prefix}/bin/projinfo"],
    }  # fmt: skip
    (tmp_path / "t.json").write_text(json.dumps(document))
    analysis = analyze([tmp_path / "app.py"], traces=[tmp_path / "t.json"])
    assert {"numpy=1.24=py_0", "proj=9.1=h1_0"} <= set(analysis.spec.conda)
    assert analysis.run.only_in_run == ("numpy", "proj")


def _trace(**changed: Any) -> str:
    """Return the text of a trace with something in it that no run leaves."""
    environment = {"prefix": "/env", "python": "3.11.7"}
    same = {"poncho_trace": 1, "command": ["python"], "status": 0, "processes": 1, "unfinished": 0, "modules": {}}
    return json.dumps({**same, "environment": environment, "libraries": [], "data": [], "programs": [], **changed})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[]", "no trace"),
        ('{"poncho_trace": 99}', "of form 99"),
        ('{"poncho_trace": 1}', "a trace with KeyError"),
        (_trace(status=1e999), "a trace with OverflowError"),
        (_trace(modules={"six": {"file": "/a\0b"}}), "a trace with ValueError at .* is no path"),
        (_trace(data=["/a\0b"]), "a trace with ValueError at .* is no path"),
        ('{"poncho_trace": 1, "environment": 3, "command": []}', "a trace with "),
    ],
)
def test_a_file_that_is_no_trace_is_said(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.raises(AnalysisError, match=message):
        read_trace(path)
    with pytest.raises(AnalysisError, match="cannot be read"):
        read_trace(tmp_path / "none.json")


def test_traces_of_two_environments_are_not_mixed(run: Any) -> None:
    _, first = run("import one\n")
    _, second = trace([sys.executable, "-c", "pass"], os.environ)
    with pytest.raises(AnalysisError, match="two environments"):
        merged([first, second])


def test_a_signal_to_the_tracer_reaches_the_program(env: Any, tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(
        "import signal, sys, time\nsignal.signal(15, lambda *a: sys.exit(42))\nprint('up', flush=True)\ntime.sleep(60)\n"
    )
    checkout = str(Path(__file__).resolve().parents[2])
    code = f"import sys; sys.path.insert(0, {checkout!r}); from poncho.cli.main import main; sys.exit(main())"
    command = [
        sys.executable,
        "-c",
        code,
        "trace",
        "-q",
        "-o",
        str(tmp_path / "t.json"),
        "--",
        sys.executable,
        str(app),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.terminate()
        assert process.wait(30) == 42
    assert read_trace(tmp_path / "t.json").status == 42
