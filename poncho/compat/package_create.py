"""``ndcctools.poncho.package_create``: packages from Python."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poncho.builder import CreateOptions, create
from poncho.compat.cache import cached_package, find_package
from poncho.pack import PackOptions
from poncho.spec import as_spec, decode, loads_spec

DEFAULT_CACHE = ".poncho_cache"

__all__ = ["dict_to_env", "pack_env", "pack_env_from_dict"]


def pack_env(
    spec: str | Path | Mapping[str, Any],
    output: str | Path,
    conda_executable: str | None = None,
    download_micromamba: bool = False,
    ignore_editable_packages: bool = False,
) -> str:
    """Make the package ``output`` from the directory or name of a conda environment, a spec file, ``-`` or a dict.

    ``download_micromamba`` is accepted and means nothing: no program is ever downloaded. Returns ``output``.
    Raises PonchoError; ``output`` appears whole or not at all, and ``spec`` is left as it is.
    """
    options = _options(conda_executable, ignore_editable_packages)
    if isinstance(spec, Mapping):
        create(as_spec(spec), output, options=options)
    elif str(spec) == "-":
        text = decode(sys.stdin.buffer.read(), source="standard input")
        create(loads_spec(text, source="standard input"), output, options=options)
    else:
        create(spec, output, options=options)
    return str(output)


def pack_env_from_dict(
    spec: Mapping[str, Any],
    output: str | Path,
    conda_executable: str | None = None,
    download_micromamba: bool = False,
    ignore_editable_packages: bool = False,
) -> str:
    """Make the package ``output`` from a spec given as a dict; like ``pack_env``."""
    return pack_env(spec, output, conda_executable, download_micromamba, ignore_editable_packages)


def dict_to_env(
    spec: Mapping[str, Any] | str,
    conda_executable: str | None = None,
    download_micromamba: bool = False,
    ignore_editable_packages: bool = False,
    cache: bool = True,
    cache_path: str | Path | None = None,
    force: bool = False,
) -> str:
    """Return the path of a package of ``spec`` (a dict or JSON text), building it only when there is none.

    Packages are kept in the builder's cache, with a copy in ``cache_path`` (default: ``.poncho_cache`` here), by platform,
    spec and all that the spec leaves open: the content of local code, what branches and unpinned addresses hold now (they
    are asked each time), the base interpreter. ``cache=False`` leaves a new one in the working directory instead;
    ``force`` builds anew. Raises PonchoError.
    """
    directory = Path(cache_path or DEFAULT_CACHE)
    wanted = as_spec(spec)
    options = _options(conda_executable, ignore_editable_packages)
    if not cache and (force or find_package(wanted, directory, options=options) is None):
        return str(cached_package(wanted, Path(), options=options, force=True, keep=False).path)
    return str(cached_package(wanted, directory, options=options, force=force).path)


def _options(conda_executable: str | None, ignore_editable: bool) -> CreateOptions:
    return CreateOptions(
        conda_executable=conda_executable,
        # Library callers mean the environment that they run in, activated or not.
        environment=Path(sys.prefix),
        pack=PackOptions(ignore_editable=ignore_editable is True),
    )
