"""Small packages written by hand, straight from docs/format.md, not by the packer."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import platform
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUNNER = ROOT / "bin" / "poncho_package_run"
RUNTIME = ROOT / "poncho" / "runtime"
PLACEHOLDER = ("/poncho" + "_placeholder" * 21)[:255]

SAY = '#!/bin/sh\necho "$@"\n'
# What a script of another language looks like in a conda package: the prefix in its first line and in its text.
TOOL = f"#!{PLACEHOLDER}/bin/say --from {PLACEHOLDER}/bin\nprefix={PLACEHOLDER}\nagain {PLACEHOLDER}{PLACEHOLDER}/x\n"


@dataclass
class Handmade:
    """An environment in the making: paths to contents, links, and the texts and binaries that hold the placeholder."""

    files: dict[str, str | bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str | bytes] = field(default_factory=dict)
    binaries: dict[str, Sequence[tuple[int, int, bytes]]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    scripts: Sequence[str] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    boot: Sequence[str] = ()
    python: bool = False
    first_members: Sequence[tarfile.TarInfo] = ()

    def members(self) -> dict[str, bytes]:
        """Return every regular file, poncho/contents and the manifest left out."""
        files = {"bin/say": SAY, "conda-meta/history": "", "conda_spec.yml": "{}\n", **self.files}
        for name in ("run_in_env", "conda-unpack"):
            files[f"bin/{name}"] = (RUNTIME / name).read_bytes()
        files["bin/poncho_package_run"] = RUNNER.read_bytes()
        files["poncho/lock.json"] = "{}\n"
        files["poncho/env.sh"] = self._env_sh()
        files["poncho/relocate.py"] = (RUNTIME / "relocate.py").read_bytes()
        if self.python:
            files["bin/python3"] = f'#!/bin/sh\nexec {sys.executable} "$@"\n'
        records = ["poncho-relocation 1", f"placeholder\t{PLACEHOLDER}"]
        for number, (path, text) in enumerate(sorted(self.texts.items()), 1):
            files[path] = text
            files[f"poncho/templates/{number}"] = text
            records.append(f"text\t{number}\t{path}")
        for path, slots in sorted(self.binaries.items()):
            data = bytearray(_bytes(files[path]))
            for offset, size, template in slots:
                data[offset : offset + size] = template.ljust(size, b"\0")[:size]
                escaped = template.replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\n", b"\\n")
                records.append(f"binary\t{offset}\t{size}\t{escaped.decode()}\t{path}")
            files[path] = bytes(data)
        if len(records) > 2:
            files["poncho/relocation"] = "\n".join(records) + "\n"
        return {path: _bytes(data) for path, data in files.items()}

    def _env_sh(self) -> str:
        lines = [
            'PATH="$_poncho_prefix/bin${PATH:+:$PATH}"',
            "CONDA_PREFIX=$_poncho_prefix CONDA_DEFAULT_ENV=$_poncho_prefix CONDA_SHLVL=1 PYTHONNOUSERSITE=1",
            "export PATH CONDA_PREFIX CONDA_DEFAULT_ENV CONDA_SHLVL PYTHONNOUSERSITE",
            "unset PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONEXECUTABLE VIRTUAL_ENV __PYVENV_LAUNCHER__",
        ]
        lines += [f'export {name}="$_poncho_prefix"/{path}' for name, path in self.variables.items()]
        if self.scripts:
            lines.append("_poncho_activate_d='" + "\n".join(self.scripts) + "'")
        return "\n".join(lines) + "\n"

    def write(self, path: Path) -> str:
        """Write the package; return its digest."""
        files = self.members()
        manifest = (json.dumps({"format": 1}) + "\n").encode()
        files["poncho/manifest.json"] = manifest
        lines = [
            f"{hashlib.sha256(data).hexdigest()}\t{_mode(name, data):04o}\t{len(data)}\t{name}"
            for name, data in files.items()
        ]
        lines += [f"link\t{target}\t{name}" for name, target in self.links.items()]
        files["poncho/contents"] = ("\n".join(sorted(lines, key=lambda line: line.rsplit("\t", 1)[1])) + "\n").encode()
        digest = hashlib.sha256(files["poncho/contents"] + manifest).hexdigest()
        groups = [
            list(self.boot),
            *([name] for name in sorted(files, key=lambda n: (n.startswith("poncho/"), n)) if name not in self.boot),
        ]
        packed = [_gzip(_tar(files, group)) for group in groups if group]
        links = _gzip(b"".join(_header(_link(name, target)) for name, target in self.links.items()))
        extra = _gzip(b"".join(_header(info) for info in self.first_members))
        facts: dict[str, object] = {
            "platform": node_platform(),
            "glibc": 0,
            "files": len(files),
            "bytes": sum(map(len, files.values())),
            "boot": 0,
        }
        header = _comment(digest, facts | dict(self.facts))
        if self.boot:
            facts["boot"] = len(header) + len(packed[0])
            header = _comment(digest, facts | dict(self.facts))
        end = len(packed) - 1
        whole = [
            header,
            *packed[:end],
            extra,
            links,
            packed[end],
            _gzip(bytes(1024)),
            _extra(b"PI", bytes(8)),
            _extra(b"PF", bytes(60)),
        ]
        path.write_bytes(b"".join(whole))
        return digest

    def unpack(self, directory: Path) -> Path:
        """Lay the environment out in ``directory``, as plain tar does with a package."""
        directory.mkdir(parents=True, exist_ok=True)
        package = directory.with_name(directory.name + ".handmade.tar.gz")
        self.write(package)
        with tarfile.open(package) as archive:
            archive.extractall(directory, filter="data")
        package.unlink()
        return directory


def plain(**changes: object) -> Handmade:
    """Return an environment that needs relocation: a text, a script and a binary hold the prefix."""
    slot = b"lib=" + PLACEHOLDER.encode() + b"/lib"
    made = Handmade(
        files={"lib/blob": b"\x7fELF" + bytes(1000) + b"end", "share/empty": "", "lib/ünï cödé": "x"},
        links={"bin/shout": "say", "lib64": "lib"},
        texts={"bin/tool": TOOL, "etc/settings": f"root = {PLACEHOLDER}\nno newline at the end"},
        binaries={"lib/blob": [(20, 300, slot), (400, 270, PLACEHOLDER.encode() + b"\\n\tb")]},
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def node_platform() -> str:
    """Return conda's name for this machine."""
    machine = platform.machine()
    return {"x86_64": "linux-64"}.get(machine, f"linux-{machine}")


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data


def _mode(name: str, data: bytes) -> int:
    return 0o755 if data.startswith(b"#!") else 0o644


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0) if data else b""


def _comment(digest: str, facts: Mapping[str, object]) -> bytes:
    line = " ".join(f"{key}={value}" for key, value in facts.items()).ljust(127)
    text = f"PONCHO-PACKAGE 1\n{digest[:32]}\n{digest[32:]} {line}\n".encode()
    return bytes.fromhex("1f8b08100000000000ff") + text + b"\0\x03\0" + bytes(8)


def _extra(kind: bytes, payload: bytes) -> bytes:
    data = kind + len(payload).to_bytes(2, "little") + payload
    return bytes.fromhex("1f8b08040000000000ff") + len(data).to_bytes(2, "little") + data + b"\x03\0" + bytes(8)


def _tar(files: Mapping[str, bytes], names: Sequence[str]) -> bytes:
    parts = []
    for name in names:
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = len(files[name]), _mode(name, files[name]), 1_000_000_000
        parts += [_header(info), files[name], bytes(-len(files[name]) % 512)]
    return b"".join(parts)


def _link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.GNU_FORMAT)


CONDA_UNPACK = """\
#!/usr/bin/env python
import os
{replace}
_prefix_records = [
{records}
]

if __name__ == '__main__':
    script_dir = os.path.dirname(__file__)
    new_prefix = os.path.abspath(os.path.dirname(script_dir))
    for path, placeholder, mode in _prefix_records:
        update_prefix(os.path.join(new_prefix, path), new_prefix, placeholder, mode=mode)
"""


def foreign(
    path: Path,
    *,
    prefix: str = "/opt/build" + "_placehold" * 20,
    files: Mapping[str, str | bytes] | None = None,
    compression: str = "gz",
) -> None:
    """Write what conda-pack writes: a plain tarball with ``bin/conda-unpack``, conda-pack's own code in it."""
    import conda_pack

    replace = (Path(conda_pack.__file__).parent / "prefixes.py").read_text()
    found = {
        "bin/say": SAY,
        "bin/activate": "echo activated\n",
        "bin/python": f'#!/bin/sh\nexec {sys.executable} "$@"\n',
        "bin/where": f"#!/bin/sh\n# {prefix}/bin\necho {prefix}\n",
        "lib/blob": prefix.encode() + b"/lib" + bytes(300) + b"end",
        "conda-meta/history": "",
        **(files or {}),
    }
    records = ",\n".join(
        repr((name, prefix, mode))
        for name, mode in (("bin/where", "text"), ("lib/blob", "binary"), ("bin/say", "text"))
    )
    found["bin/conda-unpack"] = CONDA_UNPACK.format(replace=replace, records=records)
    with tarfile.open(path, f"w:{compression}") as archive:
        for name, data in found.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(_bytes(data)), _mode(name, _bytes(data))
            archive.addfile(info, io.BytesIO(_bytes(data)))


def tree(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Return mode and content (or link target) of everything below ``directory``."""
    found = {}
    for parent, directories, files in os.walk(directory):
        for name in (*directories, *files):
            path = Path(parent, name)
            relative = str(path.relative_to(directory))
            if path.is_symlink():
                found[relative] = (0, os.readlink(path).encode())
            elif path.is_file():
                found[relative] = (path.stat().st_mode & 0o777, path.read_bytes())
    return found
