"""``SOURCE_DATE_EPOCH``: the time that a build is to write down instead of its own (reproducible-builds.org)."""

from __future__ import annotations

import os

from poncho.errors import UsageError

_LATEST = 1 << 33  # what a tar header's field for it holds


def source_date_epoch() -> int | None:
    """Return it in seconds since 1970, None where it is not set. Raises UsageError for what is no such number."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) >= _LATEST:
        raise UsageError(
            f"SOURCE_DATE_EPOCH={text}: not a number of seconds since 1970",
            hint="unset it, or use what date +%s prints",
        )
    return int(text)
