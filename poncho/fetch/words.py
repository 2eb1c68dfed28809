"""What went wrong with http, in one line that a person can act on."""

from __future__ import annotations

import http.client
import socket
import ssl

import requests
import urllib3.exceptions

from poncho.errors import FetchError

_LOGIN = "credentials come from netrc, from user:password@ in the URL, or from `headers` in the spec"


def status_error(url: str, response: requests.Response) -> FetchError:
    """Return the error for a status that is no success."""
    status = response.status_code
    reason = response.reason or http.client.responses.get(status, "")
    match status:
        case 401 | 403 | 407:
            hint = f"the server wants to know who asks, or does not let you: {_LOGIN}"
        case 404 | 410:
            hint = f"check the address; a private file looks like a missing one: {_LOGIN}"
        case 429:
            hint = "the server asks for fewer requests; try again later"
        case _ if status >= 500:
            hint = "the server has trouble; try again later"
        case _:
            hint = "look at the address with a browser"
    final = f", at {response.url}" if response.url and response.url.split("?")[0].split("://")[-1] not in url else ""
    message = f"{url}: HTTP {status} {reason}{final}".rstrip()
    return FetchError(message, hint=hint, context={"url": url, "status": status})


def network_error(url: str, error: Exception) -> tuple[FetchError, bool]:
    """Return the error for a connection that failed, and whether another attempt makes sense."""
    inner = _root(error)
    chain = _chain(error)
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in chain):
        return (
            FetchError(
                f"{url}: the server's certificate is not accepted ({inner})",
                hint="for a private authority name its certificate file in SSL_CERT_FILE",
            ),
            False,
        )
    if any(isinstance(one, (requests.exceptions.ProxyError, urllib3.exceptions.ProxyError)) for one in chain):
        return FetchError(f"{url}: the proxy does not work ({inner})", hint="check HTTP_PROXY and HTTPS_PROXY"), True
    if any(isinstance(one, requests.exceptions.InvalidHeader) for one in chain):
        hint = "look at the variables that `headers` names"
        return FetchError(f"{url}: a header has a value that cannot be sent", hint=hint), False
    if any(isinstance(one, ValueError) for one in chain):
        return FetchError(f"{url}: is no valid URL, or redirects to one that is not ({inner})"), False
    if any(isinstance(one, (socket.gaierror, urllib3.exceptions.NameResolutionError)) for one in chain):
        return FetchError(f"{url}: the host's name is not known here ({inner})", hint=_NO_NETWORK), True
    if any(isinstance(one, ConnectionRefusedError) for one in chain):
        return FetchError(f"{url}: the connection was refused", hint=_NO_NETWORK), True
    # urllib3 counts a connection that could not be made as a timeout: hence after the two above.
    if any(isinstance(one, (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)) for one in chain):
        return (
            FetchError(
                f"{url}: timeout: the server did not answer or stopped sending",
                hint="try again later, or set PONCHO_HTTP_TIMEOUT to more seconds",
            ),
            True,
        )
    return FetchError(f"{url}: the connection failed ({inner})", hint=_NO_NETWORK), True


_NO_NETWORK = "check the network and the address; with --offline only what was fetched before is used"


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error with all that it wraps: requests wraps urllib3's in ``args`` and ``reason``."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting and len(found) < 20:
        one = waiting.pop()
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            waiting += [*one.args, getattr(one, "reason", None), one.__cause__]
    return found


def _root(error: BaseException) -> str:
    last = _chain(error)[-1]
    text = last.strerror if isinstance(last, OSError) and last.strerror else str(last)
    return " ".join((text or type(last).__name__).split())[:200]
