"""Which Python distributions a prefix holds, and which of them live elsewhere (editable installs)."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from poncho import _json


@dataclass(frozen=True, slots=True)
class InstalledDistribution:
    """One distribution in a prefix's site-packages.

    ``name`` is normalised (PEP 503). ``metadata`` is its ``.dist-info`` or ``.egg-info``. ``installer`` is the text of
    INSTALLER (``conda``, ``pip``, ``uv``, empty). ``direct_url`` is PEP 610's text, or None.
    """

    name: str
    version: str
    metadata: Path
    installer: str
    direct_url: str | None = None


@dataclass(frozen=True, slots=True)
class EditableDistribution:
    """A distribution whose code lies outside of the prefix: packing the prefix would leave it behind.

    ``source`` is where the code lies (None when that cannot be told), ``evidence`` the file in the prefix that says so.
    """

    name: str
    version: str
    source: Path | None
    evidence: Path


def site_packages(prefix: Path) -> tuple[Path, ...]:
    """Return the site-packages directories of ``prefix``, each once (conda makes links such as ``lib/python3.1``)."""
    found: dict[Path, None] = {}
    for library in ("lib", "lib64"):
        for path in sorted(prefix.glob(f"{library}/python3.*/site-packages")):
            if path.is_dir():
                found[path.resolve()] = None
    return tuple(found)


def installed_distributions(prefix: Path) -> tuple[InstalledDistribution, ...]:
    """Return what is installed in ``prefix``, sorted by name; read from its files, nothing of it is run."""
    sites = [str(path) for path in site_packages(prefix)]
    found = [_installed(item) for item in importlib.metadata.distributions(path=sites)]
    return tuple(sorted((item for item in found if item), key=lambda item: (item.name, str(item.metadata))))


def is_owned(item: InstalledDistribution, root: Path, owned: Collection[str]) -> bool:
    """Tell whether a distribution's metadata is among ``owned``, files relative to the resolved prefix ``root``."""
    if not item.metadata.is_relative_to(root):
        return False
    relative = item.metadata.relative_to(root).as_posix()
    return relative in owned or any(f"{relative}/{name}" in owned for name in ("METADATA", "PKG-INFO"))


def editable_distributions(prefix: Path) -> tuple[EditableDistribution, ...]:
    """Return the editable installs of ``prefix``, sorted by name.

    Recognised: ``direct_url.json`` with ``editable`` (PEP 610), ``.egg-link`` of ``setup.py develop``, and lines of
    ``.pth`` files that point out of the prefix (``conda develop``).
    """
    found: dict[str, EditableDistribution] = {}
    named: set[Path] = set()
    for evidence in (path for site in site_packages(prefix) for path in sorted(site.glob("*-info/direct_url.json"))):
        # Only these are looked at: reading all metadata takes a good part of a second in a large environment.
        source = editable_source(_text(evidence))
        item = _installed(importlib.metadata.Distribution.at(evidence.parent)) if source is not None else None
        if item is not None and source is not None:
            found[item.name] = EditableDistribution(item.name, item.version, source, evidence)
            named.add(source.resolve())
    for site in site_packages(prefix):
        for link in sorted(site.glob("*.egg-link")):
            target = _egg_link_target(link)
            name = canonicalize_name(link.stem)
            if target is not None and name not in found:
                found[name] = EditableDistribution(name, _egg_version(target, name), target, link)
                named.add(target.resolve())
        for pth in sorted(site.glob("*.pth")):
            for path in _outside(pth, site, prefix):
                if not any(path == source or path.is_relative_to(source) for source in named):
                    found.setdefault(path.name, EditableDistribution(path.name, "", path, pth))
                    named.add(path)
    return tuple(found[name] for name in sorted(found))


def editable_source(direct_url: str | None) -> Path | None:
    """Return the directory that a ``direct_url.json`` text names as installed editable, or None."""
    try:
        data = _json.loads(direct_url or "null")
        if not (isinstance(data, dict) and data.get("dir_info", {}).get("editable")):
            return None
        return Path(unquote(urlsplit(data["url"]).path))
    except (ValueError, KeyError, AttributeError, TypeError):
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _installed(item: importlib.metadata.Distribution) -> InstalledDistribution | None:
    try:
        # Each look at ``metadata`` parses the whole file.
        fields = item.metadata
        name, version = (fields[key] if fields and key in fields else None for key in ("Name", "Version"))
        installer, direct_url = item.read_text("INSTALLER"), item.read_text("direct_url.json")
    except (OSError, ValueError, KeyError):
        return None
    if not name or not version:
        # An interrupted uninstall leaves such directories; pip passes them over, too.
        return None
    metadata = Path(str(getattr(item, "_path", "")))
    return InstalledDistribution(canonicalize_name(name), version, metadata, (installer or "").strip(), direct_url)


def _egg_link_target(link: Path) -> Path | None:
    try:
        lines = link.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return Path(lines[0].strip()) if lines and lines[0].strip() else None


def _egg_version(directory: Path, name: str) -> str:
    for item in importlib.metadata.distributions(path=[str(directory)]):
        found = _installed(item)
        if found is not None and found.name == name:
            return found.version
    return ""


def _outside(pth: Path, site: Path, prefix: Path) -> Iterator[Path]:
    """Yield the directories outside of the prefix that a ``.pth`` file puts on ``sys.path``; its code is not run."""
    try:
        lines = pth.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        text = line.strip()
        if not text or text.startswith(("#", "import ", "import\t")):
            continue
        try:
            path = (site / text).resolve()
            if path.is_dir() and not path.is_relative_to(prefix.resolve()):
                yield path
        except (OSError, ValueError):
            continue
