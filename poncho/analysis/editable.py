"""Distributions that no index gave: installed editable, from a local directory, a file or a repository."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from poncho import _json, _regular
from poncho._trees import walk

_SKIPPED = frozenset(
    {"__pycache__", ".git", ".hg", ".svn", "build", "dist", "node_modules", ".tox", ".nox", ".venv", "venv"}
)


@lru_cache(maxsize=1 << 14)
def canonical(name: str) -> str:
    """Return a distribution's name as PEP 503 normalises it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True, slots=True)
class Origin:
    """PEP 610's answer: a local ``path`` (``editable`` or not), or a ``url`` that pip can install again."""

    path: Path | None = None
    editable: bool = False
    url: str | None = None


def read_origin(direct_url: str, project: Path | None = None) -> Origin:
    """Return the origin that a ``direct_url.json`` text names; ``project`` is where an ``.egg-link`` points."""
    if project is not None:
        return Origin(path=project, editable=True)
    try:
        data = _json.loads(direct_url) if direct_url else None
        url = data["url"] if isinstance(data, dict) else None
        parts = urlsplit(url) if isinstance(url, str) else None
    except (ValueError, KeyError):
        return Origin()
    if parts is None or not isinstance(data, dict):
        return Origin()
    if parts.scheme == "file":
        directory = data.get("dir_info")
        path = Path(unquote(parts.path))
        editable = isinstance(directory, dict) and bool(directory.get("editable"))
        return Origin(path=path, editable=editable) if path.exists() else Origin()
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2] if parts.scheme != "ssh" else parts.netloc).geturl()
    repository = data.get("vcs_info")
    if isinstance(repository, dict) and isinstance(repository.get("vcs"), str):
        commit = repository.get("commit_id") or repository.get("requested_revision")
        bare = f"{repository['vcs']}+{bare}" + (f"@{commit}" if isinstance(commit, str) else "")
    if isinstance(inside := data.get("subdirectory"), str):
        bare += f"#subdirectory={inside}"
    # What is no text (a lone surrogate, which JSON can say) is no URL.
    return Origin(url=bare) if bare.isprintable() else Origin()


def editable_modules(site: Path, record: str, project: Path | None) -> set[str]:
    """Return the modules an editable install makes importable (setuptools' finder or any ``.pth``), read, never run."""
    names: set[str] = set()
    for root in _roots(site, record, project):
        if isinstance(root, str):
            names.add(root)
        else:
            names |= set(_top_modules(root))
    return names


def _roots(site: Path, record: str, project: Path | None) -> Iterator[str | Path]:
    """Yield what is put on the path: a directory with modules in it, or the name of one package."""
    named = [line.partition(",")[0] for line in record.splitlines()]
    files = [site / name for name in named if "/" not in name]
    found = False
    for file in files:
        try:
            text = _regular.read_text(file, "replace")
        except (OSError, ValueError):
            continue
        if file.suffix == ".pth":
            for line in text.splitlines():
                if line.strip() and not line.startswith(("import ", "#")) and (path := Path(line.strip())).is_dir():
                    found = True
                    yield path
        elif file.suffix == ".py" and (mapping := re.search(r"(?m)^MAPPING\b[^=]*=\s*(\{.*\})\s*$", text)):
            try:
                value = ast.literal_eval(mapping.group(1))
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
            found = True
            yield from (name for name in value if isinstance(name, str))
    if not found and project is not None:
        yield project / "src" if (project / "src").is_dir() else project


def _top_modules(root: Path) -> Iterator[str]:
    try:
        entries = sorted(root.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.suffix == ".py" and entry.stem not in ("setup", "conftest", "noxfile") and entry.stem.isidentifier():
            yield entry.stem
        elif entry.name.isidentifier() and (entry / "__init__.py").is_file():
            yield entry.name


def local_requirement(name: str, path: Path) -> str:
    """Return the PEP 508 requirement for code on this machine: ``name @ file:///path#content=<digest>``.

    The digest of the code stands in the fragment, which installers ignore: callers that take the hash of a spec as
    the name of a package (Parsl does) then build a new one when the code has changed, and only then.
    """
    return f"{canonical(name)} @ file://{quote(str(path))}#content={content_digest(path)}"


def content_digest(path: Path) -> str:
    """Return 16 hexadecimal digits that stand for a file, or for the names and contents of a directory's code."""
    digest = hashlib.sha256()
    if path.is_file():
        digest.update(path.read_bytes())
        return digest.hexdigest()[:16]
    for directory, folders, files in walk(path):
        folders[:] = sorted(
            name
            for name in folders
            if name not in _SKIPPED and not name.startswith(".") and not name.endswith(".egg-info")
        )
        for name in sorted(files):
            file = Path(directory) / name
            if name.endswith((".pyc", ".pyo", ".so", ".o")) or name.startswith(".") or not file.is_file():
                continue
            digest.update(f"{file.relative_to(path).as_posix()}\0".encode("utf-8", "surrogateescape"))
            try:
                with file.open("rb") as stream:
                    digest.update(hashlib.sha256(stream.read(1 << 26)).digest())
            except OSError:
                continue
    return digest.hexdigest()[:16]
