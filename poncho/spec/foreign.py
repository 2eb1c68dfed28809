"""Read what is not ours as a spec: environment.yml, requirements.txt, pyproject.toml, PEP 723 scripts."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from poncho._home import working_directory
from poncho.errors import SpecError
from poncho.spec.codec import parse
from poncho.spec.model import Spec
from poncho.spec.requirements import absolute_local, check_requirement, check_there, is_local

# The reference expression of PEP 723.
_SCRIPT_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
_INCLUDE = re.compile(r"(?:-r|--requirement)[ =]?\s*(?P<path>.+)")
_EDITABLE = re.compile(r"(?:-e|--editable)[ =]?\s*(?P<path>.+)")
_NOT_TEXT = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
MAX_SPEC_BYTES = 16 * 1024 * 1024
# How a text begins that is UTF-16, as PowerShell writes `pip freeze > requirements.txt`.
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# What is read of PEP 723 metadata and of [project], and what others call it.
_METADATA = ("dependencies", "requires-python")
_METADATA_WORDS = {
    **dict.fromkeys(("requires", "requirements", "install-requires", "deps"), "dependencies"),
    **dict.fromkeys(("python-requires", "python", "python-version"), "requires-python"),
}
_HASH = re.compile(r"\s+--hash[= ]\S+")


def text_of(data: bytes) -> str:
    """Return bytes as text: UTF-8, or UTF-16 by its mark, which is dropped. Raises UnicodeDecodeError."""
    return data.decode("utf-16" if data.startswith(UTF_16) else "utf-8-sig")


def has_script_block(text: str) -> bool:
    """Tell whether a Python source carries PEP 723 metadata."""
    return any(match["type"] == "script" for match in _SCRIPT_BLOCK.finditer(text))


def from_script(text: str, *, source: str | None = None) -> Spec:
    """Return the spec of a PEP 723 script: its ``dependencies`` and ``requires-python``. Raises SpecError."""
    blocks = [match for match in _SCRIPT_BLOCK.finditer(text) if match["type"] == "script"]
    if len(blocks) != 1:
        hint = "make one of them: # /// script … # ///"
        raise SpecError(f"{len(blocks)} PEP 723 'script' blocks found, one is needed", source=source, hint=hint)
    content = "".join(
        line[2:] if line.startswith("# ") else line[1:] for line in blocks[0]["content"].splitlines(keepends=True)
    )
    return _from_metadata(_toml(content, source), source=source, pointer="")


def from_pyproject(text: str, *, source: str | None = None) -> Spec:
    """Return the spec of a pyproject.toml: the project's dependencies and ``requires-python``, not the project itself.

    Raises SpecError; dependencies that are ``dynamic`` cannot be read without running the project's build.
    """
    project = _toml(text, source).get("project")
    if not isinstance(project, dict):
        raise SpecError(
            "no [project] table to read dependencies from",
            source=source,
            hint='a spec that installs the project itself is {"pip": ["."]}; else write [project], dependencies = ["numpy"]',
        )
    if "dependencies" in (project.get("dynamic") or []):
        raise SpecError(
            "the project's dependencies are dynamic: only its build knows them",
            pointer="/project/dynamic",
            source=source,
            hint='write a spec that installs the project itself: {"pip": ["."]}',
        )
    return _from_metadata(project, source=source, pointer="/project")


def from_requirements(text: str, *, source: str | None = None, base: Path | None = None, there: bool = False) -> Spec:
    """Return the spec of a requirements.txt, files that it includes by ``-r`` among it.

    ``base`` is the directory that relative paths start from. Hashes are dropped (the lock has its own), index
    options refused. ``there``: local code must be there. Raises SpecError naming file and line.
    """
    lines = _requirement_lines(text, source or "requirements", base or working_directory(), (), there)
    return Spec(pip=tuple(lines), source=source)


def included_files(path: Path) -> tuple[Path, ...]:
    """Return the files that a requirements.txt takes in by ``-r``, and those that these do; none for what is no such file."""
    found: dict[Path, None] = {}
    waiting = [path]
    while waiting:
        holder = waiting.pop()
        if not os.path.isfile(holder):  # what is in a pipe can be read once
            continue
        try:
            with holder.open("rb") as stream:
                lines = _logical_lines(text_of(stream.read(MAX_SPEC_BYTES)))
            included = (_INCLUDE.fullmatch(line.replace("\t", " ")) for _, line in lines)
            # In one spelling each: there are any number for a file that includes itself.
            new = [Path(os.path.realpath(holder.parent / match["path"].strip())) for match in included if match]
        except (OSError, ValueError):
            continue
        waiting += [one for one in new if one not in found]
        found.update(dict.fromkeys(new))
    return tuple(found)


def from_environment_yml(document: Any, *, source: str | None = None, base: Path | None = None) -> Spec:
    """Return the spec of an environment.yml as conda and mamba read it (already parsed from YAML). Raises SpecError."""
    if document.get("variables"):
        raise SpecError(
            "'variables' is not supported",
            pointer="/variables",
            source=source,
            hint="set them with 'env NAME=VALUE' in the command",
        )
    known = {key: document[key] for key in document if key not in ("variables", "platforms", "category")}
    return parse({"conda": known}, source=source, base=base)


def _requirement_lines(text: str, source: str, base: Path, within: tuple[Path, ...], there: bool) -> list[str]:
    found: list[str] = []
    for number, line in _logical_lines(text):

        def fail(message: str, *, hint: str | None = None, number: int = number) -> NoReturn:
            raise SpecError(f"line {number}: {message}", source=source, hint=hint)

        line = _HASH.sub("", line.replace("\t", " "))
        if _NOT_TEXT.search(line):
            fail(
                f"{line!r} holds a control character, or half of one",
                hint="take it out: it is seldom seen in an editor",
            )
        if include := _INCLUDE.fullmatch(line):
            path = Path(os.path.realpath(base / include["path"].strip()))
            if path in within:
                fail(f"{path.name} includes itself", hint="take this line out")
            try:
                with path.open("rb") as stream:
                    data = stream.read(MAX_SPEC_BYTES + 1)
                if len(data) > MAX_SPEC_BYTES:
                    fail(
                        f"{include['path']}: larger than {MAX_SPEC_BYTES >> 20} MiB: this is no list of requirements",
                        hint="name the list that was meant, or take this line out",
                    )
                inner = text_of(data)
            except (OSError, UnicodeDecodeError) as error:
                why = getattr(error, "strerror", None) or "not text"
                fail(f"{include['path']}: cannot be read ({why})", hint=f"it is looked for as {path}")
            found += _requirement_lines(inner, str(path), path.parent, (*within, path), there)
            continue
        if editable := _EDITABLE.fullmatch(line):
            line = editable["path"].strip()
            if not is_local(line) and (base / line).is_dir():
                line = f"./{line}"
        check_requirement(line, fail)
        if there:
            check_there(line, base, fail)
        found.append(absolute_local(line, base) if is_local(line) else line)
    return list(dict.fromkeys(found))


def _logical_lines(text: str) -> list[tuple[int, str]]:
    lines: list[tuple[int, str]] = []
    pending, start = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        start = start if pending else number
        line = pending + re.sub(r"(^|\s)#.*$", "", raw)
        if line.endswith("\\"):
            pending = line[:-1]
            continue
        pending = ""
        if line.strip():
            lines.append((start, line.strip()))
    if pending.strip():
        lines.append((start, pending.strip()))
    return lines


def _check_keys(table: dict[str, Any], *, source: str | None, pointer: str) -> None:
    """Refuse a key that is nearly one of those that are read: the environment would lack it without a word.

    All others are left to whom they belong. Raises SpecError.
    """
    from difflib import get_close_matches

    for key in table:
        plain = key.lower().replace("_", "-")
        if key in _METADATA or any(name in plain and name != plain for name in _METADATA):  # dev-dependencies
            continue
        near = _METADATA_WORDS.get(plain) or next(iter(get_close_matches(plain, _METADATA, n=1, cutoff=0.8)), None)
        if near:
            raise SpecError(
                f"unknown key {key!r}", pointer=f"{pointer}/{key}", source=source, hint=f"did you mean {near!r}?"
            )


def _from_metadata(table: dict[str, Any], *, source: str | None, pointer: str) -> Spec:
    _check_keys(table, source=source, pointer=pointer)
    document: dict[str, Any] = {"pip": table.get("dependencies", [])}
    if table.get("requires-python"):
        document["python"] = table["requires-python"]
    try:
        return replace(parse(document), source=source)
    except SpecError as error:
        renamed = {"/pip": "/dependencies", "/python": "/requires-python"}
        where = error.pointer or ""
        for ours, theirs in renamed.items():
            where = where.replace(ours, pointer + theirs, 1)
        message = error.message.partition(": ")[2] or error.message  # behind its pointer
        raise SpecError(message, pointer=where, source=source, hint=error.hint) from error


def _toml(text: str, source: str | None) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        table: dict[str, Any] = tomllib.loads(text)
        return table
    except tomllib.TOMLDecodeError as error:
        hint = "strings and version numbers stand in quotes, lists in brackets, a table begins with [name]"
        raise SpecError(f"not TOML: {error}", source=source, hint=hint) from error
    except RecursionError as error:
        raise SpecError("nested too deeply", source=source) from error
    except ValueError as error:  # a number of more digits than Python reads
        raise SpecError(f"not TOML: {str(error).partition(';')[0]}", source=source) from error


def parse_yaml(text: str, *, source: str | None = None) -> Any:
    """Return the value of a YAML text, versions kept as written (``1.10`` stays a string), duplicate keys refused.

    Raises SpecError.
    """
    import yaml

    class Loader(yaml.BaseLoader):
        """Makes every scalar a string, as 3.10 must not become 3.1, but for the null that is written as nothing or as such."""

        def construct_scalar(self, node: Any) -> Any:
            value = super().construct_scalar(node)
            return None if node.style is None and value in ("", "~", "null") else value

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen: set[str] = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in seen:
                        problem = f"the key {key.value!r} stands twice in one object"
                        raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                    seen.add(key.value)
                    key.style = "'"  # a key is a string, whatever it is
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, Loader=Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        tab = "'\\t'" in problem
        hint = (
            "YAML is indented with blanks, never with tabs"
            if tab
            else "brackets and quotes are closed, lists indented alike"
        )
        raise SpecError(f"{where}not YAML: {problem}", source=source, hint=hint) from error
    except RecursionError as error:
        raise SpecError("nested too deeply", source=source) from error


def looks_like_environment_yml(document: Any) -> bool:
    """Tell whether a YAML value is an environment file: an object with dependencies or channels, or a slip in these."""
    from difflib import get_close_matches

    named = ("dependencies", "channels")
    return isinstance(document, dict) and any(
        key in named or get_close_matches(key, named, n=1, cutoff=0.8) for key in document if isinstance(key, str)
    )
