"""Which files of a project are installed with it; the others are about it: tests, documentation, tools.

Rules: setuptools' ``packages``/``packages.find``/``py_modules`` and automatic discovery (src layout, flat layout), the
``packages`` of Poetry and Hatch, Flit's ``module``.
"""

from __future__ import annotations

import configparser
import re
import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# What setuptools' discovery of a flat layout leaves out.
_NEVER = frozenset(
    """
    benchmark benchmarks bin build ci deploy dist doc docs documentation example examples exercise exercises fabfile
    htmlcov job maintainers manpages news notebook notebooks requirements script scripts tasks test testing tests tool
    tools tutorial tutorials typings util utils venv www
    """.split()  # noqa: SIM905 (read as words)
)


def installed_files(root: Path) -> tuple[Path, ...] | None:
    """Return the directories and files that installing the project puts into an environment.

    None: all of it counts, because it is no project that can be installed, or because what it installs cannot be told.
    """
    pyproject, setup_cfg = _pyproject(root / "pyproject.toml"), _setup_cfg(root / "setup.cfg")
    built = "build-system" in pyproject or setup_cfg.has_section("options") or (root / "setup.py").is_file()
    poetry = _at(pyproject, "tool", "poetry")
    if not built or poetry.get("package-mode") is False:
        return None
    found = [path for path in _named(root, pyproject, setup_cfg) if path.exists()]
    if not found:
        name = (
            _at(pyproject, "project").get("name")
            or poetry.get("name")
            or setup_cfg.get("metadata", "name", fallback="")
        )
        found = _discovered(root, re.sub(r"[-.]", "_", str(name)).lower())
    return tuple(found) or None


def _named(root: Path, pyproject: dict[str, Any], setup_cfg: configparser.ConfigParser) -> list[Path]:
    """Return what the project's configuration names."""
    setuptools = _at(pyproject, "tool", "setuptools")
    places = _at(setuptools, "package-dir")
    base = root / str(places.get("", "."))
    found: list[Path] = []
    packages = setuptools.get("packages")
    if isinstance(packages, list):
        found += [root / str(places.get(one, base / one.replace(".", "/"))) for one in packages if isinstance(one, str)]
    for where in _strings(_at(setuptools, "packages", "find").get("where")):
        found += _packages_in(root / where, strict=where in ("", "."))
    found += [base / f"{one}.py" for one in _strings(setuptools.get("py-modules"))]
    packages = _at(pyproject, "tool", "poetry").get("packages")
    for one in packages if isinstance(packages, list) else ():
        if isinstance(one, dict) and isinstance(one.get("include"), str):
            pattern = one["include"].split("/**")[0].strip("/")
            try:
                found += (root / str(one.get("from", "."))).glob(pattern or "*")
            except (OSError, ValueError, NotImplementedError):
                continue  # no pattern
    wheel = _at(pyproject, "tool", "hatch", "build", "targets", "wheel")
    found += [root / one for one in _strings(wheel.get("packages"))]
    module = _at(pyproject, "tool", "flit", "module").get("name")
    if isinstance(module, str):
        path = module.replace(".", "/")
        found += [root / "src" / path, root / path, root / f"src/{path}.py", root / f"{path}.py"]
    where = setup_cfg.get("options.packages.find", "where", fallback="").strip()
    if where:
        found += _packages_in(root / where, strict=where == ".")
    found += [
        root / f"{one}.py" for one in re.split(r"[\s,]+", setup_cfg.get("options", "py_modules", fallback="")) if one
    ]
    return found


def _discovered(root: Path, name: str) -> list[Path]:
    source = root / "src"
    if source.is_dir() and not (source / "__init__.py").exists() and (found := _packages_in(source, strict=False)):
        return found
    for folder in (root / name, root / "lib" / name, root / "python" / name):
        if name and folder.is_dir() and (folder / "__init__.py").exists() and folder.parent != root:
            return [folder]
    found = _packages_in(root, strict=True)
    if name and (root / name).is_dir() and root / name not in found:
        found.append(root / name)
    single = root / f"{name}.py"
    return [*found, single] if name and single.is_file() else found


def _packages_in(folder: Path, *, strict: bool) -> list[Path]:
    """Return packages and modules directly in a directory; ``strict``: only what no project keeps for itself."""
    try:
        entries = sorted(folder.iterdir())
    except (OSError, ValueError):
        return []
    packages = [one for one in entries if one.is_dir() and (one / "__init__.py").exists()]
    if strict:
        return [one for one in packages if one.name not in _NEVER]
    modules = [one for one in entries if one.suffix == ".py"]
    spaces = [
        one
        for one in entries
        if one.is_dir() and one not in packages and one.name.isidentifier() and any(one.rglob("*.py"))
    ]
    return [*packages, *modules, *spaces]


def _pyproject(path: Path) -> dict[str, Any]:
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        return table
    except (OSError, ValueError, RecursionError):
        return {}


def _setup_cfg(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text("utf-8"))
    except (OSError, ValueError, configparser.Error):
        return configparser.ConfigParser(interpolation=None)
    return parser


def _at(table: dict[str, Any], *keys: str) -> dict[str, Any]:
    value: Any = table
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _strings(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
