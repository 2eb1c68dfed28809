"""What was solved is not solved again, as long as it would come out the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from poncho._types import Event
from poncho.engine import SolveRequest, native_platform
from poncho.engine.rattler import RattlerEngine
from poncho.engine.remembered import RememberingEngine
from poncho.lock.model import LockedConda
from poncho.store import BuilderCache
from tests.support.channel import Channel
from tests.support.conda_package import CondaPackage, index, text
from tests.support.server import FileServer


@dataclass
class Bench:
    """A remembering engine; ``solved`` counts how often the real one was asked."""

    engine: RememberingEngine
    events: list[Event] = field(default_factory=list)

    def solve(self, *channels: str, spec: str = "ladder", **options: object) -> tuple[LockedConda, ...]:
        request = SolveRequest(channels, (spec,), native_platform(), **options)  # type: ignore[arg-type]
        return self.engine.solve(request, reporter=self.events.append)

    @property
    def solved(self) -> int:
        return sum(event.kind == "start" and event.step == "solve" for event in self.events)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    cache = BuilderCache(tmp_path / "cache")
    return Bench(RememberingEngine(RattlerEngine(cache), cache))


def test_the_same_request_is_solved_once_and_another_one_anew(bench: Bench, channel: Channel) -> None:
    first = bench.solve(channel.file_url)
    assert bench.solve(channel.file_url) == first
    assert bench.solved == 1
    assert bench.solve(channel.file_url, spec="ladder<2") != first
    assert bench.solve(channel.file_url, channel.second.file_url) != ()
    assert bench.solved == 3
    bench.solve(channel.file_url, virtual_packages=("__glibc=2.17=0",))
    assert bench.solved == 4


def test_a_channel_that_changed_is_solved_again(bench: Bench, channel: Channel, tmp_path: Path) -> None:
    folder = channel.copy(tmp_path / "own")
    old = bench.solve(folder.as_uri())
    CondaPackage("ladder", "9.0", files={"share/ladder.txt": text("9\n")}).write(folder)
    index(folder)
    new = bench.solve(folder.as_uri())
    assert (old[0].version, new[0].version) == ("2.0", "9.0")


def test_channels_on_a_server_are_left_to_the_engine_and_nothing_of_them_is_kept(
    bench: Bench, channel_server: Callable[..., FileServer]
) -> None:
    server = channel_server(basic=("user", "s3cret"))
    for _ in range(2):
        bench.solve(server.url_with_credentials)
    assert bench.solved == 2
    kept = [path for path in (bench.engine.cache.root / "solve").rglob("*") if path.is_file()]
    assert not any(b"ladder" in path.read_bytes() for path in kept)


def test_virtual_packages_are_detected_once_and_anew_for_other_overrides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = BuilderCache(tmp_path / "cache")
    engine = RememberingEngine(RattlerEngine(cache), cache)
    first = engine.virtual_packages(native_platform())
    assert (
        engine.virtual_packages(native_platform()) == first == RattlerEngine(cache).virtual_packages(native_platform())
    )
    monkeypatch.setenv("CONDA_OVERRIDE_CUDA", "12.4")
    assert "__cuda=12.4=0" in engine.virtual_packages(native_platform())


def test_a_post_link_script_writes_into_the_prefix_and_not_into_the_package_cache(
    channel: Channel, tmp_path: Path
) -> None:
    folder = channel.copy(tmp_path / "own")
    CondaPackage(
        "scribbler",
        "1.0",
        files={
            "etc/settings": text("first\n"),
            "bin/.scribbler-post-link.sh": text('echo second >> "$PREFIX/etc/settings"\n', executable=True),
        },
    ).write(folder)
    index(folder)
    cache = BuilderCache(tmp_path / "cache")
    bench = Bench(RememberingEngine(RattlerEngine(cache), cache))
    records = bench.solve(folder.as_uri(), spec="scribbler")
    for number in range(2):
        prefix = tmp_path / f"env{number}"
        bench.engine.install(records, prefix, platform=native_platform(), offline=False, reporter=bench.events.append)
        assert (prefix / "etc/settings").read_text() == "first\nsecond\n"
    (cached,) = cache.root.glob("conda/pkgs/scribbler-*/etc/settings")
    assert hashlib.sha256(cached.read_bytes()).hexdigest() == hashlib.sha256(b"first\n").hexdigest()
