"""Prefixes written by hand, and ways to unpack a package: what the tests of pack and package stand on."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from poncho.pack import PackedPackage, PackOptions, pack

CONDA_PLACEHOLDER = "/opt/builder/" + "placehold_" * 24 + "p"
UNPACKER = Path(__file__).parents[2] / "poncho/runtime/unpack.py"
RELOCATER = UNPACKER.with_name("relocate.py")


def conda_binary(prefix: Path, before: bytes, suffix: bytes, after: bytes) -> bytes:
    """Return a binary as conda installs it: the prefix in a C string, as many NULs behind as the placeholder was longer."""
    path = os.fsencode(prefix)
    spare = len(CONDA_PLACEHOLDER) - len(path)
    return b"\x00\x01" + before + b"\0" + path + suffix + bytes(spare + 1) + after


def small_prefix(prefix: Path) -> Path:
    """Make a prefix of everything but a working Python: texts, conda binaries, links, odd names, a wheel, conda-meta."""
    files: dict[str, bytes | str] = {
        "bin/tool": f"#!/bin/sh\necho {prefix}/share\n",
        "bin/hello": f"#!{prefix}/bin/python3.11\nimport sys\nprint('hello', sys.argv[1:])\n",
        "bin/python3.11": '#!/bin/sh\nprintf "python %s\\n" "$@"\n',
        "etc/settings.ini": f"[paths]\nroot={prefix}\nother={prefix}2/x\nagain={prefix}/lib:{prefix}/bin\n",
        "lib/plain.txt": "nothing special\n",
        "lib/binary.so": conda_binary(prefix, b"head", b"/share:x", b"tail"),
        "share/empty": b"",
        "share/with space/ünï.txt": "x",
        "share/" + "long" * 30 + "/" + "name" * 30: "a name that ustar cannot hold",
        "share/zeros": bytes(3000),
        "lib/python3.11/site-packages/thing/__init__.py": "VALUE = 1\n",
    }
    for name, content in files.items():
        path = prefix / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        if name.startswith("bin/"):
            path.chmod(0o755)
    (prefix / "empty").mkdir()
    (prefix / "lib/absolute").symlink_to(prefix / "etc/settings.ini")
    (prefix / "lib/relative").symlink_to("../share")
    (prefix / "lib/dangling").symlink_to("nothing-here")
    conda_record(prefix, "thing-tools", ["bin/tool", "lib/binary.so", "etc/settings.ini"], {"lib/binary.so": "binary"})
    (prefix / "conda-meta/history").write_text("==> 2024 <==\n# cmd: conda create\n")
    wheel(prefix, "thing", "1.0", ["thing/__init__.py", "../../../bin/hello"])
    return prefix


def conda_record(prefix: Path, name: str, files: list[str], modes: Mapping[str, str], **more: object) -> None:
    """Write a conda-meta record."""
    paths = [
        {"_path": file, "path_type": "hardlink"}
        | ({"file_mode": modes[file], "prefix_placeholder": CONDA_PLACEHOLDER} if file in modes else {})
        for file in files
    ]
    record = {"name": name, "version": "2", "build": "h1_0", "files": files, "paths_data": {"paths": paths}, **more}
    meta = prefix / "conda-meta"
    meta.mkdir(exist_ok=True)
    (meta / f"{name}-2-h1_0.json").write_text(json.dumps(record))


def wheel(prefix: Path, name: str, version: str, files: list[str], **extra: str) -> Path:
    """Write a dist-info directory as pip does, with hashes; ``extra`` are further files in it. Return its path."""
    site = prefix / "lib/python3.11/site-packages"
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\n")
    for file, text in extra.items():
        (info / file.replace("_json", ".json")).write_text(text)
    lines = []
    for file in [*files, *(f"{info.name}/{path.name}" for path in info.iterdir())]:
        data = (site / file).read_bytes()
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{file},sha256={digest},{len(data)}\n")
    (info / "RECORD").write_text("".join(lines) + f"{info.name}/RECORD,,\n")
    return info


def packed(prefix: Path, output: Path, **how: object) -> PackedPackage:
    """Pack with an empty spec and lock; options may be given by name."""
    names = PackOptions.__dataclass_fields__
    options = PackOptions(**{key: how.pop(key) for key in list(how) if key in names})  # type: ignore[arg-type]
    return pack(prefix, output, spec_text="{}\n", lock_text="{}\n", options=options, **how)  # type: ignore[arg-type]


def unpack_in_parallel(
    archive: Path, directory: Path, *, jobs: int = 3, python: str = sys.executable
) -> subprocess.CompletedProcess[str]:
    """Unpack with the script that travels in every package."""
    argv = [python, "-I", "-S", str(UNPACKER), str(archive), str(directory), "--jobs", str(jobs)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def relocate(directory: Path, to: Path | None = None) -> None:
    """Relocate an unpacked package with the script that travels in it."""
    argv = [sys.executable, "-I", "-S", str(RELOCATER), str(directory), str(to or directory)]
    subprocess.run(argv, check=True, timeout=60)
