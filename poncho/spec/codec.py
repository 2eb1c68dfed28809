"""Turn a JSON document into a Spec and back: three dialects are read, one is written.

The dialects in the field: ``{"conda": ["chan::pkg"], "pip": […]}`` (oldest), ``{"conda": {"channels", "packages"},
"pip": […]}``, and ``{"conda": {"channels", "dependencies": […, {"pip": […]}]}}``. Top-level ``pip`` counts in all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from poncho._frozen import Frozen
from poncho.errors import SpecError
from poncho.spec.model import Compression, GitSource, HttpSource, HttpType, Spec
from poncho.spec.names import check_variable
from poncho.spec.reader import Reader, kind_of
from poncho.spec.requirements import check_requirement, check_there

TOP_KEYS = ("conda", "pip", "python", "pinned", "git", "http")
CONDA_KEYS = ("channels", "dependencies", "packages")
GIT_KEYS = ("remote", "ref", "depth", "submodules", "lfs", "subdirectory")
HTTP_KEYS = ("type", "compression", "url", "sha256", "filename", "headers")
COMPRESSIONS = ("gzip", "bz2", "xz", "zst")
HTTP_TYPES = ("file", "tar", "zip")
# What conda writes beside channels and dependencies, and what editors and people put at the top; no part of the
# environment.
_CONDA_IGNORED = ("name", "prefix")
_TOP_IGNORED = ("$schema", "name", "description")
_COMPRESSION_ALIASES = {"gz": "gzip", "bzip2": "bz2", "zstd": "zst", "lzma": "xz"}


def parse(document: Any, *, source: str | None = None, pointer: str = "", base: Path | None = None) -> Spec:
    """Return the Spec that a JSON value describes, in any of the three dialects; the argument is left as it is.

    ``source`` names the document in messages, ``pointer`` says where in it the value stands. With ``base``, the directory
    that local code starts from, that must be there. Raises SpecError with a JSON pointer.
    """
    root = Reader(document, pointer, source)
    if not isinstance(document, dict):
        root.fail(
            f"a spec must be a JSON object, not {kind_of(document)}",
            hint='the smallest spec is {"python": "3.11", "pip": ["numpy"]}',
        )
    root.object((*TOP_KEYS, *_TOP_IGNORED))
    channels, conda, nested_pip = _conda(root.get("conda"), base)
    top_pip = _requirements(root.get("pip"), base)
    python = root.get("python")
    git, http = _git(root.get("git")), _http(root.get("http"))
    if both := next((name for name in http if name in git), None):
        root.child("http").child(both).fail(
            f"{both} stands in both git and http", hint="a variable can point to one of them: give one another name"
        )
    return Spec(
        channels=channels,
        conda=conda,
        pip=tuple(dict.fromkeys((*nested_pip, *top_pip))),
        python=_python_version(python) if python else None,
        pinned=_pinned(root.get("pinned")),
        git=git,
        http=http,
        source=source,
    )


def parse_text(text: str, *, source: str | None = None, base: Path | None = None) -> Spec:
    """Return the Spec of a JSON text; see ``parse``. Raises SpecError naming line and column of what is not JSON."""
    value = load_json(text, source=source)
    if isinstance(value, dict) and isinstance(value.get("cells"), list) and not set(value) & set(TOP_KEYS):
        named = source or "notebook.ipynb"
        raise SpecError(
            "is a notebook, not a spec",
            source=source,
            hint=f"analyse it first: poncho_package_analyze {named} spec.json",
        )
    return parse(value, source=source, base=base)


def load_json(text: str, *, source: str | None = None) -> Any:
    """Return the value of a JSON text, duplicate keys refused. Raises SpecError naming line and column."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            twice = next(key for key, _ in pairs if [k for k, _ in pairs].count(key) > 1)
            raise SpecError(f"the key {twice!r} stands twice in one object", source=source, hint="keep one of them")
        return result

    try:
        value = json.loads(text, object_pairs_hook=unique)
        if "\\u" in text or not text.isascii():
            json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair is no text
        return value
    except json.JSONDecodeError as error:
        hint = "JSON has no comments and no comma after the last element; strings stand in double quotes"
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
            hint = "the text ends there: it was cut off, or a bracket or quote is missing"
        raise SpecError(
            f"line {error.lineno}, column {error.colno}: not JSON: {error.msg}", source=source, hint=hint
        ) from error
    except UnicodeEncodeError as error:
        raise SpecError("not JSON: holds half of a surrogate pair (\\ud800 to \\udfff)", source=source) from error
    except ValueError as error:  # a number of more digits than Python reads
        raise SpecError(f"not JSON: {str(error).partition(';')[0]}", source=source) from error
    except RecursionError as error:
        raise SpecError("nested too deeply", source=source) from error


def document(spec: Spec) -> dict[str, Any]:
    """Return the one JSON form in which specs are written; keys that hold nothing are left out (``conda`` stays)."""
    dependencies: list[Any] = list(spec.conda)
    if spec.pip:
        dependencies.append({"pip": list(spec.pip)})
    result: dict[str, Any] = {"conda": {"channels": list(spec.channels), "dependencies": dependencies}}
    if spec.python:
        result["python"] = spec.python
    if spec.pinned:
        result["pinned"] = {"conda": dict(spec.pinned)}
    if spec.git:
        result["git"] = {name: _plain(source, GIT_KEYS) for name, source in spec.git.items()}
    if spec.http:
        result["http"] = {name: _plain(source, HTTP_KEYS) for name, source in spec.http.items()}
    return result


def dumps(spec: Spec) -> str:
    """Return the spec as JSON text: indent 4, sorted keys, a newline at the end. Same spec, same bytes."""
    return json.dumps(document(spec), indent=4, sort_keys=True, ensure_ascii=False) + "\n"


def _plain(source: GitSource | HttpSource, keys: tuple[str, ...]) -> dict[str, Any]:
    values = {key: getattr(source, key) for key in keys}
    return {
        key: dict(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value or key == "type"
    }


def _conda(reader: Reader | None, base: Path | None) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return channels, match specs and nested pip requirements."""
    if reader is None:
        return (), (), ()
    if isinstance(reader.value, list):
        return (), *_dependencies(reader, base)
    if not isinstance(reader.value, dict):
        kind = kind_of(reader.value)
        reader.fail(
            f"must be a list of conda packages or an object with 'channels' and 'dependencies', not {kind}",
            hint='write {"channels": ["conda-forge"], "dependencies": ["numpy"]}',
        )
    reader.object((*CONDA_KEYS, *_CONDA_IGNORED))
    named = reader.get("channels")
    # "nodefaults" tells conda to leave its own default channels out; they are never used here.
    channels = tuple(name for item in named.elements() if (name := item.string()) != "nodefaults") if named else ()
    conda: list[str] = []
    pip: list[str] = []
    for key in ("packages", "dependencies"):
        if entry := reader.get(key):
            more_conda, more_pip = _dependencies(entry, base)
            conda += more_conda
            pip += more_pip
    return tuple(dict.fromkeys(channels)), tuple(dict.fromkeys(conda)), tuple(pip)


def _dependencies(reader: Reader, base: Path | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    conda: list[str] = []
    pip: list[str] = []
    for item in reader.elements():
        if isinstance(item.value, dict):
            nested = item.object(("pip",)).get("pip")
            pip += _requirements(nested, base)
        else:
            conda.append(_match_spec(item))
    return tuple(dict.fromkeys(conda)), tuple(dict.fromkeys(pip))


def _match_spec(reader: Reader) -> str:
    text = reader.string()
    if text.startswith("-"):
        reader.fail(f"{text!r} is an option, not a conda package", hint="write only package names and versions here")
    return text


def _requirements(reader: Reader | None, base: Path | None) -> tuple[str, ...]:
    if reader is None:
        return ()
    found = []
    for item in reader.elements():
        found.append(check_requirement(item.string(), item.fail))
        if base is not None:
            check_there(found[-1], base, item.fail)
    return tuple(found)


def _python_version(reader: Reader) -> str:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

    text = reader.string()
    try:
        if text[0].isdigit():
            Version(text.removesuffix(".*"))
        else:
            SpecifierSet(text)
    except (InvalidVersion, InvalidSpecifier):
        reader.fail(f"{text!r} is no Python version", hint='write "3.11", "3.11.7" or a range such as ">=3.10,<3.13"')
    return text


def _pinned(reader: Reader | None) -> Mapping[str, str]:
    if reader is None:
        return Frozen()
    entry = reader.object(("conda",)).get("conda")
    if entry is None:
        return Frozen()
    names = ((Reader(name, item.pointer, item.source).string(), item) for name, item in entry.members())
    return Frozen({name.lower(): item.string() for name, item in names})


def _git(reader: Reader | None) -> Mapping[str, GitSource]:
    if reader is None:
        return Frozen()
    sources: dict[str, GitSource] = {}
    for name, item in reader.members():
        check_variable(name, pointer=item.pointer, source=item.source)
        item.object(GIT_KEYS)
        remote = item.get("remote")
        if remote is None:
            item.fail("'remote' is missing", hint='write "remote": "https://…/repository.git"')
        ref, depth, subdirectory = item.get("ref"), item.get("depth"), item.get("subdirectory")
        submodules, lfs = item.get("submodules"), item.get("lfs")
        sources[name] = GitSource(
            remote=_no_option(remote),
            ref=_no_option(ref) if ref else None,
            depth=depth.positive() if depth else None,
            submodules=submodules.boolean() if submodules else False,
            lfs=lfs.boolean() if lfs else False,
            subdirectory=_inside(subdirectory) if subdirectory else None,
        )
    return Frozen(sources)


def _http(reader: Reader | None) -> Mapping[str, HttpSource]:
    if reader is None:
        return Frozen()
    sources: dict[str, HttpSource] = {}
    for name, item in reader.members():
        check_variable(name, pointer=item.pointer, source=item.source)
        item.object(HTTP_KEYS)
        url = item.get("url")
        if url is None:
            item.fail("'url' is missing", hint='write "url": "https://…"')
        kind, compression, headers = item.get("type"), item.get("compression"), item.get("headers")
        sha256, filename = item.get("sha256"), item.get("filename")
        http_type = cast(HttpType, kind.choice(HTTP_TYPES)) if kind else "file"
        if http_type == "zip" and compression is not None:
            compression.fail("a zip file has no further compression", hint="remove this key")
        sources[name] = HttpSource(
            url=_http_url(url),
            type=http_type,
            compression=_compression(compression) if compression else None,
            sha256=_sha256(sha256) if sha256 else None,
            filename=_file_name(filename) if filename else None,
            headers=_headers(headers) if headers else Frozen(),
        )
    return Frozen(sources)


def _compression(reader: Reader) -> Compression:
    if isinstance(reader.value, str) and reader.value in _COMPRESSION_ALIASES:
        return cast(Compression, _COMPRESSION_ALIASES[reader.value])
    return cast(Compression, reader.choice(COMPRESSIONS))


def _no_option(reader: Reader) -> str:
    text = reader.string()
    if text.startswith("-"):
        reader.fail(f"{text!r} must not begin with '-'", hint="it would be an option of git; a path may begin with ./")
    return text


def _http_url(reader: Reader) -> str:
    text = reader.string()
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        reader.fail(f"{text!r} is no URL", hint='write "https://host/path"')
    if parts.scheme not in ("http", "https") or not host:
        reader.fail(f"{text!r} is no http or https URL", hint='write "https://host/path"')
    return text


def _sha256(reader: Reader) -> str:
    text = reader.string().lower().removeprefix("sha256:")
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        reader.fail("must be 64 hexadecimal digits", hint="sha256sum FILE prints them")
    return text


def _file_name(reader: Reader) -> str:
    text = reader.string()
    if "/" in text or text in (".", ".."):
        name = text.rstrip("/").rpartition("/")[2].strip(".") or "events.csv"
        hint = f'write the name alone, such as "{name}": the variable leads to it'
        reader.fail(f"{text!r} must be a file name without directories", hint=hint)
    return text


def _inside(reader: Reader) -> str:
    text = reader.string().strip("/")
    if reader.string().startswith("/") or not text or any(part in ("..", ".", "", ".git") for part in text.split("/")):
        reader.fail(
            f"{reader.value!r} must be a path inside the repository",
            hint='write it relative to its root, for example "data/run1"',
        )
    return text


def _headers(reader: Reader) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    for name, item in reader.members():
        variable = item.string()
        if not variable.replace("_", "a").isalnum() or not variable.isascii() or variable[0].isdigit():
            item.fail(
                "must be the NAME of an environment variable that holds the header's value",
                hint=f'export TOKEN="…" in your shell and write "{name}": "TOKEN": a spec never holds a secret',
            )
        headers[name] = variable
    return Frozen(headers)
