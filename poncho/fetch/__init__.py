"""Data that travels in the package: git repositories and http files, from one content-addressed cache."""

from poncho.fetch.archive import extract
from poncho.fetch.data import DATA_DIRECTORY, FetchedData, fetch_data, resolve_data
from poncho.fetch.kept import kept_data
from poncho.fetch.limits import Limits
from poncho.fetch.policy import HttpPolicy
from poncho.fetch.repository import fetch_git, resolve_git
from poncho.fetch.size import remote_size
from poncho.fetch.web import fetch_http, resolve_http

__all__ = [
    "DATA_DIRECTORY",
    "FetchedData",
    "HttpPolicy",
    "Limits",
    "extract",
    "fetch_data",
    "fetch_git",
    "fetch_http",
    "kept_data",
    "remote_size",
    "resolve_data",
    "resolve_git",
    "resolve_http",
]
