"""Which Python distributions a prefix holds, and which of them live elsewhere (editable installs)."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from poncho import _json, _regular
from poncho.errors import BuildError

_FIELDS = ("METADATA", "PKG-INFO", "")  # with no name: an .egg-info that is a file


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
    """Return what is installed in ``prefix``, sorted by name; read from its files, nothing of it is run.

    Raises BuildError when its site-packages cannot be read.
    """
    return distributions_in(*site_packages(prefix))


def distributions_in(*sites: Path) -> tuple[InstalledDistribution, ...]:
    """Return what is installed in such directories, sorted by name. Raises BuildError when one cannot be read."""
    for site in sites:
        try:
            os.close(
                os.open(site, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            )  # else it would be taken for an empty one
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise BuildError(
                f"{site}: cannot be read ({error.strerror})", hint="every file of the environment must be readable"
            ) from error
    found = [_installed(item) for item in _found_in([str(path) for path in sites])]
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
        text = _text(evidence)
        item = _installed(_Metadata(evidence.parent)) if is_editable(text) else None
        if item is not None:
            source = editable_source(text)
            found[item.name] = EditableDistribution(item.name, item.version, source, evidence)
            named |= {_resolved(source)} if source is not None else set()
    for site in site_packages(prefix):
        for link in sorted(site.glob("*.egg-link")):
            line, name = _egg_link_line(link), canonicalize_name(link.stem)
            if line and name not in found:
                target = Path(line) if _regular.is_name(line) else None
                version = _egg_version(target, name) if target is not None else ""
                found[name] = EditableDistribution(name, version, target, link)
                named |= {_resolved(target)} if target is not None else set()
        for pth in sorted(site.glob("*.pth")):
            for path in _outside(pth, site, prefix):
                if not any(path == source or path.is_relative_to(source) for source in named):
                    found.setdefault(path.name, EditableDistribution(path.name, "", path, pth))
                    named.add(path)
    return tuple(found[name] for name in sorted(found))


def is_editable(direct_url: str | None) -> bool:
    """Tell whether a ``direct_url.json`` text says that the distribution is installed editable."""
    try:
        data = _json.loads(direct_url or "null")
        return isinstance(data["url"], str) and bool(data["dir_info"]["editable"])
    except (ValueError, KeyError, TypeError):
        return False


def editable_source(direct_url: str | None) -> Path | None:
    """Return the directory that such a text names, or None when it names nothing that a directory can be called."""
    try:
        path = unquote(urlsplit(_json.loads(direct_url or "null")["url"]).path)
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
    return Path(path) if _regular.is_name(path) else None


def _text(path: Path) -> str | None:
    try:
        return _regular.read_text(path)
    except (OSError, UnicodeDecodeError):
        return None


def _resolved(path: Path) -> Path:
    # Path.resolve() raises for links that lead in a circle, before Python 3.13.
    return Path(os.path.realpath(path))


class _Metadata(importlib.metadata.PathDistribution):
    """A distribution of which nothing but regular files is read."""

    def read_text(self, filename: str | os.PathLike[str]) -> str | None:
        """Return the text of a file of the metadata, or None; a broken one raises ValueError.

        Of the metadata proper only the fields: a description behind them takes much longer to parse than they do.
        """
        try:
            text = _regular.read_text(os.path.join(self.place, filename) if filename else self.place)
        except OSError:
            return None
        return _fields_of(text) if filename in _FIELDS else text

    @property
    def place(self) -> str:
        """Return where the metadata lies."""
        return str(self._path)


def _fields_of(text: str) -> str:
    return text.replace("\r\n", "\n").partition("\n\n")[0] + "\n"


def _found_in(paths: list[str]) -> Iterator[_Metadata]:
    for item in importlib.metadata.distributions(path=paths):
        place = getattr(item, "_path", None)
        if isinstance(place, Path):
            yield _Metadata(place)


def _installed(item: _Metadata) -> InstalledDistribution | None:
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
    return InstalledDistribution(
        canonicalize_name(name), version, Path(item.place), (installer or "").strip(), direct_url
    )


def _egg_link_line(link: Path) -> str:
    lines = (_text(link) or "").splitlines()
    return lines[0].strip() if lines else ""


def _egg_version(directory: Path, name: str) -> str:
    # What is none would be opened as an archive.
    for item in _found_in([str(directory)] if os.path.isdir(directory) else []):
        found = _installed(item)
        if found is not None and found.name == name:
            return found.version
    return ""


def _outside(pth: Path, site: Path, prefix: Path) -> Iterator[Path]:
    """Yield the directories outside of the prefix that a ``.pth`` file puts on ``sys.path``; its code is not run."""
    try:
        lines = _regular.read_text(pth, "surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        text = line.strip()
        if not text or text.startswith(("#", "import ", "import\t")):
            continue
        try:
            path = _resolved(site / text)
            if path.is_dir() and not path.is_relative_to(_resolved(prefix)):
                yield path
        except (OSError, ValueError):
            continue
