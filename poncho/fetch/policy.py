"""How patient and how trusting http is: one value, with the environment variables that change it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from poncho.errors import FetchError


@dataclass(frozen=True, slots=True)
class HttpPolicy:
    """Seconds to wait for a connection and for the next bytes; attempts that may fail in a row without any progress.

    Between two attempts the wait is ``backoff`` seconds, doubled each time, or what the server's Retry-After asks
    for, up to ``longest_wait``; and up to ``total_wait`` in all, as long as no further byte comes.
    """

    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    attempts: int = 5
    backoff: float = 0.25
    longest_wait: float = 60.0
    total_wait: float = 120.0
    redirects: int = 10

    @classmethod
    def from_environment(cls) -> HttpPolicy:
        """Return the default policy, changed by ``PONCHO_HTTP_TIMEOUT`` (seconds without a byte) and
        ``PONCHO_HTTP_RETRIES``.

        Raises FetchError when one of them is no number.
        """
        standard = cls()
        timeout = _number("PONCHO_HTTP_TIMEOUT", standard.read_timeout)
        return cls(
            connect_timeout=min(standard.connect_timeout, timeout),
            read_timeout=timeout,
            attempts=int(_number("PONCHO_HTTP_RETRIES", standard.attempts - 1, at_least=0)) + 1,
        )


def _number(name: str, default: float, *, at_least: float = 0.01) -> float:
    text = os.environ.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not at_least <= value < 1e9:
        raise FetchError(f"{name}={text}: is not a number that can be used here", hint=f"unset {name}, or correct it")
    return value
