"""Each sample in specs/ is built, and what it promises runs.

The samples name public hosts and the channel ``conda-forge``. Here those are the tests' own servers and channel: the text of the
sample is changed in nothing else.
"""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import packages
from tests.support.channel import Channel
from tests.support.cli import CHECKOUT, run_cli
from tests.support.server import FileServer, serve

SAMPLES = sorted(
    path.name for path in (CHECKOUT / "specs").iterdir() if path.name not in ("spec.schema.json", "README.md")
)
PROOF = {
    "python-only.json": "import numpy, pandas; print(pandas.Series(numpy.arange(3)).sum() == 3)",
    "conda-and-pip.json": "import numpy, humanize; print(numpy.arange(3).sum() == 3)",
    "with-data.json": (
        "import os, numpy; e = os.environ;"
        "print(numpy.loadtxt(e['EVENTS'], delimiter=',', skiprows=1).sum() == 3"
        " and open(e['CALIBRATION'] + '/scale.txt').read() == '1.01'"
        " and os.listdir(e['GEOMETRY']) == ['barrel.txt'])"
    ),
    "oldest-dialect.json": "import numpy, humanize; print(humanize.intcomma(1000) == '1,000')",
    "packages-dialect.json": "import numpy, humanize; print(humanize.intcomma(1000) == '1,000')",
    "environment.yml": "import numpy, humanize; print(humanize.intcomma(1000) == '1,000')",
    "requirements.txt": "import numpy, humanize; print(humanize.intcomma(1000) == '1,000')",
    "script.py": "import humanize; print(humanize.intcomma(1000) == '1,000')",
}


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Yield what stands for the public hosts of the samples."""
    root = tmp_path_factory.mktemp("hosts")
    work = root / "calibration"
    (work / "constants").mkdir(parents=True)
    (work / "constants" / "scale.txt").write_text("1.01")
    git = ["git", "-C", str(work), "-c", "user.name=Tests", "-c", "user.email=tests@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "constants"], ["tag", "v1.0"]):
        subprocess.run([*git, *words], check=True)
    web = root / "web"
    web.mkdir()
    (web / "events.csv.gz").write_bytes(gzip.compress(b"x,y\n1,2\n"))
    with tarfile.open(web / "geometry.tar.xz", "w:xz") as archive:
        member = tarfile.TarInfo("barrel.txt")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"1"))
    with serve(FileServer(web)) as server:
        yield {
            "https://git.example.org/experiment/calibration.git": str(work),
            "https://data.example.org": server.url,
        }


def test_every_sample_has_a_proof():
    assert set(SAMPLES) == set(PROOF)


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("name", SAMPLES)
def test_sample_is_built_and_runs(name: str, channel: Channel, hosts: dict[str, str], tmp_path: Path):
    text = (CHECKOUT / "specs" / name).read_text()
    for public, local in {**hosts, "conda-forge": channel.url}.items():
        text = text.replace(public, local)
    (tmp_path / name).write_text(text)
    package = tmp_path / "env.tar.gz"
    run_cli("poncho_package_create", tmp_path / name, package).ok()
    result = packages.run_in(package, "python", "-c", PROOF[name]).ok()
    assert result.stdout.strip() == "True"
