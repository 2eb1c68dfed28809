"""One setting for certificates, whichever of the usual variables it was given in.

OpenSSL's programs, uv and py-rattler read ``SSL_CERT_FILE``; requests, pip and conda ``REQUESTS_CA_BUNDLE``; curl's
``CURL_CA_BUNDLE``; git has its own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def certificate_file(environ: Mapping[str, str]) -> str | None:
    """Return the file of certificates that the user trusts, the first of the usual variables that names one; or None."""
    return next((path for name in _VARIABLES if (path := environ.get(name)) and os.path.isfile(path)), None)


def certificate_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the usual variables that are not set, with the file that another one of them names."""
    path = certificate_file(environ)
    return {name: path for name in _VARIABLES if path is not None and not environ.get(name)}
