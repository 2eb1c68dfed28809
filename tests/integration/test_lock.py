"""``poncho lock`` and building from locks, as a person types it: ours and other tools', stale, tampered, of elsewhere."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import poncho
from poncho.errors import ResolveError
from tests.support import packages
from tests.support.channel import Channel
from tests.support.cli import run_cli
from tests.support.conda_package import CondaPackage, File, index
from tests.support.reference_engine import make_environment
from tests.support.server import FileServer, serve

SIX = {"sha256": "8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254", "version": "1.16.0"}


def write_spec(directory: Path, channel: str, *conda: str, **more: Any) -> Path:
    path = directory / "spec.json"
    path.write_text(json.dumps({"conda": {"channels": [channel], "dependencies": list(conda)}, **more}))
    return path


def records(channel: Channel, *names: str) -> list[dict[str, Any]]:
    """Return the newest record of each package, with its URL."""
    found = []
    for name in names:
        record = channel.records(name)[-1]
        for subdir in (channel.subdir, "noarch"):
            document = json.loads((channel.path / subdir / "repodata.json").read_text())
            for section in ("packages", "packages.conda"):
                for filename, entry in document.get(section, {}).items():
                    if entry == record:
                        found.append({**entry, "url": f"{channel.url}/{subdir}/{filename}"})
    return found


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_same_spec_gives_the_same_bytes_on_stdout_and_in_a_file(channel: Channel, tmp_path: Path):
    spec = write_spec(tmp_path, channel.file_url, "python", "ladder")
    shown = run_cli("poncho", "lock", spec).ok()
    run_cli("poncho", "lock", spec, "-o", tmp_path / "lock.json").ok()
    assert (tmp_path / "lock.json").read_bytes() == shown.stdout_bytes
    lock = json.loads(shown.stdout)
    assert lock["platform"] == channel.subdir
    assert all(item["sha256"] and item["url"].startswith(channel.file_url) for item in lock["conda"])
    assert not list(tmp_path.glob(".*"))


def test_json_says_what_was_locked(channel: Channel, tmp_path: Path):
    spec = write_spec(tmp_path, channel.file_url, "ladder")
    done = run_cli("poncho", "lock", spec, "-o", tmp_path / "lock.json", "--json").ok()
    said = json.loads(done.stdout)
    assert (said["conda"], said["pip"], said["lock"]) == (1, 0, str(tmp_path / "lock.json"))
    assert said["bytes"] > 0


def test_a_lock_on_standard_input_is_built(channel: Channel, tmp_path: Path):
    spec = write_spec(tmp_path, channel.file_url, "ladder=1.0")
    lock = run_cli("poncho", "lock", "-", stdin=spec.read_bytes()).ok().stdout_bytes
    run_cli("poncho_package_create", "-", tmp_path / "env.tar.gz", stdin=lock).ok()
    assert packages.installed(tmp_path / "env.tar.gz") == {"ladder-1.0"}


def test_update_moves_the_lock_in_place_and_says_what_moved(channel: Channel, tmp_path: Path):
    root = channel.copy(tmp_path / "c")
    spec = write_spec(tmp_path, root.as_uri(), "ladder", "greet")
    lock = tmp_path / "lock.json"
    run_cli("poncho", "lock", spec, "-o", lock).ok()
    old = json.loads(lock.read_text())
    newest = next(item for item in old["conda"] if item["name"] == "ladder")
    before = channel.records("ladder")[0]
    # As if the lock had been made when only the first version was there.
    first = {**newest, "version": before["version"], "build": before["build"], "sha256": before["sha256"]}
    first["url"] = f"{root.as_uri()}/noarch/ladder-1.0-h0_0.tar.bz2"
    lock.write_text(json.dumps({**old, "conda": [first if i["name"] == "ladder" else i for i in old["conda"]]}))
    done = run_cli("poncho", "lock", spec, "-o", lock, "--update", "ladder").ok()
    assert "ladder 1.0 h0_0 → 2.0 h0_0 (conda)" in done.stderr
    assert json.loads(lock.read_text()) == old
    done = run_cli("poncho", "lock", lock, "-o", tmp_path / "new.json", "--update", "ladder").ok()
    assert "nothing moved" in done.stderr
    assert (tmp_path / "new.json").read_bytes() == lock.read_bytes()


def test_an_update_is_for_the_machine_that_the_lock_says(tmp_path: Path):
    for version, glibc in (("1.0", "2.17"), ("2.0", "2.30")):
        CondaPackage("tied", version, {f"share/{version}": File(b"x")}, depends=(f"__glibc >={glibc}",)).write(tmp_path)
    index(tmp_path)
    spec, lock = write_spec(tmp_path, tmp_path.as_uri(), "tied"), tmp_path / "lock.json"
    run_cli("poncho", "lock", spec, "-o", lock, env={"CONDA_OVERRIDE_GLIBC": "2.17"}).ok()
    before = lock.read_bytes()
    done = run_cli("poncho", "lock", spec, "-o", lock, "--update", "tied", env={"CONDA_OVERRIDE_GLIBC": "2.36"}).ok()
    assert "nothing moved" in done.stderr
    assert lock.read_bytes() == before


def test_an_update_takes_what_the_spec_now_says_of_the_names_and_of_nothing_else(channel: Channel, tmp_path: Path):
    root = channel.copy(tmp_path / "c")
    lock = tmp_path / "lock.json"
    run_cli("poncho", "lock", write_spec(tmp_path, root.as_uri(), "ladder"), "-o", lock).ok()
    # Another version, and a package more.
    spec = write_spec(tmp_path, root.as_uri(), "ladder<2", "greet")
    refused = run_cli("poncho", "lock", spec, "-o", lock, "--update", "ladder").failed().stderr
    assert "the lock is stale, the spec has changed: conda: +ladder<2, +greet, -ladder" in refused
    assert f"poncho lock {spec} -o {lock}; all else stays as it is with --update greet --update ladder" in refused
    done = run_cli("poncho", "lock", spec, "-o", lock, "--update", "ladder", "--update", "greet").ok()
    assert "ladder 2.0 h0_0 → 1.2 h0_1 (conda)" in done.stderr
    assert "greet (new) → 1.2 py_0 (conda)" in done.stderr
    run_cli("poncho", "lock", spec, "-o", lock, "--locked").ok()
    # And one that is gone.
    spec = write_spec(tmp_path, root.as_uri(), "ladder<2")
    assert "greet 1.2 py_0 → (gone)" in run_cli("poncho", "lock", spec, "-o", lock, "--update", "greet").ok().stderr
    run_cli("poncho", "lock", spec, "-o", lock, "--locked").ok()


# --- fresh and stale -------------------------------------------------------------------------------------------------


def test_locked_refuses_a_stale_lock_and_says_what_changed(channel: Channel, tmp_path: Path):
    spec, lock, output = write_spec(tmp_path, channel.file_url, "ladder"), tmp_path / "lock.json", tmp_path / "e.tar.gz"
    run_cli("poncho_package_create", spec, output, "--lock", lock).ok()
    first, written = hashlib.sha256(output.read_bytes()).hexdigest(), lock.read_bytes()
    run_cli("poncho_package_create", spec, output, "--lock", lock, "--locked").ok()
    assert hashlib.sha256(output.read_bytes()).hexdigest() == first
    run_cli("poncho", "lock", spec, "-o", lock, "--locked").ok()
    output.unlink()
    write_spec(tmp_path, channel.file_url, "ladder<2", "greet")
    for command in (["poncho_package_create", spec, output, "--lock", lock], ["poncho", "lock", spec, "-o", lock]):
        done = run_cli(str(command[0]), *command[1:], "--locked").failed()
        assert "the lock is stale, the spec has changed: conda: +ladder<2, +greet, -ladder" in done.stderr
    assert not output.exists()
    assert lock.read_bytes() == written


def test_locked_without_a_lock_says_what_to_name(channel: Channel, tmp_path: Path):
    spec = write_spec(tmp_path, channel.file_url, "ladder")
    assert "--lock" in run_cli("poncho_package_create", "--locked", spec, tmp_path / "e.tar.gz").failed().stderr
    missing = run_cli("poncho_package_create", "--locked", "--lock", tmp_path / "no.json", spec, tmp_path / "e.tar.gz")
    assert "no such file" in missing.failed().stderr


def test_a_failed_build_leaves_the_lock_that_was_there(channel: Channel, tmp_path: Path):
    lock = tmp_path / "lock.json"
    lock.write_text("what was there")
    spec = write_spec(tmp_path, channel.file_url, "no-such-package")
    run_cli("poncho_package_create", spec, tmp_path / "e.tar.gz", "--lock", lock).failed()
    assert lock.read_text() == "what was there"


# --- what must not be built ------------------------------------------------------------------------------------------


def test_a_lock_of_another_platform_is_refused_in_one_line(channel: Channel, tmp_path: Path):
    lock = tmp_path / "lock.json"
    run_cli(
        "poncho", "lock", write_spec(tmp_path, channel.file_url, "ladder"), "-o", lock, "--platform", "osx-arm64"
    ).ok()
    done = run_cli("poncho_package_create", lock, tmp_path / "e.tar.gz").failed()
    assert f"error: the lock is for osx-arm64, and this machine is {channel.subdir}\n" in done.stderr


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_a_conda_package_that_is_not_the_locked_one_is_refused(channel: Channel, tmp_path: Path, scheme: str):
    url = channel.file_url if scheme == "file" else channel.url
    lock = tmp_path / "lock.json"
    run_cli("poncho", "lock", write_spec(tmp_path, url, "ladder"), "-o", lock).ok()
    sha256 = json.loads(lock.read_text())["conda"][0]["sha256"]
    lock.write_text(lock.read_text().replace(sha256, "0" * 64))
    done = run_cli("poncho_package_create", lock, tmp_path / "e.tar.gz", env={"PONCHO_CACHE_DIR": tmp_path / "cache"})
    assert "ladder" in done.failed().stderr
    assert "0000" in done.stderr
    assert not (tmp_path / "e.tar.gz").exists()


@pytest.mark.parametrize("scheme", ["file", "http"])
@pytest.mark.parametrize("digest", ["0" * 32, f"sha256:{'0' * 64}"], ids=["md5", "sha256"])
def test_an_explicit_list_is_checked_by_the_digest_that_it_has(
    channel: Channel, tmp_path: Path, scheme: str, digest: str
):
    url = channel.file_url if scheme == "file" else channel.url
    (tmp_path / "list.txt").write_text(f"@EXPLICIT\n{url}/noarch/ladder-1.1-h0_0.tar.bz2#{digest}\n")
    env = {"PONCHO_CACHE_DIR": tmp_path / "cache"}
    done = run_cli("poncho_package_create", tmp_path / "list.txt", tmp_path / "e.tar.gz", env=env).failed()
    assert "ladder" in done.stderr


def test_an_md5_that_is_wrong_is_refused_where_an_earlier_build_had_the_right_one(channel: Channel, tmp_path: Path):
    env, right = {"PONCHO_CACHE_DIR": tmp_path / "cache"}, channel.records("ladder")[0]["md5"]
    listed = f"@EXPLICIT\n{channel.url}/noarch/ladder-1.0-h0_0.tar.bz2#"
    (tmp_path / "list.txt").write_text(f"{listed}{right}\n")
    run_cli("poncho_package_create", tmp_path / "list.txt", tmp_path / "a.tar.gz", env=env).ok()
    (tmp_path / "list.txt").write_text(f"{listed}{'0' * 32}\n")
    done = run_cli("poncho_package_create", tmp_path / "list.txt", tmp_path / "b.tar.gz", env=env).failed()
    assert "ladder" in done.stderr


def test_an_environment_is_locked_as_it_is(channel: Channel, tmp_path: Path):
    prefix = tmp_path / "env"
    make_environment(prefix, [channel.url], ["ladder=1.1", "greet"])
    lock = tmp_path / "lock.json"
    run_cli("poncho_package_create", prefix, tmp_path / "a.tar.gz", "--lock", lock).ok()
    assert run_cli("poncho", "lock", prefix).ok().stdout_bytes == lock.read_bytes()
    run_cli("poncho_package_create", lock, tmp_path / "b.tar.gz").ok()
    assert "ladder-1.1" in packages.installed(tmp_path / "b.tar.gz")
    assert "no lock" in run_cli("poncho_package_create", prefix, tmp_path / "c.tar.gz", "--locked").failed().stderr


@pytest.mark.network
def test_a_wheel_that_is_not_the_locked_one_is_refused(tmp_path: Path):
    (tmp_path / "spec.json").write_text(json.dumps({"pip": ["six==1.16.0"]}))
    lock = tmp_path / "lock.json"
    run_cli("poncho", "lock", tmp_path / "spec.json", "-o", lock).ok()
    lock.write_text(lock.read_text().replace(SIX["sha256"], "0" * 64))
    done = run_cli("poncho_package_create", lock, tmp_path / "e.tar.gz").failed()
    assert "six" in done.stderr
    assert "hash" in done.stderr.lower()


def test_a_package_that_the_channel_no_longer_has_is_named(channel: Channel, tmp_path: Path):
    root = channel.copy(tmp_path / "c")
    with serve(FileServer(root)) as server:
        run_cli("poncho", "lock", write_spec(tmp_path, server.url, "ladder"), "-o", tmp_path / "lock.json").ok()
        for path in root.glob("noarch/ladder-2.0*"):
            path.unlink()
        env = {"PONCHO_CACHE_DIR": tmp_path / "cache"}
        done = run_cli("poncho_package_create", tmp_path / "lock.json", tmp_path / "e.tar.gz", env=env).failed()
    assert "ladder-2.0" in done.stderr
    assert not (tmp_path / "e.tar.gz").exists()


# --- secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["basic", "token"])
def test_no_credential_of_a_channel_is_in_the_lock(channel: Channel, tmp_path: Path, how: str):
    secret = "CANARY-s3cret"
    options: dict[str, Any] = {"basic": ("user", secret)} if how == "basic" else {"token": secret}
    with serve(FileServer(channel.path, **options)) as server:
        spec = write_spec(tmp_path, server.url_with_credentials, "ladder")
        lock = tmp_path / "lock.json"
        done = run_cli("poncho_package_create", "-v", spec, tmp_path / "e.tar.gz", "--lock", lock).ok()
        shown = run_cli("poncho", "lock", spec).ok()
        for text in (lock.read_text(), shown.stdout, shown.stderr, done.stderr):
            assert secret not in text
        assert secret.encode() not in packages.read_member(tmp_path / "e.tar.gz", "poncho/lock.json")
        # Without the credential the lock alone cannot fetch, and says so.
        env = {"PONCHO_CACHE_DIR": tmp_path / "cache"}
        run_cli("poncho_package_create", lock, tmp_path / "f.tar.gz", env=env).failed()


def test_a_header_is_locked_by_the_name_of_its_variable(tmp_path: Path):
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "data.txt").write_text("data\n")
    with serve(FileServer(tmp_path / "web")) as server:
        http = {"DATA": {"url": f"{server.url}/data.txt", "headers": {"X-Token": "MY_TOKEN"}}}
        (tmp_path / "spec.json").write_text(json.dumps({"conda": {"channels": [], "dependencies": []}, "http": http}))
        env = {"MY_TOKEN": "CANARY"}
        shown = run_cli("poncho", "lock", tmp_path / "spec.json", env=env).ok()
    assert json.loads(shown.stdout)["http"]["DATA"]["headers"] == {"X-Token": "MY_TOKEN"}
    assert "CANARY" not in shown.stdout + shown.stderr


# --- locks of other tools --------------------------------------------------------------------------------------------


def conda_lock_text(entries: list[dict[str, Any]], channel: Channel) -> str:
    listed = [
        {
            "name": entry["name"], "version": entry["version"], "manager": "conda", "platform": channel.subdir,
            "dependencies": dict([*one.split(" ", 1), ""][:2] for one in entry["depends"]),
            "url": entry["url"], "hash": {"md5": entry["md5"], "sha256": entry["sha256"]}, "category": "main",
        }
        for entry in entries
    ]  # fmt: skip
    head = {"content_hash": {}, "channels": [{"url": channel.url}], "platforms": [channel.subdir], "sources": []}
    return yaml.safe_dump({"version": 1, "metadata": head, "package": listed})


def pixi_lock_text(entries: list[dict[str, Any]], channel: Channel) -> str:
    kept = ("build_number", "sha256", "md5", "depends", "license", "size", "timestamp", "noarch")
    listed = [{"conda": entry["url"], **{key: entry[key] for key in kept if key in entry}} for entry in entries]
    names = {channel.subdir: [{"conda": entry["url"]} for entry in entries]}
    environments = {"default": {"channels": [{"url": f"{channel.url}/"}], "packages": names}}
    return yaml.safe_dump({"version": 6, "environments": environments, "packages": listed}, sort_keys=False)


def explicit_text(entries: list[dict[str, Any]], channel: Channel) -> str:
    lines = [f"{entry['url']}#{entry['md5']}" for entry in entries]
    return "\n".join([f"# platform: {channel.subdir}", "@EXPLICIT", *lines]) + "\n"


@pytest.mark.parametrize("write", [conda_lock_text, pixi_lock_text, explicit_text])
def test_a_lock_of_another_tool_is_built_as_it_is(write: Any, channel: Channel, tmp_path: Path):
    names = ["wants-old-ladder", "greet", "python"]
    entries = records(channel, *names)
    old = next(one for one in channel.records("ladder") if one["version"] == "1.1")
    entries.append({**old, "url": f"{channel.url}/noarch/ladder-1.1-h0_0.tar.bz2"})
    given = tmp_path / "given.lock"
    given.write_text(write(entries, channel))
    run_cli("poncho_package_create", given, tmp_path / "env.tar.gz").ok()
    found = packages.installed(tmp_path / "env.tar.gz")
    assert {"ladder-1.1", "wants-old-ladder-1.0"} <= found
    meta = json.loads(packages.read_member(tmp_path / "env.tar.gz", "conda-meta/wants-old-ladder-1.0-h0_0.json"))
    assert meta["depends"] == ["ladder <2"]
    # And as a lock of ours it is the same package, byte for byte.
    run_cli("poncho", "lock", given, "-o", tmp_path / "lock.json").ok()
    run_cli("poncho_package_create", tmp_path / "lock.json", tmp_path / "again.tar.gz").ok()
    assert (tmp_path / "again.tar.gz").read_bytes() == (tmp_path / "env.tar.gz").read_bytes()


@pytest.mark.network
def test_a_pylock_is_built_on_the_interpreter_of_this_machine(tmp_path: Path):
    wheel = (
        f'{{ url = "https://h.example/six-1.16.0-py2.py3-none-any.whl", hashes = {{ sha256 = "{SIX["sha256"]}" }} }}'
    )
    (tmp_path / "pylock.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "tests"\nrequires-python = ">=3.10"\n'
        f'[[packages]]\nname = "six"\nversion = "1.16.0"\nwheels = [{wheel}]\n'
    )
    run_cli("poncho_package_create", tmp_path / "pylock.toml", tmp_path / "env.tar.gz").ok()
    assert "six==1.16.0" in packages.installed(tmp_path / "env.tar.gz")
    run_cli("poncho", "lock", tmp_path / "pylock.toml", "-o", tmp_path / "lock.json").ok()
    [six] = json.loads((tmp_path / "lock.json").read_text())["pip"]
    assert six["sha256"] == SIX["sha256"]


def test_a_package_without_a_lock_cannot_be_built_again(tmp_path: Path):
    import tarfile

    with tarfile.open(tmp_path / "foreign.tar.gz", "w:gz") as archive:
        archive.add(__file__, "bin/x")
    done = run_cli("poncho_package_create", tmp_path / "foreign.tar.gz", tmp_path / "e.tar.gz").failed()
    assert "no lock inside" in done.stderr


# --- from Python -----------------------------------------------------------------------------------------------------


def test_the_library_resolves_without_building(channel: Channel, tmp_path: Path):
    spec = {"conda": {"channels": [channel.file_url], "dependencies": ["ladder"]}}
    lock = poncho.resolve(spec)
    assert isinstance(lock, poncho.Lock)
    assert [(item.name, item.version) for item in lock.conda] == [("ladder", "2.0")]
    assert all(item.size for item in lock.conda)
    poncho.write_lock(lock, tmp_path / "lock.json")
    created = poncho.create(tmp_path / "lock.json", tmp_path / "e.tar.gz")
    assert poncho.create(lock, tmp_path / "f.tar.gz").digest == created.digest
    with pytest.raises(ResolveError):
        poncho.create(poncho.resolve(spec, platform="osx-64"), tmp_path / "g.tar.gz")
