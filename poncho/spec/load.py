"""Find out what a text is, by its content and never by its file's name, and read it as a spec."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from poncho._frozen import Frozen
from poncho._home import expanded, working_directory
from poncho.errors import SpecError
from poncho.spec import foreign
from poncho.spec.codec import parse, parse_text
from poncho.spec.foreign import MAX_SPEC_BYTES
from poncho.spec.model import GitSource, Spec
from poncho.spec.requirements import absolute_local, is_local

_TOML_TABLE = re.compile(r"(?m)^\[(?:project|build-system|dependency-groups|tool\.[\w.\"-]+)\]\s*(?:#.*)?$")
_PYTHON_SOURCE = re.compile(r"(?m)^(?:import \w|from [\w.]+ import |def \w+\(|class \w+)")


def load_spec(path: Path) -> Spec:
    """Return the spec in a file: our JSON, environment.yml, requirements.txt, pyproject.toml or a PEP 723 script.

    Local paths in it are made absolute, relative to the file's directory. Raises SpecError.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_SPEC_BYTES + 1)
    except OSError as error:
        hint = "name a file that holds a spec, and that you may read"
        raise SpecError(f"cannot be read ({error.strerror})", source=str(path), hint=hint) from error
    return loads_spec(decode(data, source=str(path)), source=str(path), base=path.absolute().parent)


def loads_spec(text: str, *, source: str | None = None, base: Path | None = None, there: bool = False) -> Spec:
    """Return the spec in a text of any kind ``load_spec`` knows; local paths start from ``base`` (default: here).

    ``there``: local code must be there, or SpecError says where it is named.
    """
    base = base or working_directory()
    return resolve_local(_by_content(text, source, base, there), base)


def as_spec(value: Spec | Mapping[str, Any] | str) -> Spec:
    """Return a Spec from what library callers pass: a Spec, a JSON object, or a text. The argument is left as it is.

    Raises SpecError.
    """
    if isinstance(value, Spec):
        return value
    if isinstance(getattr(value, "spec", None), Spec):
        raise SpecError(f"{type(value).__name__} is no spec, but holds one", hint="pass that: its .spec")
    if isinstance(value, str):
        if _is_file(value):
            raise SpecError(
                f"{value}: is a file, not the text of a spec",
                hint="pass what is in it, or poncho.spec.load_spec(Path(…))",
            )
        return loads_spec(value)
    return resolve_local(parse(_plain(value)), working_directory())


def _is_file(text: str) -> bool:
    try:
        return "\n" not in text and os.path.isfile(text)
    except ValueError:
        return False


def decode(data: bytes, *, source: str | None = None) -> str:
    """Return bytes as text (UTF-8, or UTF-16 with its mark; a byte order mark dropped, lines ending as on Unix).

    Raises SpecError for what is binary or too large.
    """
    if len(data) > MAX_SPEC_BYTES:
        hint = "name a spec, such as spec.json"
        raise SpecError(f"larger than {MAX_SPEC_BYTES >> 20} MiB: this is no spec", source=source, hint=hint)
    try:
        # The ends of lines that Windows and its editors write are told by nobody further in.
        return foreign.text_of(data).replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        hint = (
            "poncho_package_run runs packages; poncho_package_create makes them from a spec"
            if data[:2] == b"\x1f\x8b"
            else "name a spec: JSON, environment.yml, requirements.txt, pyproject.toml or a script; data is not packed so"
        )
        raise SpecError("is not text (UTF-8), so it is no spec", source=source, hint=hint) from error


def resolve_local(spec: Spec, base: Path) -> Spec:
    """Return the spec with local pip paths and git remotes made absolute from ``base``."""
    pip = tuple(absolute_local(item, base) if is_local(item) else item for item in spec.pip)
    git = {name: _resolve_remote(source, base) for name, source in spec.git.items()}
    return replace(spec, pip=pip, git=Frozen(git))


def _resolve_remote(source: GitSource, base: Path) -> GitSource:
    if source.remote.startswith(("./", "../", "~/")) or source.remote in (".", ".."):
        return replace(source, remote=os.path.realpath(base / expanded(source.remote)))
    return source


def _by_content(text: str, source: str | None, base: Path, there: bool) -> Spec:
    where = base if there else None
    start = text.lstrip()[:1]
    if not start:
        raise SpecError("is empty", source=source, hint='the smallest spec is {"python": "3.11", "pip": ["numpy"]}')
    if start == "{" or text.strip() in ("null", "true", "false"):  # what a program wrote that found nothing
        return parse_text(text, source=source, base=where)
    if foreign.has_script_block(text):
        return foreign.from_script(text, source=source)
    if _TOML_TABLE.search(text):
        return foreign.from_pyproject(text, source=source)
    if _PYTHON_SOURCE.search(text):
        raise SpecError(
            "is Python source, not a spec",
            source=source,
            hint=f"analyse it first: poncho_package_analyze {source or 'application.py'} spec.json",
        )
    if start == "[" or re.search(r"(?m)^[\w.-]+\s*:(\s|$)", text):
        return _yaml_or_json(text, source, where)
    return foreign.from_requirements(text, source=source, base=base, there=there)


def _yaml_or_json(text: str, source: str | None, base: Path | None) -> Spec:
    if text.lstrip().startswith("["):
        return parse_text(text, source=source)
    document = foreign.parse_yaml(text, source=source)
    if foreign.looks_like_environment_yml(document):
        return foreign.from_environment_yml(document, source=source, base=base)
    return parse(document, source=source, base=base)


def _plain(value: Any) -> Any:
    """Return a deep copy in JSON's own types, so that nothing of the caller's is shared."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
