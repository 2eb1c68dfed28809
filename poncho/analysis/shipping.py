"""The program's own modules as a wheel, so that a package brings them: what no index has, and no environment.

The wheel is named by its content and lies in the builder's cache; a spec names it as it names other local code. Same
files, same wheel: its members are sorted and carry no time.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from poncho._trees import walk
from poncho.analysis.model import Finding, Place, Tier
from poncho.errors import AnalysisError
from poncho.store import BuilderCache, atomic_file

NAME = "poncho-local-modules"
_MOST_BYTES = 256 << 20
_LITTER = frozenset({"__pycache__", "node_modules", "venv", "__pypackages__"})
_LITTER_ENDS = (".pyc", ".pyo", ".egg-info", ".dist-info", "~", ".swp")
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Shipped:
    """Own modules made into a wheel: what the spec says (PEP 508), the dotted names of those that the program imports,
    and their files. What else lies in their packages is in the wheel too."""

    requirement: str
    version: str
    modules: tuple[str, ...]
    files: tuple[Path, ...]

    def finding(self) -> Finding:
        """Return what the analysis lists for it."""
        return Finding(
            name=NAME,
            requirement=self.requirement,
            manager="pip",
            tier=Tier.REQUIRED,
            imports=tuple(sorted({module.partition(".")[0] for module in self.modules})),
            places=tuple(Place(str(file), 1) for file in self.files),
            evidence="the program's own files",
            version=self.version,
            version_evidence="named by the content of the files",
            installed=False,
            included=True,
        )


def ship(files: Iterable[Path], roots: Sequence[Path], cache: BuilderCache | None = None) -> Shipped | None:
    """Put the modules ``files`` into a wheel and return it; None where there are none.

    A package (``__init__.py``) is taken whole, with its data files; a module alone, or in a directory without
    ``__init__.py``, is one file below the one of ``roots`` in which it is found. Raises AnalysisError when two files are the same
    module, or when all are larger than 256 MiB; StoreError when the wheel cannot be written.
    """
    followed = set(files)
    members = _members(sorted(followed), roots)
    if not members:
        return None
    total = 0
    digest = hashlib.sha256()
    for name, file in sorted(members.items()):
        total += file.stat().st_size
        if total > _MOST_BYTES:
            raise AnalysisError(
                f"the program's own modules are larger than {_MOST_BYTES >> 20} MiB, with the data in their packages",
                hint="move the data out of the package, or install it: pip install -e",
            )
        digest.update(f"{name}\0{file.stat().st_size}\0".encode("utf-8", "surrogateescape") + file.read_bytes())
    version = f"0+{digest.hexdigest()[:16]}"
    stem = f"{NAME.replace('-', '_')}-{version}"
    wheel = (cache or BuilderCache.default()).directory("modules") / f"{stem}-py3-none-any.whl"
    if not wheel.exists():
        with atomic_file(wheel) as private:
            _write(private, members, f"{stem}.dist-info", version)
    modules = tuple(sorted(_modules(name for name, file in members.items() if file in followed)))
    return Shipped(f"{NAME} @ file://{quote(str(wheel))}", version, modules, tuple(sorted(followed)))


def _members(files: Sequence[Path], roots: Sequence[Path]) -> dict[str, Path]:
    members: dict[str, Path] = {}
    whole: set[Path] = set()
    for file in files:
        top = file.parent
        while (top.parent / "__init__.py").is_file() and (top / "__init__.py").is_file():
            top = top.parent
        if (file.parent / "__init__.py").is_file():
            # The directory that holds the topmost package.
            base = _base(top, roots)
            if top not in whole:
                whole.add(top)
                for inside in _below(top):
                    _put(members, inside.relative_to(base).as_posix(), inside)
        else:
            _put(members, file.relative_to(_base(file, roots)).as_posix(), file)
    return members


def _base(path: Path, roots: Sequence[Path]) -> Path:
    """Return the directory on the module path below which a module or top package lies: the nearest."""
    above = [root for root in roots if root != path and path.is_relative_to(root)]
    return max(above, key=lambda root: len(root.parts), default=path.parent)


def _put(members: dict[str, Path], name: str, file: Path) -> None:
    other = members.setdefault(name, file)
    if other != file:
        raise AnalysisError(
            f"{other} and {file} are the same module, {name}",
            hint="rename one of them, or analyse the programs one by one",
        )


def _below(top: Path) -> Iterator[Path]:
    for directory, folders, names in walk(top):
        folders[:] = sorted(
            name
            for name in folders
            if name not in _LITTER and name[:1] != "." and not name.endswith(_LITTER_ENDS)
            and not (Path(directory) / name / "pyvenv.cfg").exists()
        )  # fmt: skip
        for name in sorted(names):
            file = Path(directory) / name
            if name[:1] != "." and not name.endswith(_LITTER_ENDS) and file.is_file():
                yield file


def _modules(members: Iterable[str]) -> Iterator[str]:
    for name in members:
        stem, dot, ending = name.rpartition("/")[2].partition(".")
        if dot and (ending in ("py", "pyw") or ending.endswith("so")) and stem != "__main__":
            parts = [*name.split("/")[:-1], stem]
            yield ".".join(parts[:-1] if stem == "__init__" else parts)


def _write(path: Path, members: dict[str, Path], info: str, version: str) -> None:
    texts = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\n"
        "Summary: the own modules of a program\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: poncho\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:

        def put(name: str, data: bytes) -> None:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
            archive.writestr(entry, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            quoted = f'"{name}"' if "," in name else name
            record.append(f"{quoted},sha256={digest},{len(data)}\n")

        for name, file in sorted(members.items()):
            put(name, file.read_bytes())
        for name, text in texts.items():
            put(name, text.encode())
        put(f"{info}/RECORD", ("".join(record) + f"{info}/RECORD,,\n").encode())
