"""Make ``poncho/analysis/data/imports.tsv`` again, from the public maps that are installed: conda-pypi and depfinder.

    python benchmarks/name_tables.py > poncho/analysis/data/imports.tsv

A row: an import; the projects that conda-pypi names for it; the project that depfinder names. Imports for which both, or
the only one that knows it, name just the project of the import's own name are left out.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import yaml
from measure import CHECKOUT

sys.path.insert(0, str(CHECKOUT))

from poncho.analysis.editable import canonical

_IMPORT = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")


def _inside(package: str, name: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{package} is not installed")
    return Path(spec.origin).with_name(name) if "/" not in name else Path(spec.origin).parent / name


def main() -> None:
    """Print the table."""
    first: dict[str, set[str]] = {}
    second: dict[str, set[str]] = {}
    for row in json.loads(_inside("conda_pypi", "grayskull_pypi_mapping.json").read_text()).values():
        if _IMPORT.fullmatch(row["import_name"] or "") and not re.fullmatch(r"[0-9a-f]{40,}", row["pypi_name"]):
            first.setdefault(row["import_name"], set()).add(canonical(row["pypi_name"]))
    for row in yaml.safe_load(_inside("depfinder", "pkg_data/name_mapping.yml").read_text()):
        name = row.get("import_name") or ""
        if _IMPORT.fullmatch(name) and not re.fullmatch(r"[0-9a-f]{40,}", row.get("pypi_name") or "0" * 40):
            second.setdefault(name, set()).add(canonical(row["pypi_name"]))
    for name in sorted({*first, *second}):
        one, other = first.get(name, set()), second.get(name, set())
        if one | other != {canonical(name)}:
            print(name, ",".join(sorted(one)) or "-", ",".join(sorted(other)) or "-", sep="\t")


if __name__ == "__main__":
    main()
