"""How large the file at a URL is, without fetching it."""

from __future__ import annotations

import re

from poncho.errors import FetchError
from poncho.fetch.policy import HttpPolicy

_RANGE = re.compile(r"bytes 0-0/(\d+)")


def remote_size(url: str, *, policy: HttpPolicy | None = None) -> int | None:
    """Return the size in bytes, or None when the server does not say it (or there is none)."""
    # requests takes longer to load than a package to pack again.
    from poncho.fetch.download import TROUBLE
    from poncho.fetch.session import Session

    session = Session(policy or HttpPolicy.from_environment(), {}, allow_downgrade=False)
    try:
        # Not HEAD: there are servers, and signed addresses, that answer GET alone.
        response = session.get(url, {"Range": "bytes=0-0"})
        response.close()
    except (FetchError, *TROUBLE):
        return None
    finally:
        session.close()
    if found := _RANGE.fullmatch(response.headers.get("Content-Range", "").strip()):
        return int(found[1])
    length = response.headers.get("Content-Length", "")
    return int(length) if response.status_code == 200 and length.isascii() and length.isdigit() else None
