"""A conda package of which the cache has a damaged copy is installed as it was packed, however the cache keeps it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from poncho._types import Event
from poncho.engine import native_platform, select_engine
from poncho.install import install_conda
from poncho.lock.model import LockedConda
from poncho.store import BuilderCache
from tests.support.conda_package import CondaPackage, File


@pytest.mark.parametrize("known", ["sha256", "md5"])
def test_a_damaged_copy_is_thrown_away_and_fetched_again(tmp_path: Path, known: str) -> None:
    files = {"share/one.txt": File(b"one"), "share/two.txt": File(b"two")}
    archive = CondaPackage("same", "1.0", files).write(tmp_path / "channel")
    url = f"{(tmp_path / 'channel').as_uri()}/{native_platform()}/{archive.name}"
    digest = hashlib.new(known, archive.read_bytes(), usedforsecurity=False).hexdigest()
    sha256, md5 = (digest, None) if known == "sha256" else (None, digest)
    record = LockedConda("same", "1.0", "h0_0", native_platform(), "", url, sha256=sha256, md5=md5)
    cache = BuilderCache(tmp_path / "cache")
    engine = select_engine(None, cache=cache)

    def install(name: str) -> list[str]:
        said: list[Event] = []
        install_conda(
            [record], tmp_path / name, engine=engine, platform=native_platform(), cache=cache, reporter=said.append
        )
        assert [(tmp_path / name / file).read_bytes() for file in files] == [b"one", b"two"]
        return [event.message for event in said if event.kind == "warning"]

    assert install("first") == []
    (kept,) = (path for path in (cache.root / "conda/pkgs").glob("same-*") if path.is_dir())
    (kept / "share/one.txt").unlink()
    (kept / "share/one.txt").write_bytes(b"eno")
    why = "the cache's copy of conda package same is damaged"
    assert install("second") == [f"{why} (share/one.txt is not what was packed into it): it is fetched again"]
    (kept / "share/two.txt").unlink()
    assert install("third") == [f"{why}: it is fetched again"]
    assert install("fourth") == []
