"""What conda packages and distributions say about themselves: licence, home, summary, what they need."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from email.errors import MessageError
from email.parser import BytesParser

from poncho import _conda_record
from poncho.pack.editable import normalise
from poncho.package.owners import Owner

_LICENCE_LINE = 200  # longer ones are whole texts, not names
_CLASSIFIER = "License :: "


@dataclass(frozen=True, slots=True)
class About:
    """What one part says about itself. ``licences`` are expressions or names as given; ``needs`` are requirements."""

    licences: tuple[str, ...] = ()
    summary: str = ""
    home: str = ""
    needs: tuple[str, ...] = ()
    record: Mapping[str, object] | None = None


def read_about(texts: Mapping[str, bytes]) -> dict[Owner, About]:
    """Return what the ``conda-meta`` records and METADATA files among ``texts`` say. What cannot be read says nothing."""
    found: dict[Owner, About] = {}
    for path in sorted(texts):
        directory, name = posixpath.split(path)
        if directory == "conda-meta":
            found.update(_conda(texts[path]))
        elif name in ("METADATA", "PKG-INFO"):
            for owner, about in _distribution(texts[path]).items():
                found.setdefault(owner, about)
    return found


def conda_about(record: Mapping[str, object]) -> About:
    """Return what a conda record (of ``conda-meta``, or a channel's) says."""
    needs = record.get("depends")
    return About(
        licences=_licences(record.get("license")),
        summary=_line(record.get("summary")),
        home=_line(record.get("home")),
        needs=tuple(str(need) for need in needs) if isinstance(needs, list) else (),
        record=record,
    )


def _conda(data: bytes) -> dict[Owner, About]:
    try:
        record = _conda_record.loads(data)
    except ValueError:
        return {}
    return {Owner("conda", record["name"]): conda_about(record)} if "name" in record else {}


def _distribution(data: bytes) -> dict[Owner, About]:
    try:
        fields = BytesParser().parsebytes(data, headersonly=True)
        name = str(fields.get("Name") or "")
        licences = _licences(fields.get("License-Expression")) or _licences(fields.get("License"))
        if not licences:
            marks = [str(value) for value in fields.get_all("Classifier", [])]
            words = [mark.rpartition(" :: ")[2] for mark in marks if mark.startswith(_CLASSIFIER)]
            licences = tuple(word for word in words if word != "OSI Approved")
        about = About(
            licences=licences,
            summary=_line(fields.get("Summary")),
            home=_line(fields.get("Home-page"))
            or _project_url([str(url) for url in fields.get_all("Project-URL", [])]),
            needs=tuple(str(need) for need in fields.get_all("Requires-Dist", [])),
        )
    except (MessageError, ValueError, IndexError, RecursionError):
        return {}
    return {Owner("pip", normalise(name)): about} if name else {}


def _licences(value: object) -> tuple[str, ...]:
    text = _line(value)
    return (text,) if text and text.upper() not in ("UNKNOWN", "NONE") else ()


def _line(value: object) -> str:
    """Return a text of one line, "" for others."""
    text = str(value).strip() if value is not None else ""
    return text if len(text) <= _LICENCE_LINE and text.isprintable() else ""


def _project_url(lines: list[str]) -> str:
    found = {label.strip().lower(): url.strip() for label, _, url in (line.partition(",") for line in lines)}
    return next((_line(found[label]) for label in ("homepage", "home", "source", "repository") if label in found), "")
