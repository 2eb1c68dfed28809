"""One GET over http(s), with redirects followed by hand, because credentials and protocols are judged at every hop.

requests brings what users set up elsewhere: netrc, proxies, certificate files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import SplitResult, unquote, urljoin, urlsplit, urlunsplit

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from poncho._words import url_fault
from poncho.errors import FetchError
from poncho.fetch.certificates import certificate_file
from poncho.fetch.policy import HttpPolicy

_REDIRECTS = (301, 302, 303, 307, 308)
_PORTS = {"http": 80, "https": 443}


class _NoAuth(AuthBase):
    """Keep requests from replacing the caller's own Authorization header by what netrc says."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class Session:
    """A connection pool for one download. ``secrets`` are headers for the origin of the first URL alone."""

    def __init__(self, policy: HttpPolicy, secrets: Mapping[str, str], *, allow_downgrade: bool) -> None:
        self._policy = policy
        self._secrets = dict(secrets)
        self._allow_downgrade = allow_downgrade
        self._session = requests.Session()
        # The digest is that of the file, not of a transfer coding.
        self._session.headers.update({"Accept-Encoding": "identity", "Accept": "*/*", "User-Agent": "poncho"})
        certificates = certificate_file(os.environ)
        if certificates is not None:
            # REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE go first: requests looks at them itself.
            self._session.verify = certificates

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def get(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        """Return the response to a GET, its body not yet read, after at most ``policy.redirects`` redirects.

        Raises requests' exceptions and urllib3's for trouble on the way, FetchError for a redirect that is not
        followed.
        """
        home = origin(url)
        for _ in range(self._policy.redirects + 1):
            response = self._request(url, headers, at_home=_same_place(home, origin(url)))
            if response.status_code not in _REDIRECTS:
                return response
            location = self._session.get_redirect_target(response)
            response.close()
            if not location:
                raise FetchError(f"{url}: redirects (HTTP {response.status_code}) without saying where to")
            url = self._follow(url, location)
        raise FetchError(
            f"{url}: more than {self._policy.redirects} redirects", hint="look at the address in a browser"
        )

    def _request(self, url: str, headers: Mapping[str, str], *, at_home: bool) -> requests.Response:
        bare, auth = split_userinfo(url)
        sent = {**headers, **(self._secrets if at_home else {})}
        if auth is None and any(name.lower() == "authorization" for name in sent):
            auth = _NoAuth()
        return self._session.get(
            bare,
            headers=sent,
            auth=auth,
            stream=True,
            allow_redirects=False,
            timeout=(self._policy.connect_timeout, self._policy.read_timeout),
        )

    def _follow(self, url: str, location: str) -> str:
        bare, _ = split_userinfo(url)
        try:
            target = urljoin(bare, location)
            scheme = urlsplit(target).scheme.lower()
        except ValueError as error:
            raise FetchError(f"{url}: redirects to something that is no URL ({error})") from error
        if scheme not in _PORTS:
            raise FetchError(
                f"{url}: redirects to {target}, which is not http or https: refused",
                hint="only http and https redirects are followed; write the real address into the spec",
            )
        if scheme == "http" and urlsplit(url).scheme.lower() == "https" and not self._allow_downgrade:
            raise FetchError(
                f"{url}: redirects from https to http ({target}), where anybody on the way could change the file",
                hint="give `sha256` in the spec: then what arrives is checked, and the redirect is followed",
            )
        userinfo, parts = urlsplit(url).netloc.rpartition("@")[0], urlsplit(target)
        if userinfo and "@" not in parts.netloc and _same_place(origin(url), origin(target)):
            return urlunsplit(parts._replace(netloc=f"{userinfo}@{parts.netloc}"))
        return target


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port: what credentials are bound to. Raises FetchError for a URL without them."""
    parts = parse(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or _PORTS[scheme]


def parse(url: str) -> SplitResult:
    """Return the parts of an http(s) URL. Raises FetchError for anything else."""
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port != 0
    except ValueError as error:
        raise FetchError(f"{url}: is no valid URL{url_fault(error)}") from error
    if parts.scheme.lower() not in _PORTS:
        raise FetchError(f"{url}: is no http or https URL", hint="write it as https://host/path")
    if not parts.hostname or not port_is_valid or any(ord(character) <= 32 for character in url):
        raise FetchError(f"{url!r}: is no valid URL", hint="write it as https://host/path, with spaces as %20")
    return parts


def split_userinfo(url: str) -> tuple[str, AuthBase | None]:
    """Return the URL without ``user:password@``, and these as basic authentication."""
    parts = urlsplit(url)
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    user, _, password = userinfo.partition(":")
    return urlunsplit(parts._replace(netloc=host)), HTTPBasicAuth(unquote(user), unquote(password))


def _same_place(first: tuple[str, str, int], second: tuple[str, str, int]) -> bool:
    # The step from http to https on the same host and the standard ports only makes things safer; requests allows it
    # too.
    upgraded = first == ("http", second[1], 80) and second == ("https", first[1], 443)
    return first == second or upgraded
