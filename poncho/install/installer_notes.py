"""Notes that an installer leaves for itself: they differ from build to build and tell nothing about the environment."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from poncho._installer_notes import NOTES
from poncho.errors import BuildError


def forget_notes(prefix: Path) -> None:
    """Delete uv's notes from every ``dist-info`` of the prefix, and their lines from RECORD. Raises BuildError."""
    for note in sorted(
        path for name in sorted(NOTES) for path in prefix.glob(f"lib/python3*/site-packages/*.dist-info/{name}")
    ):
        record = note.with_name("RECORD")
        try:
            note.unlink()
            if record.is_file():
                _strike(record, f"{note.parent.name}/{note.name}")
        except OSError as error:
            raise BuildError(f"{error.filename or note}: cannot be changed ({error.strerror})") from error


def _strike(record: Path, name: str) -> None:
    rows = list(csv.reader(io.StringIO(record.read_text(encoding="utf-8"), newline="")))
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(row for row in rows if row[:1] != [name])
    # Never in place: the file may be a link into the installer's cache.
    record.unlink()
    record.write_text(text.getvalue(), encoding="utf-8", newline="")
