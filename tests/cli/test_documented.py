"""What docs/ and the README say of variables, options and files is there, and what is there is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from poncho.cli.main import COMMANDS, _module

ROOT = Path(__file__).parents[2]
DOCS = {
    path: path.read_text("utf-8")
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
}
CODE = [*(ROOT / "poncho").rglob("*.py"), *(ROOT / "poncho/runtime").glob("*"), ROOT / "bin/poncho_package_run"]
VARIABLE = re.compile(r"\bPONCHO_[A-Z_]*[A-Z]\b")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")
# From one of our processes to another; a job script to itself; the prefixes of two of these.
INTERNAL = {"PONCHO_TRACE_TO", "PONCHO_GIT_USER", "PONCHO_GIT_PASSWORD", "PONCHO_PACKAGE"}
INTERNAL |= {"PONCHO_PIP_GIT_USER", "PONCHO_PIP_GIT_PASSWORD"}
# What every command has, and its --help says.
COMMON = {"--help", "--version", "--quiet", "--verbose", "--debug", "--json"}


def _variables(paths: list[Path]) -> set[str]:
    texts = (path.read_text("utf-8", "replace") for path in paths if path.is_file())
    return {name for text in texts for name in VARIABLE.findall(text.replace("_{", " ").replace('_"', '"'))}


def _options(name: str) -> set[str]:
    parser = _module(name).make_parser(f"poncho {name}")
    return {text for action in parser._actions for text in action.option_strings if text.startswith("--")}


def test_every_variable_is_documented_and_every_documented_one_is_read() -> None:
    said = {name for text in DOCS.values() for name in VARIABLE.findall(text)}
    read = _variables(CODE)
    assert read - said - INTERNAL == set()
    tests = [ROOT / "tests/run.sh", *(ROOT / "tests").rglob("*.py")]
    assert said - read - _variables(tests) == set()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_is_documented(name: str) -> None:
    said = {option for text in DOCS.values() for option in OPTION.findall(text)}
    assert _options(name) - said - COMMON == set()


def test_every_option_in_a_documented_call_exists() -> None:
    whole, below = "analyze|create|run|cache|serverize", "|".join(COMMANDS)
    call = re.compile(rf"\b(?:poncho_package_({whole})|poncho ({below}))\b([^`\n]*)")
    known = {name: _options(name) for name in COMMANDS}
    known["cache "] = _options("package_cache")
    wrong = []
    for path, text in DOCS.items():
        for line in re.sub(r"\\\n\s*", " ", text).splitlines():
            for package, word, rest in call.findall(line):
                name = "cache " if package == "cache" else package or word
                ours = re.split(r" -- |[|#]|\$\(| (?:python|sh|bash|env) ", rest, maxsplit=1)[0]
                wrong += [f"{path.name}: {name}: {one}" for one in OPTION.findall(ours) if one not in known[name]]
    assert wrong == []


def test_every_file_that_is_named_is_there() -> None:
    named = re.compile(r"`((?:tests|benchmarks|examples|specs|docs)/[\w./-]*[\w/])`|\]\(([^)#:]+)(?:#[^)]*)?\)")
    missing = [
        f"{path.relative_to(ROOT)}: {one or link}"
        for path, text in DOCS.items()
        for one, link in named.findall(text)
        if not ((ROOT / one).exists() if one else (path.parent / link).exists())
    ]
    assert missing == []
