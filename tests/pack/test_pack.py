"""A prefix becomes a package: what is in it, what is not, and that the prefix stays as it was."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from poncho.errors import BuildError, StoreError, UsageError
from poncho.pack import PackOptions
from poncho.pack.layout import PLACEHOLDER
from poncho.pack.model import Entry
from poncho.pack.reading import read_whole
from tests.support.packages import members, read_member, tree_state, unpack
from tests.support.prefixes import conda_record, packed, relocate, small_prefix, unpack_in_parallel, wheel


def test_the_prefix_is_left_exactly_as_it_was(prefix: Path, tmp_path: Path) -> None:
    before = tree_state(prefix)
    packed(prefix, tmp_path / "env.tar.gz")
    assert tree_state(prefix) == before


def test_every_tar_reads_it_and_names_have_no_leading_dot(prefix: Path, tmp_path: Path) -> None:
    package = packed(prefix, tmp_path / "env.tar.gz")
    subprocess.run(["gzip", "-t", str(package.path)], check=True)
    listed = subprocess.run(["tar", "tf", str(package.path)], capture_output=True, text=True, check=True).stdout
    found = members(package.path)
    assert len(listed.splitlines()) == len(found)
    assert not [name for name in found if name.startswith((".", "/"))]
    for name in ("conda_spec.yml", "bin/run_in_env", "bin/conda-unpack", "bin/poncho_package_run", "bin/activate"):
        assert name in found
    assert found["bin/run_in_env"].mode == 0o755
    assert {(info.uid, info.gid, info.uname, info.mtime) for info in found.values()} == {(0, 0, "", 1577836800)}


def test_unpacked_files_have_their_bytes_names_and_links(prefix: Path, tmp_path: Path) -> None:
    there = unpack(packed(prefix, tmp_path / "env.tar.gz").path, tmp_path / "there")
    for name in ("lib/plain.txt", "share/empty", "share/with space/ünï.txt", "share/zeros"):
        assert (there / name).read_bytes() == (prefix / name).read_bytes()
    assert (there / ("share/" + "long" * 30 + "/" + "name" * 30)).read_text() == "a name that ustar cannot hold"
    assert os.readlink(there / "lib/absolute") == "../etc/settings.ini"
    assert os.readlink(there / "lib/relative") == "../share"
    assert os.readlink(there / "lib/dangling") == "nothing-here"
    assert (there / "empty").is_dir()
    assert os.readlink(there / "bin/python3") == "python3.11"


def test_the_parallel_reader_gives_what_tar_gives(prefix: Path, tmp_path: Path) -> None:
    random.seed(1)
    (prefix / "share/large").write_bytes(random.randbytes(9 << 20) + bytes(1 << 20))
    (prefix / "share/large text").write_text(f"{prefix}/x\n" * 200_000)
    (prefix / "share/exact").write_bytes(bytes((4 << 20) - 512))
    package = packed(prefix, tmp_path / "env.tar.gz", threads=3)
    by_tar = unpack(package.path, tmp_path / "tar")
    (tmp_path / "parallel").mkdir()
    done = unpack_in_parallel(package.path, tmp_path / "parallel")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert tree_content(tmp_path / "parallel") == tree_content(by_tar)
    assert (
        hashlib.sha256((by_tar / "share/large").read_bytes()).digest()
        == hashlib.sha256((prefix / "share/large").read_bytes()).digest()
    )
    assert (by_tar / "share/large text").read_text() == f"{PLACEHOLDER}/x\n" * 200_000


def test_the_parallel_reader_runs_with_every_python_of_this_machine(
    prefix: Path, tmp_path: Path, other_pythons: list[str]
) -> None:
    package = packed(prefix, tmp_path / "env.tar.gz")
    tried = 0
    for number, python in enumerate(other_pythons):
        directory = tmp_path / f"by{number}"
        directory.mkdir()
        done = unpack_in_parallel(package.path, directory, python=python)
        assert done.returncode == 0, (python, done.stderr)
        assert (directory / "lib/plain.txt").read_text() == "nothing special\n"
        tried += 1
    assert tried


def test_relocation_gives_the_text_and_binary_that_an_install_there_would_give(prefix: Path, tmp_path: Path) -> None:
    package = packed(prefix, tmp_path / "env.tar.gz")
    there = unpack(package.path, tmp_path / "quite another place")
    for _ in range(2):
        relocate(there)
        reference = (prefix / "etc/settings.ini").read_text()
        other = f"{prefix}2/x"
        assert (there / "etc/settings.ini").read_text() == reference.replace(other, "@").replace(
            str(prefix), str(there)
        ).replace("@", other)
        binary = (there / "lib/binary.so").read_bytes()
        assert len(binary) == (prefix / "lib/binary.so").stat().st_size
        assert os.fsencode(there) + b"/share:x\0" in binary
        assert binary.endswith(b"tail")
    moved = there.rename(tmp_path / "m")
    relocate(moved)
    assert os.fsencode(moved) + b"/share:x\0" in (moved / "lib/binary.so").read_bytes()
    assert not [path for path in moved.rglob("*") if path.is_file() and os.fsencode(there) in path.read_bytes()]


def test_no_byte_of_the_build_prefix_is_left(prefix: Path, tmp_path: Path) -> None:
    package = packed(prefix, tmp_path / "env.tar.gz")
    needle = os.fsencode(prefix)
    with tarfile.open(package.path) as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isfile() else None
            content = stream.read() if stream else member.linkname.encode()
            # "…/env2/x" in settings.ini is another directory, of which the prefix is the beginning
            assert needle not in content.replace(needle + b"2/x", b""), member.name


def test_same_content_gives_the_same_bytes_whatever_the_path_the_order_and_the_umask(tmp_path: Path) -> None:
    digests = set()
    for number, parent in enumerate(("a", "another/longer path/than the first")):
        (tmp_path / parent).mkdir(parents=True)
        mask = os.umask(0o077 if number else 0o002)
        try:
            prefix = small_prefix(tmp_path / parent / "env")
        finally:
            os.umask(mask)
        settings = prefix / "etc/settings.ini"
        settings.write_text(f"root={prefix}\n")
        (prefix / "bin/tool").chmod(0o700 if number else 0o775)
        os.utime(settings, (number, number))
        package = packed(prefix, tmp_path / f"env{number}.tar.gz", threads=1 + number)
        digests.add((package.digest, hashlib.sha256(package.path.read_bytes()).hexdigest()))
    assert len(digests) == 1


def test_source_date_epoch_is_the_time_of_every_member(
    prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    package = packed(prefix, tmp_path / "env.tar.gz")
    assert {info.mtime for info in members(package.path).values()} == {1000000000}
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
        packed(prefix, tmp_path / "env2.tar.gz")


@pytest.mark.parametrize("form", ["tar", "tar.zst"])
def test_other_formats_hold_the_same_content(prefix: Path, tmp_path: Path, form: str) -> None:
    reference = packed(prefix, tmp_path / "env.tar.gz")
    package = packed(prefix, tmp_path / f"env.{form}", format=form)
    assert package.digest == reference.digest
    if form == "tar":
        assert set(members(package.path)) == set(members(reference.path))


@pytest.mark.parametrize("level", [0, 1, 3, 6])
def test_levels_change_the_size_and_nothing_else(prefix: Path, tmp_path: Path, level: int) -> None:
    reference = packed(prefix, tmp_path / "env.tar.gz")
    package = packed(prefix, tmp_path / "level.tar.gz", level=level)
    assert package.digest == reference.digest
    subprocess.run(["gzip", "-t", str(package.path)], check=True)


def test_the_header_says_digest_and_facts_to_a_shell(prefix: Path, tmp_path: Path) -> None:
    package = packed(prefix, tmp_path / "env.tar.gz")
    script = (
        'LC_ALL=C; { read -r head; read -r key; read -r facts; } < "$1" 2>/dev/null; echo "$key$facts"; '
        'case $head in *"PONCHO-PACKAGE 1") ;; *) exit 1;; esac'
    )
    said = subprocess.run(
        ["sh", "-c", script, "sh", str(package.path)], capture_output=True, check=True
    ).stdout.decode()
    assert said.split()[0] == package.digest
    assert f"files={package.files}" in said
    assert f"bytes={package.unpacked_bytes}" in said


def test_output_appears_with_ordinary_permissions_and_replaces_an_empty_file(prefix: Path, tmp_path: Path) -> None:
    output = tmp_path / "env.tar.gz"
    output.touch()
    packed(prefix, output)
    assert output.stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in tmp_path.iterdir()) == ["env", "env.tar.gz"]


def test_nothing_appears_when_packing_fails(prefix: Path, tmp_path: Path) -> None:
    (prefix / "bin/conda\tunpack").write_text(f"{prefix}\n")
    with pytest.raises(BuildError, match="tab or newline"):
        packed(prefix, tmp_path / "env.tar.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["env"]


def test_a_missing_output_directory_is_named(prefix: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such directory"):
        packed(prefix, tmp_path / "missing/env.tar.gz")


def test_a_missing_prefix_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no such directory"):
        packed(tmp_path / "nothing", tmp_path / "env.tar.gz")


def test_a_package_can_be_written_into_the_prefix_itself_and_never_holds_itself(prefix: Path) -> None:
    output = prefix / "env.tar.gz"
    packed(prefix, output)
    first = output.read_bytes()
    packed(prefix, output)
    assert output.read_bytes() == first


def test_a_file_that_changes_meanwhile_is_an_error_that_names_it(prefix: Path) -> None:
    entry = Entry("lib/plain.txt", source=str(prefix / "lib/plain.txt"), size=3)
    with pytest.raises(BuildError, match=r"lib/plain\.txt: changed while it was packed"):
        read_whole(entry)
    entry = Entry("lib/gone", source=str(prefix / "lib/gone"), size=3)
    with pytest.raises(BuildError, match="lib/gone: changed"):
        read_whole(entry)


def test_sockets_and_pipes_are_left_out_with_a_warning(
    prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(prefix / "share/pipe")
    monkeypatch.chdir(prefix)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        package = packed(prefix, tmp_path / "env.tar.gz")
    assert not {"share/pipe", "socket"} & members(package.path).keys()
    assert sum("left out" in warning for warning in package.warnings) == 2


def test_links_that_leave_become_files_or_are_left_out(prefix: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("from outside")
    (prefix / "share/file").symlink_to(outside)
    (prefix / "share/tree").symlink_to(tmp_path)
    (prefix / "share/nowhere").symlink_to("/nothing/at/all")
    (prefix / "share/roundabout").symlink_to(f"../../{prefix.name}/lib/plain.txt")
    package = packed(prefix, tmp_path / "env.tar.gz")
    found = members(package.path)
    assert read_member(package.path, "share/file") == b"from outside"
    assert not {"share/tree", "share/nowhere"} & found.keys()
    assert found["share/roundabout"].linkname == "../lib/plain.txt"
    for name in ("share/file", "share/tree", "share/nowhere"):
        assert any(warning.startswith(name) for warning in package.warnings)


def test_hard_links_are_files_of_their_own(prefix: Path, tmp_path: Path) -> None:
    os.link(prefix / "lib/plain.txt", prefix / "lib/again.txt")
    package = packed(prefix, tmp_path / "env.tar.gz")
    assert members(package.path)["lib/again.txt"].isfile()
    assert read_member(package.path, "lib/again.txt") == b"nothing special\n"


def test_a_foreign_binary_with_the_prefix_is_left_alone_and_named(prefix: Path, tmp_path: Path) -> None:
    content = b"\x7f\x00other" + os.fsencode(prefix) + b"/x\0\0\0"
    (prefix / "lib/foreign.bin").write_bytes(content)
    package = packed(prefix, tmp_path / "env.tar.gz")
    assert read_member(package.path, "lib/foreign.bin") == content
    assert any("lib/foreign.bin" in warning for warning in package.warnings)


def test_data_and_variables_travel(prefix: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "INPUT").mkdir(parents=True)
    (data / "INPUT/events.txt").write_text("1 2 3\n")
    package = packed(prefix, tmp_path / "env.tar.gz", data=data, variables={"INPUT": "poncho/data/INPUT/events.txt"})
    there = unpack(package.path, tmp_path / "there")
    script = f'_poncho_prefix="{there}"; . "$_poncho_prefix/poncho/env.sh"; cat "$INPUT"'
    assert subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=True).stdout == "1 2 3\n"
    assert json.loads((there / "poncho/manifest.json").read_text())["variables"] == {
        "INPUT": "poncho/data/INPUT/events.txt"
    }


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("A B", "lib"),
        ("X;touch pwned", "lib"),
        ("LD_PRELOAD", "lib"),
        ("PATH", "lib"),
        ("OK", "../etc"),
        ("OK", "absent"),
    ],
)
def test_a_bad_variable_is_refused(prefix: Path, tmp_path: Path, name: str, path: str) -> None:
    with pytest.raises(BuildError):
        packed(prefix, tmp_path / "env.tar.gz", variables={name: path})
    assert not (tmp_path / "env.tar.gz").exists()


def test_editable_installs_are_refused_all_at_once(prefix: Path, tmp_path: Path) -> None:
    add_editables(prefix, tmp_path)
    with pytest.raises(BuildError) as caught:
        packed(prefix, tmp_path / "env.tar.gz")
    assert caught.value.context["editable"] == ["my-code", "old-style"]
    assert str(tmp_path / "my code") in caught.value.message


def test_editable_installs_can_be_left_out(prefix: Path, tmp_path: Path) -> None:
    add_editables(prefix, tmp_path)
    package = packed(prefix, tmp_path / "env.tar.gz", ignore_editable=True)
    found = members(package.path)
    assert not [name for name in found if "My_Code" in name or "my_code" in name or "egg-link" in name]
    assert "lib/python3.11/site-packages/thing/__init__.py" in found
    assert read_member(package.path, "lib/python3.11/site-packages/easy-install.pth") == b"./kept\n"
    assert any("left out" in warning and "my-code" in warning for warning in package.warnings)


def test_an_editable_install_whose_code_is_inside_travels(prefix: Path, tmp_path: Path) -> None:
    source = prefix / "src/inside"
    source.mkdir(parents=True)
    (source / "inside.py").write_text("x = 1\n")
    wheel(
        prefix,
        "inside",
        "1.0",
        [],
        direct_url_json=json.dumps({"url": f"file://{source}", "dir_info": {"editable": True}}),
    )
    (prefix / "lib/python3.11/site-packages/__editable__.inside-1.0.pth").write_text(f"{source}\n")
    there = unpack(packed(prefix, tmp_path / "env.tar.gz").path, tmp_path / "there")
    relocate(there)
    assert (there / "lib/python3.11/site-packages/__editable__.inside-1.0.pth").read_text() == f"{there}/src/inside\n"


def test_a_path_file_that_points_outside_is_named(prefix: Path, tmp_path: Path) -> None:
    (prefix / "lib/python3.11/site-packages/extra.pth").write_text("/somewhere/else\n")
    package = packed(prefix, tmp_path / "env.tar.gz")
    assert any("/somewhere/else" in warning for warning in package.warnings)


def test_record_files_stay_true(prefix: Path, tmp_path: Path) -> None:
    there = unpack(packed(prefix, tmp_path / "env.tar.gz").path, tmp_path / "there")
    site = there / "lib/python3.11/site-packages"
    rows = [line.split(",") for line in (site / "thing-1.0.dist-info/RECORD").read_text().splitlines()]
    assert len(rows) >= 3
    for path, digest, size in rows:
        if digest:
            data = (site / path).read_bytes()
            expected = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            assert (digest, size) == (f"sha256={expected}", str(len(data))), path


def test_no_secret_travels(prefix: Path, tmp_path: Path) -> None:
    canary = "CANARY"
    secret = f"https://user:{canary}1@host.example/t/{canary}2/channel"
    conda_record(
        prefix,
        "secretive",
        [],
        {},
        url=f"{secret}/linux-64/secretive-2-h1_0.conda?token={canary}3",
        channel=secret,
        requested_spec=f"{secret}::secretive",
        link={"source": f"/home/{canary}4/pkgs/x", "type": 1},
        extracted_package_dir=f"/home/{canary}5",
        package_tarball_full_path=f"/home/{canary}6",
    )
    (prefix / "conda-meta/history").write_text(f"# cmd: conda install {secret}\n")
    for name in ("pip.conf", ".condarc", ".netrc", "etc/pip.conf", "home/.pypirc", ".git-credentials"):
        (prefix / name).parent.mkdir(exist_ok=True)
        (prefix / name).write_text(f"password = {canary}\n")
    git = prefix / "src/code/.git"
    (git / "logs").mkdir(parents=True)
    (git / "config").write_text(
        f'[remote "origin"]\n\turl = {secret}\n[http]\n\textraheader = AUTHORIZATION: basic {canary}\n'
    )
    (git / "FETCH_HEAD").write_text(f"abc branch 'main' of {secret}\n")
    (git / "logs/HEAD").write_text(f"0 1 clone: from {secret}\n")
    wheel(prefix, "vcs", "1", [], direct_url_json=json.dumps({"url": secret, "vcs_info": {"vcs": "git"}}))
    wheel(
        prefix,
        "local",
        "1",
        [],
        direct_url_json=json.dumps({"url": f"file:///home/{canary}/x.whl", "archive_info": {}}),
    )
    output = tmp_path / "env.tar"
    package = packed(prefix, output, format="tar", data=None)
    assert canary.encode() not in output.read_bytes()
    assert any(".netrc" in warning for warning in package.warnings)
    assert "https://host.example/channel" in read_member(output, "src/code/.git/config").decode()
    record = read_member(output, "lib/python3.11/site-packages/local-1.dist-info/RECORD")
    assert b"direct_url.json" not in record


def test_a_virtual_environment_whose_interpreter_is_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv/pyvenv.cfg").write_text("home = /usr/bin\n")
    with pytest.raises(BuildError, match="virtual environment"):
        packed(tmp_path / "venv", tmp_path / "env.tar.gz")


def test_an_unpacked_package_can_be_packed_again(prefix: Path, tmp_path: Path) -> None:
    first = packed(prefix, tmp_path / "first.tar.gz")
    there = unpack(first.path, tmp_path / "there")
    relocate(there)
    (there / "poncho/state").mkdir()
    (there / "poncho/state/prefix").write_text(str(there))
    shutil.rmtree(there / "poncho/templates")
    second = packed(there, tmp_path / "second.tar.gz")
    assert read_member(second.path, "etc/settings.ini") == read_member(first.path, "etc/settings.ini")
    assert read_member(second.path, "lib/binary.so") == read_member(first.path, "lib/binary.so")
    assert read_member(second.path, "bin/hello") == read_member(first.path, "bin/hello")
    assert "poncho/state/prefix" not in members(second.path)


@pytest.mark.parametrize("options", [{"format": "rar"}, {"level": 99}, {"build_prefixes": ("relative",)}])
def test_bad_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        PackOptions(**options)  # type: ignore[arg-type]


def test_a_full_disk_is_one_clear_error(prefix: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "none", str(small)]
    code = (
        "import sys; from pathlib import Path\n"
        "from poncho.errors import BuildError; from tests.support.prefixes import packed\n"
        "try: packed(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "except BuildError as error: print(error.message)"
    )
    root = Path(__file__).parents[2]
    script = f'{" ".join(mount)} || exit 77; "$1" -c "$2" "$3" "$4"; ls -A "{small}"'
    run = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", sys.executable, code, str(prefix), str(small / "env.tar.gz")],
        capture_output=True,
        text=True,
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        check=False,
    )
    if run.returncode == 77 or "unshare" in run.stderr:
        pytest.skip(f"no private mount here: {run.stderr.strip()}")
    assert "no space left" in run.stdout
    assert run.stdout.count("\n") == 1, run.stdout


def add_editables(prefix: Path, tmp_path: Path) -> None:
    """Install two distributions as editable: one as PEP 660 does, in a directory with a space; one as setup.py develop did."""
    site = prefix / "lib/python3.11/site-packages"
    code, old = tmp_path / "my code", tmp_path / "old"
    code.mkdir()
    (site / "__editable__.my_code-0.1.pth").write_text("import __editable___my_code_0_1_finder\n")
    (site / "__editable___my_code_0_1_finder.py").write_text(f"MAPPING = {{'my_code': {str(code)!r}}}\n")
    url = json.dumps({"url": f"file://{code}".replace(" ", "%20"), "dir_info": {"editable": True}})
    wheel(
        prefix,
        "My_Code",
        "0.1",
        ["__editable__.my_code-0.1.pth", "__editable___my_code_0_1_finder.py"],
        direct_url_json=url,
    )
    (site / "old-style.egg-link").write_text(f"{old}\n.")
    (site / "easy-install.pth").write_text(f"{old}\n./kept\n")


def tree_content(root: Path) -> dict[str, tuple[int, str]]:
    """Return mode and content of everything below a directory; links by their target."""
    return {
        name: (0 if kind.startswith("link:") else mode, kind)
        for name, (mode, _, content) in tree_state(root).items()
        for kind in (f"link:{content}" if (root / name).is_symlink() else content,)
    }


def test_it_does_not_matter_where_the_process_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = small_prefix(tmp_path / "env")
    (prefix / "lib/another").symlink_to(prefix / "bin/tool")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    done = packed(prefix, tmp_path / "env.tar.gz")
    assert members(done.path)["lib/another"].linkname == "../bin/tool"
