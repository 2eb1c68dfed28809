"""Ask a package index which modules a project provides, and which version is the newest (``--online``).

The simple repository API (PEP 503, PEP 691), files' metadata beside them (PEP 658, PEP 714), ``Import-Name`` in it
(PEP 794), else the wheel's own list of files (RECORD), read by range requests: some kilobytes.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag, urljoin

import requests
from urllib3.exceptions import HTTPError

from poncho import _json
from poncho.analysis.editable import canonical
from poncho.analysis.installed import declared_modules, recorded_modules
from poncho.analysis.ranged import RangedFile
from poncho.engine.pip_settings import IndexSettings, read_index_settings
from poncho.errors import AnalysisError, FetchError
from poncho.fetch.policy import HttpPolicy
from poncho.fetch.session import Session
from poncho.store import BuilderCache, atomic_file

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
_LARGEST_PAGE = 64 * 1024 * 1024
# As long as the public index lets its pages be kept.
_PAGE_SECONDS = 600
_ANCHOR = re.compile(r"<a\s([^>]*)>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([\w-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+)))?""")


@dataclass(frozen=True, slots=True)
class File:
    """One file of a project: ``metadata`` tells whether its METADATA can be had beside it (PEP 658)."""

    name: str
    url: str
    requires_python: str = ""
    yanked: bool = False
    metadata: bool = False
    sha256: str = ""

    @property
    def is_wheel(self) -> bool:
        """Tell a wheel from a source distribution."""
        return self.name.endswith(".whl")

    @property
    def version(self) -> str | None:
        """Return the version as the file's name says it, None for a file of another kind."""
        if self.is_wheel:
            parts = self.name.split("-")
            return parts[1] if len(parts) >= 5 else None
        stem = re.sub(r"\.(?:tar\.gz|zip|tar\.bz2|tgz)$", "", self.name)
        return stem.rpartition("-")[2] if stem != self.name and "-" in stem else None


@dataclass(frozen=True, slots=True)
class Release:
    """The newest version of a project that a Python can use, and its files."""

    project: str
    version: str
    files: tuple[File, ...]

    @property
    def plainest_wheel(self) -> File | None:
        """Return the wheel that is for most machines, None when there is only source."""
        return min((file for file in self.files if file.is_wheel), key=_plainest, default=None)


class Index:
    """The package indexes that pip is set up with; every answer is kept in the builder's cache."""

    def __init__(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        cache: BuilderCache | None = None,
        settings: IndexSettings | None = None,
    ) -> None:
        self._settings = settings or read_index_settings(os.environ if environ is None else environ)
        self._cache = (cache or BuilderCache.default()).directory("index")
        self._session = Session(HttpPolicy.from_environment(), {}, allow_downgrade=False)
        self._pages: dict[str, tuple[File, ...]] = {}

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    @property
    def _urls(self) -> tuple[str, ...]:
        first = self._settings.index_url or _default_index()
        urls = () if self._settings.no_index else (first, *self._settings.extra_index_url)
        return tuple(dict.fromkeys(url.rstrip("/") for url in urls if url.startswith(("http://", "https://"))))

    def files(self, project: str) -> tuple[File, ...]:
        """Return all files of a project, none when no index has it. Raises AnalysisError when one cannot be asked."""
        key = canonical(project)
        if key not in self._pages:
            self._pages[key] = tuple(file for url in self._urls for file in self._page(f"{url}/{key}/"))
        return self._pages[key]

    def newest(self, project: str, python: str) -> Release | None:
        """Return the newest final release that Python ``python`` can use (a pre-release if there is no other)."""
        from packaging.version import InvalidVersion, Version

        found: dict[Version, list[File]] = {}
        for file in self.files(project):
            if file.yanked or file.version is None or not _allows(file.requires_python, python):
                continue
            try:
                found.setdefault(Version(file.version), []).append(file)
            except InvalidVersion:
                continue
        finals = [version for version in found if not version.is_prerelease]
        if not found:
            return None
        newest = max(finals or found)
        return Release(canonical(project), str(newest), tuple(sorted(found[newest], key=lambda file: file.name)))

    def modules(self, release: Release) -> frozenset[str] | None:
        """Return the dotted modules that a release's wheel installs, None when it has no wheel that tells."""
        wheel = release.plainest_wheel
        if wheel is None:
            return None
        if wheel.metadata and (declared := declared_modules(self._beside(wheel))):
            return frozenset(declared)
        names = self._inside(wheel).get("modules")
        return frozenset(names) if names else None

    def metadata(self, wheel: File) -> str:
        """Return a wheel's METADATA, empty when it cannot be had."""
        return (self._beside(wheel) if wheel.metadata else "") or str(self._inside(wheel).get("metadata", ""))

    def download(self, file: File, target: Path) -> None:
        """Write a file of a project to ``target``. Raises AnalysisError when it is not what the index says it is."""
        try:
            response = self._session.get(file.url, {})
            data = response.raw.read() if response.status_code == 200 else b""
            response.close()
        except (requests.RequestException, HTTPError, OSError, FetchError) as error:
            raise _cannot_ask(type(error).__name__) from error
        if not data or (file.sha256 and hashlib.sha256(data).hexdigest() != file.sha256):
            raise _cannot_ask(f"{file.name} does not arrive as it is")
        with atomic_file(target) as private:
            private.write_bytes(data)

    def _beside(self, wheel: File) -> str:
        place = self._place("metadata", wheel.sha256 or wheel.url)
        known = _read(place)
        if not isinstance(known, str):
            known = self._text(f"{wheel.url}.metadata") or ""
            _write(place, known)
        return known

    def _inside(self, wheel: File) -> dict[str, Any]:
        """Return the modules and the metadata that a wheel holds, empty when it cannot be read."""
        place = self._place("wheel", wheel.sha256 or wheel.url)
        known = _read(place)
        if isinstance(known, dict) and isinstance(known.get("modules"), list):
            return known

        def get(url: str, headers: dict[str, str]) -> requests.Response:
            return self._session.get(url, headers)

        try:
            with zipfile.ZipFile(RangedFile(get, wheel.url)) as archive:
                names = archive.namelist()
                inside = next((name for name in names if name.endswith(".dist-info/METADATA")), None)
                text = archive.read(inside).decode("utf-8", "replace") if inside else ""
        except (OSError, zipfile.BadZipFile, requests.RequestException, HTTPError, FetchError):
            return {}
        modules = declared_modules(text) or set(recorded_modules("\n".join(names)))
        found = {"modules": sorted(modules), "metadata": text}
        _write(place, found)
        return found

    def _page(self, url: str) -> tuple[File, ...]:
        place = self._place("page", url)
        known = _read(place)
        since = known.get("time") if isinstance(known, dict) else None
        if isinstance(since, (int, float)) and 0 <= time.time() - since < _PAGE_SECONDS:
            return tuple(File(**one) for one in known["files"])
        text = self._text(url, accept=_ACCEPT)
        files = _parse(text, url) if text is not None else ()
        _write(place, {"time": time.time(), "files": [asdict(file) for file in files]})
        return files

    def _text(self, url: str, *, accept: str = "*/*") -> str | None:
        """Return what a URL holds, None when it is not there. Raises AnalysisError for any other answer."""
        try:
            response = self._session.get(url, {"Accept": accept})
            try:
                if response.status_code in (404, 410):
                    return None
                if response.status_code != 200:
                    raise _cannot_ask(f"it answers HTTP {response.status_code}")
                data = response.raw.read(_LARGEST_PAGE + 1, decode_content=True)
            finally:
                response.close()
        except (requests.RequestException, HTTPError, OSError) as error:
            raise _cannot_ask(type(error).__name__) from error
        except FetchError as error:
            raise _cannot_ask("its address is not one that can be asked") from error
        if len(data) > _LARGEST_PAGE:
            raise _cannot_ask("its answer is larger than 64 MiB")
        return str(data.decode("utf-8", "replace"))

    def _place(self, kind: str, key: str) -> Path:
        return self._cache / f"{kind}-{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def _default_index() -> str:
    """Return the index that pip asks when nobody says another one."""
    try:
        from pip._internal.models.index import PyPI
    except ImportError as error:
        raise _cannot_ask("no index is set up") from error
    return str(PyPI.simple_url)


def _cannot_ask(why: str) -> AnalysisError:
    # The URL is left out: it can hold a password.
    return AnalysisError(
        f"the package index cannot be asked: {why}",
        hint="check the network and pip's settings (PIP_INDEX_URL, pip.conf), or leave out --online and --pin",
    )


def _parse(text: str, url: str) -> tuple[File, ...]:
    """Return the files of a project page, JSON (PEP 691) or HTML (PEP 503)."""
    try:
        data = _json.loads(text)
    except ValueError:
        return tuple(_parse_html(text, url))
    listed = data.get("files") if isinstance(data, dict) else None
    found = []
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and isinstance(name := one.get("filename"), str) and isinstance(one.get("url"), str):
            hashes = one.get("hashes")
            found.append(
                File(
                    name,
                    urljoin(url, one["url"]),
                    str(one.get("requires-python") or ""),
                    bool(one.get("yanked")),
                    bool(one.get("core-metadata") or one.get("dist-info-metadata")),
                    str(hashes.get("sha256", "")) if isinstance(hashes, dict) else "",
                )
            )
    return tuple(found)


def _parse_html(text: str, url: str) -> Sequence[File]:
    found = []
    for anchor in _ANCHOR.finditer(text):
        fields: dict[str, Any] = {
            one[1].lower(): html.unescape(one[2] or one[3] or one[4] or "") for one in _ATTRIBUTE.finditer(anchor[1])
        }
        if not (href := fields.get("href")):
            continue
        target, fragment = urldefrag(urljoin(url, href))
        beside = "data-core-metadata" in fields or "data-dist-info-metadata" in fields
        found.append(
            File(
                target.rpartition("/")[2],
                target,
                fields.get("data-requires-python", ""),
                "data-yanked" in fields,
                beside,
                fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else "",
            )
        )
    return found


def _plainest(file: File) -> tuple[bool, bool, str]:
    return not file.name.endswith("-any.whl"), "manylinux" not in file.name and "linux" not in file.name, file.name


def _allows(requires: str, python: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return not requires or SpecifierSet(requires).contains(python, prereleases=True)
    except InvalidSpecifier:
        return True


def _read(place: Path) -> Any:
    try:
        return _json.loads(place.read_bytes())
    except (OSError, ValueError):
        return None


def _write(place: Path, value: Any) -> None:
    try:
        with atomic_file(place) as private:
            private.write_text(json.dumps(value), "utf-8")
    except OSError:
        return
