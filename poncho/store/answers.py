"""Answers to questions that are dear to ask, by a digest of all that they depend on: small JSON files.

``<root>/<2 hex>/<64 hex key>``: the sha256 of what follows, a newline, and the JSON text. Entries are never changed;
deleting any of them, at any time, costs time only. Asking for one renews its time, which is what a prune goes by.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from poncho import _json


@dataclass(frozen=True, slots=True)
class Answers:
    """Any number of processes may read and publish at the same time. A cache that cannot be written is no error."""

    root: Path

    def get(self, key: str) -> Any:
        """Return the answer (a JSON value), or None when there is no whole and sound one."""
        path = self._path(key)
        answer = read_answer(path)
        if answer is not None:
            with contextlib.suppress(OSError):
                os.utime(path)
        return answer

    def put(self, key: str, answer: Mapping[str, Any] | Sequence[Any]) -> None:
        """Publish an answer."""
        target = self._path(key)
        with contextlib.suppress(OSError):
            target.parent.mkdir(exist_ok=True)
            write_answer(target, answer)

    def _path(self, key: str) -> Path:
        return self.root / key[:2] / key


def write_answer(path: Path, answer: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write a file that ``read_answer`` reads; it appears whole or not at all. Raises OSError.

    Not synced to the disk: after a crash of the machine the digest tells a torn file from a whole one.
    """
    import secrets  # reading needs no random numbers

    text = json.dumps(answer, sort_keys=True).encode()
    private = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        private.write_bytes(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
        private.replace(path)
    except BaseException:
        private.unlink(missing_ok=True)
        raise


def read_answer(path: Path) -> Any:
    """Return the answer in a file, None when it is damaged or gone."""
    try:
        digest, _, text = path.read_bytes().partition(b"\n")
        if hashlib.sha256(text).hexdigest().encode() != digest:
            return None
        return _json.loads(text)
    except (OSError, ValueError):
        return None


def answer_key(*parts: Any) -> str:
    """Return the key of a question: 64 hexadecimal digits; ``parts`` are JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def plain(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by name, mappings as dicts: ``dataclasses.asdict`` cannot copy read-only ones."""
    found = {field.name: getattr(value, field.name) for field in fields(value)}
    return {name: dict(one) if isinstance(one, Mapping) else one for name, one in found.items()}
