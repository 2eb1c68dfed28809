"""Where pip would look for packages: read from its variables and configuration files, written for uv and for pip.

Files, sections and their order: pip's documentation, "Configuration" (global, user, site, PIP_CONFIG_FILE;
``[global]`` then ``[install]``; variables win over files).
"""

from __future__ import annotations

import configparser
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from poncho._home import expanded, home

_SINGLE = ("index-url", "cert", "client-cert", "proxy", "timeout", "keyring-provider")
_MANY = ("extra-index-url", "find-links", "trusted-host", "no-binary", "only-binary")
_FLAGS = ("no-index", "pre")
_TRUE = frozenset({"1", "y", "yes", "t", "true", "on"})


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """Where packages come from. URLs may hold credentials: never log them, hand them on by environment only."""

    index_url: str | None = None
    extra_index_url: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_host: tuple[str, ...] = ()
    no_binary: tuple[str, ...] = ()
    only_binary: tuple[str, ...] = ()
    no_index: bool = False
    pre: bool = False
    cert: str | None = None
    client_cert: str | None = None
    proxy: str | None = None
    timeout: str | None = None
    keyring_provider: str | None = None

    def as_uv_variables(self) -> dict[str, str]:
        """Return the settings as uv's (and TLS and proxy) environment variables."""
        variables: dict[str, str | None] = {
            "UV_INDEX_URL": self.index_url,
            "UV_EXTRA_INDEX_URL": " ".join(self.extra_index_url),
            "UV_FIND_LINKS": ",".join(self.find_links),
            "UV_INSECURE_HOST": " ".join(self.trusted_host),
            "UV_PRERELEASE": "allow" if self.pre else None,
            "UV_HTTP_TIMEOUT": self.timeout,
            "SSL_CERT_FILE": self.cert,
            "SSL_CLIENT_CERT": self.client_cert,
            "ALL_PROXY": self.proxy,
            # pip takes the best version of all indexes; uv by default the first index that has the name. A list
            # written for pip means what pip makes of it.
            "UV_INDEX_STRATEGY": "unsafe-best-match" if self.extra_index_url else None,
            "UV_KEYRING_PROVIDER": self.keyring_provider
            if self.keyring_provider in ("subprocess", "disabled")
            else None,
        }
        return {name: value for name, value in variables.items() if value}

    def as_uv_arguments(self) -> list[str]:
        """Return what uv takes only as arguments."""
        arguments = ["--no-index"] if self.no_index else []
        for option, names in (("--no-binary", self.no_binary), ("--only-binary", self.only_binary)):
            arguments += [part for name in names for part in (option, name)]
        return arguments

    def as_pip_variables(self) -> dict[str, str]:
        """Return the settings as pip's environment variables."""
        variables: dict[str, str | None] = {
            "PIP_INDEX_URL": self.index_url,
            "PIP_EXTRA_INDEX_URL": " ".join(self.extra_index_url),
            "PIP_FIND_LINKS": " ".join(self.find_links),
            "PIP_TRUSTED_HOST": " ".join(self.trusted_host),
            "PIP_NO_BINARY": ",".join(self.no_binary),
            "PIP_ONLY_BINARY": ",".join(self.only_binary),
            "PIP_NO_INDEX": "1" if self.no_index else None,
            "PIP_PRE": "1" if self.pre else None,
            "PIP_CERT": self.cert,
            "PIP_CLIENT_CERT": self.client_cert,
            "PIP_PROXY": self.proxy,
            "PIP_DEFAULT_TIMEOUT": self.timeout,
            "PIP_KEYRING_PROVIDER": self.keyring_provider,
        }
        return {name: value for name, value in variables.items() if value}


def read_index_settings(environ: Mapping[str, str]) -> IndexSettings:
    """Return pip's index settings as ``environ`` and the configuration files it points to give them.

    What uv is told by ``UV_DEFAULT_INDEX``/``UV_INDEX_URL`` and ``UV_INDEX``/``UV_EXTRA_INDEX_URL`` replaces the same
    of pip, so that both tools look in the same places. A file that cannot be read or parsed is passed over, as its
    settings cannot be known.
    """
    values: dict[str, str] = {}
    for path in _configuration_files(environ):
        values.update(_read_file(path))
    for key in (*_SINGLE, *_MANY, *_FLAGS):
        for variable in _variables(key):
            if environ.get(variable):
                values[key] = environ[variable]
    default = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL")
    extra = environ.get("UV_INDEX") or environ.get("UV_EXTRA_INDEX_URL")
    many = {key: _split(key, values.get(key, "")) for key in _MANY}
    return IndexSettings(
        index_url=_without_name(default) if default else values.get("index-url"),
        extra_index_url=tuple(map(_without_name, extra.split())) if extra else many["extra-index-url"],
        find_links=tuple(link for item in many["find-links"] if (link := _as_link(item))),
        trusted_host=many["trusted-host"],
        no_binary=many["no-binary"],
        only_binary=many["only-binary"],
        no_index=values.get("no-index", "").lower() in _TRUE,
        pre=values.get("pre", "").lower() in _TRUE,
        cert=values.get("cert") or environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE") or None,
        client_cert=values.get("client-cert"),
        proxy=values.get("proxy"),
        timeout=values.get("timeout"),
        keyring_provider=values.get("keyring-provider"),
    )


def _variables(key: str) -> tuple[str, ...]:
    # pip accepts PIP_DEFAULT_TIMEOUT beside PIP_TIMEOUT.
    name = "PIP_" + key.upper().replace("-", "_")
    return ("PIP_DEFAULT_TIMEOUT", name) if key == "timeout" else (name,)


def _configuration_files(environ: Mapping[str, str]) -> list[Path]:
    """Return pip's configuration files, those that win last."""
    if environ.get("PIP_CONFIG_FILE") == os.devnull:
        return []
    own = home(environ)
    if sys.platform == "darwin":
        files = [Path("/Library/Application Support/pip/pip.conf")]
        user = own / "Library/Application Support/pip/pip.conf"
        config = user if user.parent.is_dir() else own / ".config/pip/pip.conf"
    else:
        directories = environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
        files = [Path(directory) / "pip/pip.conf" for directory in directories.split(os.pathsep) if directory]
        files.append(Path("/etc/pip.conf"))
        config = Path(environ.get("XDG_CONFIG_HOME") or own / ".config") / "pip/pip.conf"
    files += [own / ".pip/pip.conf", config]
    site = environ.get("VIRTUAL_ENV") or environ.get("CONDA_PREFIX") or sys.prefix
    files.append(Path(site) / "pip.conf")
    if environ.get("PIP_CONFIG_FILE"):
        files.append(Path(environ["PIP_CONFIG_FILE"]))
    return files


def _read_file(path: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error):
        return {}
    values: dict[str, str] = {}
    for section in ("global", "install"):
        if parser.has_section(section):
            values.update({key.replace("_", "-"): value for key, value in parser.items(section) if value})
    return values


def _split(key: str, value: str) -> tuple[str, ...]:
    separators = r"[\s,]+" if key in ("no-binary", "only-binary") else r"\s+"
    return tuple(part for part in re.split(separators, value) if part)


def _without_name(index: str) -> str:
    """Return the URL of uv's ``name=URL`` form."""
    name, equals, url = index.partition("=")
    return url if equals and re.fullmatch(r"[A-Za-z0-9._-]+", name) else index


def _as_link(item: str) -> str | None:
    """Return a find-links location as a URL; None for a missing directory, which pip passes over and uv refuses."""
    if "://" in item:
        return item
    path = expanded(item).absolute()
    return path.as_uri() if os.path.exists(path) else None
