"""The same spec, resolved to the same things, is the same bytes, wherever and by whomever it is built."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.channel import Channel
from tests.support.cli import command_path, environment


@pytest.mark.network
def test_two_builds_under_other_circumstances_are_one_sha256(channel: Channel, tmp_path: Path):
    dependencies = ["python", "greet", "text-prefix", {"pip": ["humanize==4.9.0"]}]
    spec = {"conda": {"channels": [channel.file_url], "dependencies": dependencies}}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    circumstances = [
        ("a", {"TZ": "UTC", "LC_ALL": "C", "PYTHONHASHSEED": "1"}, 0o022),
        ("b" * 60, {"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "2"}, 0o077),
    ]
    digests = set()
    for name, changes, umask in circumstances:
        work = tmp_path / name
        work.mkdir()
        subprocess.run(
            [command_path("poncho_package_create"), "-q", tmp_path / "spec.json", work / "env.tar.gz"],
            env=environment({**changes, "PONCHO_CACHE_DIR": work / "cache", "HOME": work}),
            preexec_fn=lambda umask=umask: os.umask(umask),
            check=True,
        )
        digests.add(hashlib.sha256((work / "env.tar.gz").read_bytes()).hexdigest())
    assert len(digests) == 1
