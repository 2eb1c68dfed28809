"""A small spec with something of several kinds, on a loopback server, and a cache that is shared by the tests here."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.channel import Channel
from tests.support.httpserver import HttpServer


@pytest.fixture
def small_spec(channel: Channel, tmp_path: Path) -> Iterator[Path]:
    """Yield a spec: conda packages over http, a file of some megabytes. Built in about a second."""
    with HttpServer() as web:
        web.put("/events.bin", os.urandom(3_000_000))
        spec = {
            "conda": {"channels": [channel.url], "dependencies": ["text-prefix", "ladder=1.2"]},
            "http": {"EVENTS": {"url": web.url("/events.bin")}},
        }
        (tmp_path / "spec.json").write_text(json.dumps(spec))
        yield tmp_path / "spec.json"
