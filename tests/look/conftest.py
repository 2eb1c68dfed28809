"""A package with all that one can hold: conda packages, distributions, data, odd names; and a browser to see it in."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from poncho.lock.codec import dumps
from poncho.lock.model import Lock, LockedConda, LockedGit, LockedHttp, LockedPip
from poncho.pack import PackedPackage, PackOptions, pack
from tests.support.prefixes import small_prefix, wheel

COMMIT = "c0ebf9308856" + "0" * 28
LOCK = Lock(
    platform="linux-64",
    spec_digest="0" * 64,
    channels=("https://channel.example/mine",),
    conda=(
        LockedConda(
            "thing-tools",
            "2",
            "h1_0",
            "linux-64",
            "https://channel.example/mine",
            "https://channel.example/mine/linux-64/thing-tools-2-h1_0.conda",
            sha256="1" * 64,
            md5="2" * 32,
            record={"license": "BSD-3-Clause", "depends": ["thing >=1", "__glibc >=2.17"]},
        ),
    ),
    pip=(LockedPip("thing", "1.0", "thing==1.0", sha256="3" * 64), LockedPip("mine", "0.1", "./mine")),
    git={"CALIBRATION": LockedGit("https://git.example/calibration.git", COMMIT, ref="v1")},
    http={"EVENTS": LockedHttp("https://files.example/events.csv", "4" * 64, 12)},
)
SPEC = {
    "conda": {"channels": ["mine"], "dependencies": ["thing-tools", {"pip": ["thing"]}]},
    "note": "</script><script>pwned=1</script>",
}
ODD = (
    "share/<img src=x onerror=pwned=1>",
    "share/&lt;b&gt; \"quoted\" 'too'",
    "share/\x1b[31mred\x07",
    "share/\u202etxt.exe",
    os.fsdecode(b"share/not utf-8 \xff\xfe"),
    "share/new\nline",
    "share/${alert(1)} `x` @@data@@",
)


def full_prefix(prefix: Path) -> Path:
    """Make a prefix with odd names, a large file, and distributions that say who they are."""
    small_prefix(prefix)
    for name in ODD:
        (prefix / name).write_bytes(b"odd")
    site = prefix / "lib/python3.11/site-packages"
    for name in ("mine", "other_one"):
        (site / name).mkdir()
        (site / name / "__init__.py").write_text(f"# {name}\n" * 40)
    (site / "mine/lib.so").write_bytes(bytes(range(256)) * 4000)
    wheel(prefix, "mine", "0.1", ["mine/__init__.py", "mine/lib.so"])
    info = wheel(prefix, "other_one", "3.1", ["other_one/__init__.py"])
    (info / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: Other.One\nVersion: 3.1\nSummary: Another one\nLicense-Expression: mit OR apache-2.0\n"
        "Project-URL: Homepage, https://other.example\nRequires-Dist: thing (>=1)\n"
        'Requires-Dist: absent; python_version < "3"\nRequires-Dist: mine; extra == "all"\n\nLong words.\n'
    )
    return prefix


def full_package(directory: Path, name: str = "env.tar.gz", **how: Any) -> PackedPackage:
    """Pack such a prefix with a spec, a lock, and git and http data."""
    prefix = directory / "env"
    if not prefix.exists():
        full_prefix(prefix)
        data = directory / "data"
        (data / "CALIBRATION").mkdir(parents=True)
        (data / "CALIBRATION/table.txt").write_text("1 2 3\n")
        (data / "EVENTS").mkdir()
        (data / "EVENTS/events.csv").write_text("a,b\n1,2\n3,4\n")
    return pack(
        prefix,
        directory / name,
        data=directory / "data",
        variables={"CALIBRATION": "poncho/data/CALIBRATION", "EVENTS": "poncho/data/EVENTS/events.csv"},
        spec_text=json.dumps(SPEC),
        lock_text=dumps(LOCK),
        options=PackOptions(**how),
    )


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> PackedPackage:
    """Return the package. Read only."""
    return full_package(tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Yield a real browser; skip where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no chromium here")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()
