"""Hazard 21 for a look inside: whatever a package says of itself, only PONCHO's own errors come out, in one line."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poncho.errors import PonchoError
from poncho.look import look
from poncho.look.difference import compare
from poncho.look.page import make_page
from poncho.look.sbom import bill_of_materials
from poncho.pack import manifest
from poncho.package import verify
from poncho.package.unpack import unpack
from tests.hostile.test_packages import package

FULL = os.environ.get("PONCHO_TEST_FULL") == "1"
often = settings(
    max_examples=1500 if FULL else 60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

words = st.text(max_size=12) | st.sampled_from(
    ["conda", "pip", "name", "\ud800", "</script>", "\x1b[2J", "../..", "", "1" * 5000]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | words
values = st.recursive(
    scalars, lambda below: st.lists(below, max_size=3) | st.dictionaries(words, below, max_size=3), max_leaves=8
)

GOOD_MANIFEST: dict[str, Any] = {
    "format": 1,
    "platform": "linux-64",
    "python": "3.11.7",
    "requires": {"platform": "linux-64", "glibc": "2.17", "cpu": None},
    "packages": [{"name": "say", "version": "1", "build": "0", "kind": "conda"}],
    "variables": {"DATA": "poncho/data/DATA"},
    "epoch": 0,
    "relocation": {"text": 0, "binary": 0},
    "totals": {"files": 2, "links": 0, "bytes": 0},
}
GOOD_LOCK: dict[str, Any] = {
    "poncho_lock": 1,
    "platform": "linux-64",
    "spec_digest": "0" * 64,
    "virtual_packages": [],
    "channels": ["mine"],
    "base": None,
    "conda": [
        {
            "name": "say",
            "version": "1",
            "build": "0",
            "subdir": "noarch",
            "channel": "mine",
            "url": "https://x.example/a.conda",
        }
    ],
    "pip": [{"name": "thing", "version": "1", "requirement": "thing==1", "sha256": "0" * 64}],
    "git": {"DATA": {"remote": "https://x.example/r.git", "commit": "0" * 40}},
    "http": {},
}
OWNERS = b"poncho-owners 1\n1\tconda\tsay\n1\t-\t\n"


def _changed(draw: Callable[..., Any], value: Any) -> Any:
    """Put something else into one place of a JSON value."""
    if not isinstance(value, (dict, list)) or not value or draw(st.integers(0, 4)) == 0:
        return draw(values)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = draw(st.sampled_from(keys))
    changed: Any = dict(value) if isinstance(value, dict) else list(value)
    if draw(st.integers(0, 5)) == 0:
        del changed[key]
    else:
        changed[key] = _changed(draw, value[key])
    return changed


changed_manifest = st.composite(lambda draw: _changed(draw, GOOD_MANIFEST))()
changed_lock = st.composite(lambda draw: _changed(draw, GOOD_LOCK))()
json_bytes = st.sampled_from([b"", b"[" * 100_000, b"{", b"\xff", b'{"a":' * 30_000, b"9" * 6000])


def _text(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def write(path: Path, texts: Mapping[str, bytes], listed: bytes | None = None) -> Path:
    """Write one of our packages, all framing and its digest right, with these files in it."""
    files = {"bin/say": b"", "share/x": b"x", **texts}
    described = files.pop(manifest.MANIFEST)
    whole = [*files.items(), (manifest.MANIFEST, described)]
    lines = [(name, hashlib.sha256(data).hexdigest(), len(data)) for name, data in whole]
    contents = b"".join(f"{digest}\t0644\t{size}\t{name}\n".encode() for name, digest, size in sorted(lines))
    contents = contents if listed is None else listed
    raw = b""
    for name, data in [*whole, (manifest.CONTENTS, contents)]:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        raw += info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)
    size = sum(map(len, files.values())) + len(described) + len(contents)
    return package(path, raw, files=len(files) + 2, size=size, digest=manifest.digest(contents, described))


def everything(path: Path) -> None:
    """Do all that can be done with a package; let PONCHO's own errors pass."""

    def page() -> None:
        text = make_page(look(path))
        assert text.encode().count(b"</script>") == 2

    def bill() -> None:
        json.dumps(bill_of_materials(path)).encode()

    directory = path.with_name("unpacked")
    acts: list[Callable[[], object]] = [
        page,
        bill,
        lambda: json.dumps(compare(path, path).to_json()),
        lambda: verify(path),
        lambda: unpack(path, directory),
    ]
    _attempt(*acts)
    if directory.exists():
        _attempt(lambda: look(directory), lambda: compare(path, directory))
        shutil.rmtree(directory)


def _attempt(*acts: Callable[[], object]) -> None:
    said = []
    for act in acts:
        try:
            act()
        except PonchoError as error:
            said.append(error.message)
    assert not [message for message in said if "\n" in message]


@often
@given(changed_manifest | json_bytes)
def test_any_manifest(value: Any) -> None:
    with TemporaryDirectory() as directory:
        texts = {manifest.MANIFEST: _text(value), "poncho/owners": OWNERS}
        everything(write(Path(directory, "x.tar.gz"), texts))


@often
@given(changed_lock | json_bytes, values | json_bytes)
def test_any_lock_and_any_spec(lock: Any, spec: Any) -> None:
    with TemporaryDirectory() as directory:
        texts = {manifest.MANIFEST: _text(GOOD_MANIFEST), "poncho/owners": OWNERS + b"1\t-\t\n"}
        texts |= {"poncho/lock.json": _text(lock), "conda_spec.yml": _text(spec)}
        everything(write(Path(directory, "x.tar.gz"), texts))


@often
@given(
    st.binary(max_size=60) | st.lists(st.sampled_from([b"1", b"\t", b"\n", b"conda", b"-", b"pip", b"2"])).map(b"".join)
)
def test_any_list_of_owners_and_contents(data: bytes) -> None:
    with TemporaryDirectory() as directory:
        good = {manifest.MANIFEST: _text(GOOD_MANIFEST)}
        everything(write(Path(directory, "x.tar.gz"), {**good, "poncho/owners": b"poncho-owners 1\n" + data}))
        everything(write(Path(directory, "y.tar.gz"), good, listed=data))


record = st.fixed_dictionaries(
    {"name": words | values, "version": words | values},
    optional=dict.fromkeys(
        ("build", "files", "paths_data", "license", "depends", "fn", "subdir", "url", "summary"), values
    ),
)
FIELDS = [
    "Name: a",
    "Version: 1",
    "License: MIT",
    "Requires-Dist: b; extra ==",
    "Requires-Dist: (",
    "Name:",
    "\n",
    "Name: \udcff",
]
metadata = st.lists(st.sampled_from(FIELDS) | st.text(max_size=30), max_size=6).map(
    lambda lines: "\n".join(lines).encode("utf-8", "surrogatepass")
)


@often
@given(record | values | json_bytes, metadata | st.binary(max_size=80), st.binary(max_size=80))
def test_any_metadata_in_archives_of_others_and_directories(value: Any, about: bytes, listed: bytes) -> None:
    with TemporaryDirectory() as directory:
        site = "lib/python3.11/site-packages/a-1.dist-info"
        files = {
            "conda-meta/say-1-0.json": _text(value),
            f"{site}/METADATA": about,
            f"{site}/RECORD": listed,
            "bin/say": b"",
        }
        path = Path(directory, "x.tar")
        with tarfile.open(path, "w") as archive:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        everything(path)


@often
@given(st.data())
def test_any_tar_header(data: st.DataObject) -> None:
    """A valid header with some of its bytes changed, its checksum right again or not."""
    with TemporaryDirectory() as directory:
        info = tarfile.TarInfo(data.draw(st.sampled_from(["a", "lib/b", "d" * 120, "conda-meta/x.json"])))
        info.size = 3
        head = bytearray(info.tobuf(tarfile.GNU_FORMAT))
        for place in data.draw(st.lists(st.integers(0, len(head) - 1), max_size=6)):
            head[place] = data.draw(st.integers(0, 255))
        if data.draw(st.booleans()):
            head[148:156] = b"%06o\0 " % ((sum(head[:148]) + sum(head[156:512]) + 256) & 0o777777)
        body = b"abc" + bytes(509) + bytes(1024)
        (Path(directory) / "x.tar").write_bytes(bytes(head) + body)
        everything(Path(directory) / "x.tar")
        ours = package(Path(directory) / "y.tar.gz", bytes(head) + body[:512], files=3, size=1 << 20)
        everything(ours)


@often
@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: data.decode("latin-1")), st.text(max_size=8))
def test_any_records_of_conda_pack(text: str, name: str) -> None:
    with TemporaryDirectory() as directory:
        for script in (text, f"_prefix_records = {text}", f"_prefix_records = [({name!r}, {text!r}, 'text')]"):
            path = Path(directory, "x.tar")
            data = script.encode("utf-8", "surrogatepass")
            with tarfile.open(path, "w") as archive:
                info = tarfile.TarInfo("bin/conda-unpack")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
            everything(path)


def test_a_large_text_is_not_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("conda-meta/large.json")
    info.size = 1 << 28
    (tmp_path / "x.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20))
    with pytest.raises(PonchoError):
        bill_of_materials(tmp_path / "x.tar")
