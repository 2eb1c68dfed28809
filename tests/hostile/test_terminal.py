"""What others say reaches the terminal of the person who builds as text, never as what a terminal obeys."""

from __future__ import annotations

import ast
import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from poncho import cli
from poncho._words import shown
from tests.support.cli import run_cli
from tests.support.httpserver import answering

REASON = "gone\x1b]0;title\x07\x1b[2K\x9b31m"


@pytest.mark.parametrize("how", [[], ["-v"], ["-q"]])
def test_a_servers_words_are_escaped(tmp_path: Path, how: list[str]) -> None:
    def answer(request: BaseHTTPRequestHandler) -> bytes:
        head = f"HTTP/1.1 {503 if request.path == '/a' else 404} {REASON}\r\nContent-Length: 0\r\n\r\n"
        return head.encode("latin-1")

    with answering(answer) as server:
        urls = {name: {"url": f"{server}/{name.lower()}"} for name in ("A", "B")}
        (tmp_path / "spec.json").write_text(json.dumps({"http": urls}))
        env = {"PONCHO_HTTP_RETRIES": "1"}
        done = run_cli("poncho", "create", *how, tmp_path / "spec.json", tmp_path / "o.tar.gz", env=env).failed()
    assert "\\x1b]0;title\\x07" in done.stderr
    assert done.stderr.replace("\n", "").isprintable()


def test_the_name_of_a_file_is_escaped(tmp_path: Path) -> None:
    done = run_cli("poncho", "inspect", tmp_path / "no\x1b[31mfile").failed()
    assert "no\\x1b[31mfile" in done.stderr
    assert done.stderr.replace("\n", "").isprintable()


def test_what_can_be_shown_is_left_as_it_is() -> None:
    assert shown("é – 你好 ▇") == "é – 你好 ▇"
    assert shown("a\x1bb\udcff\u202e") == "a\\x1bb\\xff\\u202e"


NAME = "x\x1b]0;title\x07\x9b31m\u202eé–你\nb"
SHOWN = "x\\x1b]0;title\\x07\\x9b31m\\u202eé–你\\nb"


def test_the_name_of_what_was_written_is_escaped_and_is_the_files_own_in_json(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text("{}")
    spec, lock = tmp_path / "spec.json", tmp_path / f"{NAME}.json"
    done = run_cli("poncho", "lock", spec, "-o", lock).ok()
    assert f"{SHOWN}.json: locked" in done.stderr
    assert done.stderr.replace("\n", "").isprintable()
    assert lock.is_file()
    done = run_cli("poncho", "lock", "--json", spec, "-o", lock).ok()
    assert json.loads(done.stdout)["lock"] == str(lock)


@pytest.mark.parametrize(
    "words",
    [["crea\x1b[31mte"], ["create", "spec.json", "o.tar.gz", "--o\x1b[31m"], ["store", "--store", "a\x1b[31m", "list"]],
)
def test_what_was_typed_is_escaped(words: list[str]) -> None:
    done = run_cli("poncho", *words).failed()
    assert "\\x1b[31m" in done.stderr
    assert done.stderr.replace("\n", "").isprintable()


def test_all_that_the_commands_say_goes_through_one_place() -> None:
    for path in Path(cli.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and any(ast.unparse(one.value) == "sys.stderr" for one in node.keywords):
                is_json = ast.unparse(node.args[0]).startswith("json.dumps(") if node.args else False
                assert is_json or path.name == "said.py", f"{path.name}:{node.lineno}"
