"""What is still to be done to a prefix when a conda engine has linked the packages: the records in ``conda-meta``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from poncho import _conda_record, _regular
from poncho._redact import strip_channel, strip_match_spec
from poncho._types import Event, Reporter
from poncho.lock.model import LockedConda
from poncho.store import atomic_file

# The keys of a conda-meta record whose values hold URLs. Others hold paths, in which /t/name/ may be an honest
# directory.
_URL_KEYS = ("url", "channel", "schannel", "requested_spec", "requested_specs")


def read_records(prefix: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield each record of ``conda-meta`` with its file, sorted by name; what is none (``_conda_record``) is passed over."""
    for path in sorted(prefix.joinpath("conda-meta").glob("*.json")):
        try:
            record = _conda_record.loads(_regular.read_bytes(path))
        except (OSError, ValueError):
            continue
        yield path, record


def scrub_credentials(prefix: Path) -> None:
    """Take user names, passwords and tokens out of the URLs in ``conda-meta/*.json``, where engines write them."""
    for path, record in read_records(prefix):
        clean = {key: _strip(value) if key in _URL_KEYS else value for key, value in record.items()}
        if clean != record:
            with atomic_file(path) as private:
                private.write_text(json.dumps(clean, indent=2) + "\n", encoding="utf-8")


def _strip(value: Any) -> Any:
    if isinstance(value, list):
        return [_strip(item) for item in value]
    if not isinstance(value, str):
        return value
    return strip_match_spec(value) if "::" in value else strip_channel(value)


def report_clobbered(prefix: Path, reporter: Reporter) -> None:
    """Warn of each file that two conda packages hold: which packages, which path, whose file is there.

    rattler moves the loser's file to ``__clobbers__/PACKAGE/PATH`` and records where it would have been
    (``original_path``).
    """
    owners: dict[str, str] = {}
    losers: list[tuple[str, str]] = []
    for _, record in read_records(prefix):
        name = str(record.get("name"))
        for entry in record.get("paths_data", {}).get("paths", []):
            path, original = str(entry.get("_path")), entry.get("original_path")
            if original and original != path:
                losers.append((str(original), name))
            elif path in owners and _is_of(prefix / path, entry):
                losers.append((path, owners[path]))
                owners[path] = name
            elif path in owners:
                losers.append((path, name))
            else:
                owners[path] = name
    for path, loser in sorted(losers):
        winner = owners.get(path, "another package")
        message = f"{path} is in two conda packages, {winner} and {loser}: the one of {winner} is installed"
        reporter(Event("warning", "install", message))


def _is_of(path: Path, entry: dict[str, Any]) -> bool:
    """Tell whether the file that is there is the one of this entry; a command lets the last one win."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == entry.get("sha256_in_prefix")
    except OSError:
        return False


def write_history(prefix: Path, records: Sequence[LockedConda], requested: Sequence[str]) -> None:
    """Write ``conda-meta/history`` the way conda does, so that conda's tools know the prefix as one of theirs.

    Format: ``conda/history.py``. The date is the newest package's, not today's: the same lock gives the same bytes.
    """
    newest = max((_timestamp(record) for record in records), default=0)
    date = datetime.fromtimestamp(newest, tz=timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    lines = [f"==> {date} <=="]
    lines += sorted(f"+{channel_name(r.channel)}/{r.subdir}::{r.name}-{r.version}-{r.build}" for r in records)
    if requested:
        lines.append(f"# update specs: {json.dumps([strip_match_spec(text) for text in requested])}")
    history = prefix / "conda-meta" / "history"
    history.parent.mkdir(exist_ok=True)
    history.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _timestamp(record: LockedConda) -> float:
    value = record.record.get("timestamp")
    if not isinstance(value, (int, float)):
        return 0
    # Repodata holds milliseconds; very old packages hold seconds.
    return value / 1000 if value > 253402300799 else value


def channel_name(channel: str) -> str:
    """Return a channel as one word for people: the last part of its URL, no credentials, no local directories."""
    return strip_channel(channel).rstrip("/").rsplit("/", 1)[-1] or "channel"
