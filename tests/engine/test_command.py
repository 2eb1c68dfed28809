"""The conda command as engine, against answers recorded from the real one (tests/support/conda_command.py)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from poncho.engine import SolveRequest
from poncho.engine.command import CommandEngine, explicit_list
from poncho.engine.command_answers import last_json
from poncho.engine.libmamba import LinkScripts
from poncho.errors import BuildError, FetchError, ResolveError
from poncho.lock.model import LockedConda
from poncho.store import BuilderCache
from tests.support import conda_command as recorded

CHANNEL = "http://user:hunter2@127.0.0.1:9/chan"


@pytest.fixture
def conda(tmp_path):
    return recorded.play(tmp_path / "bin", channel="http://127.0.0.1:9/chan")


@pytest.fixture
def engine(conda, tmp_path):
    return CommandEngine(conda.path, BuilderCache(tmp_path / "cache"))


def solve(engine, *specs, **options):
    request = SolveRequest((CHANNEL, "second"), specs, "linux-64", **options)
    return engine.solve(request, reporter=lambda event: None)


LADDER = LockedConda(
    "ladder",
    "1.1",
    "h0_0",
    "noarch",
    CHANNEL,
    f"{CHANNEL}/noarch/ladder-1.1-h0_0.tar.bz2",
    sha256="a" * 64,
    md5="0" * 32,
)


def test_a_solve_reads_full_records(engine, conda):
    conda.answer("solve", recorded.LINKED)
    [record] = solve(engine, "ladder<2")
    assert (record.name, record.version, record.build, record.subdir) == ("ladder", "1.1", "h0_0", "noarch")
    assert record.url == f"{CHANNEL}/noarch/ladder-1.1-h0_0.tar.bz2", "what the command leaves out is put back"
    assert record.channel == f"{CHANNEL}/"
    assert record.sha256 == "a" * 64


def test_the_short_records_of_old_versions_are_completed(engine, conda):
    conda.answer("solve", recorded.OLD_LINKED)
    [record] = solve(engine, "ladder")
    assert record.url.endswith("/noarch/ladder-1.1-h0_0.tar.bz2")
    assert record.md5 == "0" * 32


def test_a_solve_asks_for_exactly_our_channels_and_none_of_the_users_settings(conda, tmp_path):
    conda.answer("solve", recorded.LINKED)
    users = {
        "CONDA_CHANNELS": "mine",
        "CONDA_PINNED_PACKAGES": "ladder=1",
        "PYTHONPATH": "/trap",
        "CONDA_ALWAYS_SOFTLINK": "true",
    }
    engine = CommandEngine(conda.path, BuilderCache(tmp_path / "cache"), {**os.environ, **users})
    solve(engine, "ladder", virtual_packages=("__glibc=2.17=0", "__cuda=12.4=0", "__archspec=1=zen2"))
    [call] = conda.calls
    argv, env = call["argv"], call["env"]
    assert argv[:3] == ["create", "--yes", "--json"]
    assert {"--dry-run", "--override-channels", "--strict-channel-priority", "--no-default-packages", "--no-pin"} <= {
        *argv
    }
    assert [argv[place + 1] for place, word in enumerate(argv) if word == "--channel"] == ["poncho-0", "second"]
    assert argv[-1] == "ladder"
    assert env["CONDA_SUBDIR"] == "linux-64"
    assert env["CONDA_OVERRIDE_GLIBC"] == "2.17"
    assert env["CONDA_OVERRIDE_CUDA"] == "12.4"
    assert env["CONDA_OVERRIDE_ARCHSPEC"] == "zen2"
    assert env["CONDA_ALWAYS_SOFTLINK"] == "false"
    assert not {"CONDA_CHANNELS", "CONDA_PINNED_PACKAGES", "PYTHONPATH"} & env.keys()


def test_credentials_of_a_channel_are_in_a_private_file_and_in_no_argument(conda, tmp_path):
    conda.answer("solve", recorded.LINKED)
    own = tmp_path / "condarc"
    own.write_text("ssl_verify: /etc/ca.pem\n")
    solve(CommandEngine(conda.path, BuilderCache(tmp_path / "cache"), {**os.environ, "CONDARC": str(own)}), "ladder")
    [call] = conda.calls
    assert "hunter2" not in json.dumps(call)
    assert call["env"]["CONDARC"] != str(own)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]


def test_a_constraint_is_added_when_its_package_turns_up(engine, conda):
    conda.answer("solve", recorded.LINKED)
    solve(engine, "wants-old-ladder", constraints=("ladder ==1.1", "shadowed ==1.0"))
    first, second = (call["argv"] for call in conda.calls)
    assert first[-1:] == ["wants-old-ladder"]
    assert second[-2:] == ["wants-old-ladder", "ladder ==1.1"]


@pytest.fixture
def micromamba(tmp_path):
    return recorded.play(tmp_path / "bin", name="micromamba", version="2.8.1", channel="http://127.0.0.1:9")


def test_micromamba_gets_its_own_options(micromamba, tmp_path):
    micromamba.answer("solve", recorded.LINKED)
    solve(CommandEngine(micromamba.path, BuilderCache(tmp_path / "cache")), "ladder")
    [call] = micromamba.calls
    assert "--rc-file" in call["argv"], "the first channel's URL holds a password, which arguments would show"
    assert "--no-default-packages" not in call["argv"]
    request = SolveRequest(("plain",), ("ladder",), "linux-64")
    CommandEngine(micromamba.path, BuilderCache(tmp_path / "cache")).solve(request, reporter=lambda event: None)
    assert "--no-rc" in micromamba.calls[-1]["argv"]
    assert call["env"]["MAMBA_ROOT_PREFIX"].startswith(str(tmp_path / "cache"))


def test_of_the_users_settings_micromamba_gets_only_how_to_reach_channels(micromamba, tmp_path):
    micromamba.answer("solve", recorded.LINKED)
    own = tmp_path / "condarc"
    own.write_text("ssl_verify: /etc/ca.pem\nchannels: [mine]\npinned_packages: [ladder=1.0]\n")
    users = {"CONDARC": str(own), "MAMBA_PINNED_PACKAGES": "ladder=1.0", "CONDA_CHANNEL_ALIAS": "http://alias"}
    request = SolveRequest(("plain",), ("ladder",), "linux-64")
    engine = CommandEngine(micromamba.path, BuilderCache(tmp_path / "cache"), {**os.environ, **users})
    engine.solve(request, reporter=lambda event: None)
    [call] = micromamba.calls
    assert call["settings"] == "ssl_verify: /etc/ca.pem\n"
    assert not {"CONDARC", "MAMBA_PINNED_PACKAGES"} & call["env"].keys(), "libmamba refuses CONDARC beside --no-rc"
    assert call["env"]["MAMBA_CHANNEL_ALIAS"] == "http://alias"
    assert call["env"]["MAMBA_ADD_PIP_AS_PYTHON_DEPENDENCY"] == call["env"]["MAMBA_COMPILE_PYC"] == "false"


def test_what_micromamba_hides_of_a_channels_url_is_put_back(micromamba, tmp_path):
    micromamba.answer("solve", recorded.MICROMAMBA_LINKED)
    channel = "http://127.0.0.1:9/t/tok-hunter2"
    request = SolveRequest((channel,), ("ladder",), "linux-64")
    engine = CommandEngine(micromamba.path, BuilderCache(tmp_path / "cache"))
    [record] = engine.solve(request, reporter=lambda event: None)
    assert record.url == f"{channel}/noarch/ladder-1.1-h0_0.tar.bz2"
    assert "hunter2" not in json.dumps(micromamba.calls[0]["argv"])
    assert record.record["timestamp"] == 1700000000000, "as repodata has it, in milliseconds"
    assert not {"build_string", "constrains", "track_features"} & record.record.keys()


def test_offline_micromamba_has_no_way_to_the_network(micromamba, tmp_path):
    micromamba.answer("install", {"success": True}, records={"ladder-1.1-h0_0.json": {"name": "ladder"}})
    engine = CommandEngine(micromamba.path, BuilderCache(tmp_path / "cache"))
    engine.install([LADDER], tmp_path / "env", platform="linux-64", offline=True, reporter=lambda event: None)
    env = micromamba.calls[0]["env"]
    assert env["HTTPS_PROXY"] == env["http_proxy"] == "http://127.0.0.1:9"
    assert not env["NO_PROXY"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("python", 'python[version="*"]'),
        ("python=3.11", 'python[version="=3.11"]'),
        ("python=3.11.*", 'python[version="3.11.*"]'),
        ("Python >=3.10, <3.12", 'python[version=">=3.10,<3.12"]'),
        ("python==3.11.7", 'python[version="==3.11.7"]'),
        ("python=3.11.7=h0_0", 'python[version="=3.11.7",build="h0_0"]'),
        ("python 3.11.* h0_0", 'python[version="3.11.*",build="h0_0"]'),
        *((spec, spec) for spec in ("python-dateutil>2", "python[version='3.11']", "conda-forge::python=3.11")),
    ],
)
def test_micromamba_is_asked_for_python_so_that_it_adds_no_pip(micromamba, tmp_path, asked, told):
    micromamba.answer("solve", recorded.LINKED)
    engine = CommandEngine(micromamba.path, BuilderCache(tmp_path / "cache"))
    solve(engine, asked)
    solve(engine, asked, "pip")
    assert [call["argv"][-1] for call in micromamba.calls] == [told, "pip"]
    assert micromamba.calls[1]["argv"][-2] == asked


def test_a_link_script_that_fails_is_seen_though_libmamba_does_not_heed_it(tmp_path):
    scripts = LinkScripts(tmp_path / "scripts")
    env = {**scripts.watch(os.environ), "PKG_NAME": "greet"}
    bash = shutil.which("bash", path=env["PATH"])
    env["PATH"] = f"/prefix/bin:{env['PATH']}"
    printed = subprocess.run([bash, "-c", "echo $PATH"], env=env, check=True, capture_output=True, text=True).stdout
    assert printed.strip() == f"/prefix/bin:{os.environ['PATH']}"
    script = tmp_path / "script"
    script.write_text("bash -c 'exit 5' || true\nexit $STATUS\n")
    subprocess.run([bash, script], env={**env, "STATUS": "0"}, check=True)
    scripts.raise_failed("")
    subprocess.run([bash, script], env={**env, "STATUS": "3"}, check=False)
    with pytest.raises(BuildError, match=r"post-link script of the conda package greet failed \(exit status 3\)"):
        scripts.raise_failed("it fails on purpose")


def test_mamba_1_is_spoken_to_as_conda(tmp_path):
    mamba = recorded.play(tmp_path / "bin", name="mamba", version="mamba 1.5.8\nconda 24.1.0")
    mamba.answer("solve", recorded.LINKED)
    solve(CommandEngine(mamba.path, BuilderCache(tmp_path / "cache")), "ladder")
    assert "--no-default-packages" in mamba.calls[0]["argv"]


def test_an_unsatisfiable_set_gives_condas_own_words(engine, conda):
    conda.answer("solve", recorded.UNSATISFIABLE, status=1)
    with pytest.raises(ResolveError, match=r"wants-new-ladder -> ladder\[version='>=2'\]"):
        solve(engine, "wants-old-ladder", "wants-new-ladder")


def test_micromambas_solver_problems_are_told_as_its_tree(engine, conda):
    conda.answer("solve", recorded.MICROMAMBA_UNSATISFIABLE, status=1, stderr=recorded.MICROMAMBA_TREE)
    with pytest.raises(ResolveError, match=r"wants-new-ladder is installable and it requires\n.* ladder >=2") as caught:
        solve(engine, "wants-old-ladder", "wants-new-ladder")
    assert "libmamba" not in caught.value.message
    conda.answer("solve", recorded.MICROMAMBA_UNSATISFIABLE, status=1)
    with pytest.raises(ResolveError, match="requires ladder <2, but none of the providers"):
        solve(engine, "wants-old-ladder", "wants-new-ladder")


def test_micromamba_without_a_channel_is_a_fetch_error(engine, conda):
    conda.answer("solve", {}, status=1, stderr=recorded.MICROMAMBA_UNAVAILABLE)
    with pytest.raises(FetchError, match="status: 404") as caught:
        solve(engine, "ladder")
    assert "mamba clean" not in json.dumps(caught.value.to_json())


def test_a_channel_that_is_missing_is_a_fetch_error(engine, conda):
    conda.answer("solve", recorded.UNAVAILABLE, status=1)
    with pytest.raises(FetchError, match="HTTP 404 UNAVAILABLE OR INVALID"):
        solve(engine, "ladder")


def test_a_password_does_not_come_out_even_of_a_mangled_url(engine, conda):
    conda.answer("solve", recorded.MANGLED, status=1, stderr="tried http//user:hunter2@127.0.0.1:9/chan")
    with pytest.raises(FetchError) as caught:
        solve(engine, "ladder")
    assert "CONNECTION FAILED" in caught.value.message
    assert "hunter2" not in json.dumps(caught.value.to_json())


def test_an_install_hands_over_the_exact_urls_and_hashes(engine, conda, tmp_path):
    conda.answer("install", {"success": True}, records={"ladder-1.1-h0_0.json": {"name": "ladder", "url": LADDER.url}})
    engine.install([LADDER], tmp_path / "env", platform="linux-64", offline=True, reporter=lambda event: None)
    [call] = conda.calls
    assert call["file"] == f"@EXPLICIT\n{LADDER.url}#{'0' * 32}\n"
    assert "--offline" in call["argv"]
    assert not any("hunter2" in word for word in call["argv"])


def test_what_an_install_leaves_holds_no_credentials_and_nothing_of_this_day(engine, conda, tmp_path):
    conda.answer("install", {"success": True}, records={"ladder-1.1-h0_0.json": {"name": "ladder", "url": LADDER.url}})
    engine.install([LADDER], tmp_path / "env", platform="linux-64", offline=False, reporter=lambda event: None)
    meta = tmp_path / "env" / "conda-meta"
    assert "hunter2" not in meta.joinpath("ladder-1.1-h0_0.json").read_text()
    assert meta.joinpath("history").read_text() == "==> 1970-01-01 00:00:00 <==\n+chan/noarch::ladder-1.1-h0_0\n"


def test_a_post_link_script_that_fails_is_said_with_its_output(engine, conda, tmp_path):
    conda.answer("install", recorded.LINK_FAILED, status=1)
    with pytest.raises(BuildError, match="post-link script failed for package") as caught:
        engine.install([LADDER], tmp_path / "env", platform="linux-64", offline=False, reporter=lambda event: None)
    assert "fails on purpose" in str(caught.value.hint)


def test_an_install_that_leaves_nothing_is_an_error(engine, conda, tmp_path):
    conda.answer("install", recorded.LINK_FAILED, status=0)
    with pytest.raises(BuildError):
        engine.install([LADDER], tmp_path / "env", platform="linux-64", offline=False, reporter=lambda event: None)


def test_virtual_packages_are_the_commands(engine, conda):
    conda.answer("info", recorded.INFO)
    assert engine.virtual_packages("linux-64") == ("__glibc=2.36=0", "__unix=0=0")
    conda.answer("info", recorded.MICROMAMBA_INFO)
    assert engine.virtual_packages("linux-64") == ("__unix=0=0", "__glibc=2.36=0")


def test_an_explicit_list_uses_sha256_where_there_is_no_md5():
    bare = LockedConda("x", "1", "0", "noarch", "c", "https://h/noarch/x-1-0.conda", sha256="b" * 64)
    assert explicit_list([bare]) == f"@EXPLICIT\nhttps://h/noarch/x-1-0.conda#sha256:{'b' * 64}\n"


def test_an_explicit_list_has_what_a_package_depends_on_before_it():
    depends = {
        "greet": ["python >=3.8"],
        "pip": ["python", "wheel"],
        "python": ["pip", "libgcc"],
        "wheel": [],
        "libgcc": [],
    }
    records = [
        LockedConda(name, "1", "0", "noarch", "c", f"https://h/noarch/{name}-1-0.conda", record={"depends": needed})
        for name, needed in depends.items()
    ]
    names = [line.split("/")[-1].split("-")[0] for line in explicit_list(records).splitlines()[1:]]
    assert names == ["wheel", "pip", "libgcc", "python", "greet"], "a circle ends somewhere"


def test_the_last_json_object_is_found_among_progress_and_warnings():
    assert last_json('warning {x}\n{"progress": 1}\0\n{"a": {"b": 1}}\n') == {"a": {"b": 1}}
    assert last_json("nothing {here") is None
