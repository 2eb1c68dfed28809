"""This machine's interpreters as conda packages: real interpreters, really installed, moved and run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from poncho.base import BaseChannel, base_channel
from poncho.errors import ResolveError
from poncho.store import BuilderCache
from tests.support.interpreter import is_debian
from tests.support.interpreters import (
    environment_with_only,
    install_base,
    run_python,
    uv_managed_copy,
)

RUNNING = ".".join(map(str, sys.version_info[:3]))
DEBIAN = Path("/usr/bin/python3")
IMPORTS = "import bz2, ctypes, curses, decimal, hashlib, lzma, readline, sqlite3, ssl, uuid, zlib, pip"
HOME_CHECK = """
import os, site, sys, sysconfig
packages = os.path.join(sys.prefix, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
assert sysconfig.get_path("purelib") == packages and packages in sys.path, (sysconfig.get_path("purelib"), sys.path)
outside = [p for p in sys.path if p and not p.startswith(sys.prefix)]
assert not outside, outside
print(sys.prefix)
"""
LOADED = """
import os, sys
loaded = {line.split(None, 5)[5].strip() for line in open("/proc/self/maps") if ".so" in line}
print("\\n".join(sorted(os.path.basename(path) for path in loaded if not path.startswith(sys.prefix))))
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> BuilderCache:
    return BuilderCache(tmp_path_factory.mktemp("cache"))


def _source(root: Path) -> tuple[str, dict[str, str]]:
    return RUNNING, dict(os.environ)


def _debian(root: Path) -> tuple[str, dict[str, str]]:
    if not DEBIAN.exists():
        pytest.skip("this machine has no /usr/bin/python3")
    question = (
        "import platform, sysconfig; print('posix_local' in sysconfig.get_scheme_names(), platform.python_version())"
    )
    debian, version = subprocess.check_output([str(DEBIAN), "-I", "-c", question], text=True).split()
    if debian != "True":
        pytest.skip("/usr/bin/python3 is not Debian's")
    if version == RUNNING:
        pytest.skip("the tests run in Debian's interpreter themselves")
    return version, dict(os.environ)


@pytest.fixture(scope="module", params=[_source, _debian], ids=["source", "debian"])
def moved(request: pytest.FixtureRequest, cache: BuilderCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a prefix with the interpreter, installed and then moved to a directory with a space in its name."""
    root = tmp_path_factory.mktemp("base")
    version, environ = request.param(root)
    base = base_channel(version, cache=cache, environ=environ)
    install_base(base, root / "env", cache)
    return Path(shutil.move(root / "env", root / "moved here"))


def test_runs_from_a_moved_directory_with_an_empty_environment(moved: Path) -> None:
    assert run_python(moved, IMPORTS + "\nimport sys; print(sys.prefix)") == str(moved)


def test_looks_for_packages_in_its_own_site_packages_only(moved: Path) -> None:
    assert run_python(moved, HOME_CHECK) == str(moved)


def test_every_extension_module_that_was_taken_can_be_imported(moved: Path) -> None:
    names = {path.name.partition(".")[0] for path in moved.glob("lib/python3*/lib-dynload/*.so")}
    assert len(names) > 20
    run_python(moved, "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)", *sorted(names))


def test_loads_nothing_from_the_machine_but_glibc(moved: Path) -> None:
    loaded = run_python(moved, f"{IMPORTS}\n{LOADED}").split()
    glibc = ("libc.", "libm.", "ld-", "libdl.", "libpthread.", "librt.", "libutil.", "libresolv.", "libnss_")
    assert [name for name in loaded if not name.startswith(glibc)] == []


def test_brings_what_wheels_expect_of_a_machine(moved: Path) -> None:
    run_python(moved, "import ctypes; ctypes.CDLL('libstdc++.so.6'); ctypes.CDLL('libgcc_s.so.1')")


def test_pip_inside_installs_into_the_prefix(moved: Path) -> None:
    report = run_python(
        moved, "import pip._internal.locations as l; s = l.get_scheme('x'); print(s.purelib, s.scripts, sep='\\n')"
    )
    library = next(moved.glob("lib/python3*"))
    assert report.splitlines() == [str(library / "site-packages"), str(moved / "bin")]
    assert (moved / "bin" / "pip").exists()


def test_holds_no_path_of_the_interpreter_it_came_from(moved: Path) -> None:
    if sys.base_prefix.startswith("/usr"):
        pytest.skip("the running interpreter lies in a system directory, which is no secret")
    needle = os.fsencode(sys.base_prefix)
    files = [path for path in moved.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path.name for path in files if needle in path.read_bytes()] == []


def test_headers_and_compiler_settings_point_into_the_prefix(cache: BuilderCache, tmp_path: Path) -> None:
    install_base(base_channel(RUNNING, cache=cache), tmp_path / "env", cache)
    said = run_python(
        tmp_path / "env", "import sysconfig as s; print(s.get_config_var('INCLUDEPY'), s.get_config_var('LIBDIR'))"
    )
    include, library = said.split()
    assert library == str(tmp_path / "env" / "lib")
    assert include.startswith(str(tmp_path / "env" / "include"))


def test_finds_certificates_where_the_machine_it_was_built_on_has_none(moved: Path) -> None:
    code = """
import ssl
empty = ssl.DefaultVerifyPaths(None, None, "SSL_CERT_FILE", "/none", "SSL_CERT_DIR", "/none")
ssl.get_default_verify_paths = lambda: empty
ssl.SSLContext.set_default_verify_paths = lambda self: None
system = ssl._poncho_certificates()
ssl._poncho_certificates = lambda: [path for path in system if "site-packages" in path]
print(ssl.create_default_context().cert_store_stats()["x509_ca"])
"""
    assert int(run_python(moved, code)) > 50


def test_asks_for_the_glibc_that_its_binaries_need(cache: BuilderCache) -> None:
    base = base_channel(RUNNING, cache=cache)
    record = _record(base, "python")
    assert record["version"] == RUNNING
    assert [part.split(",")[0][:11] for part in record["depends"]] == ["__glibc >=2"]


def test_the_same_interpreter_gives_the_same_bytes(cache: BuilderCache, tmp_path: Path) -> None:
    first = base_channel(RUNNING, cache=cache)
    second = base_channel(RUNNING, cache=BuilderCache(tmp_path))
    assert second.path != first.path
    assert second.sha256 == first.sha256
    for name in ("python", "pip"):
        assert _record(second, name)["sha256"] == _record(first, name)["sha256"]


def test_an_interpreter_is_repackaged_once(cache: BuilderCache) -> None:
    events: list[str] = []
    base_channel(RUNNING, cache=cache)
    base_channel(RUNNING, cache=cache, reporter=lambda event: events.append(event.message))
    assert events == []


def test_a_version_that_is_not_here_is_refused_with_what_is(cache: BuilderCache) -> None:
    with pytest.raises(ResolveError) as caught:
        base_channel("2.6", cache=cache, environ=environment_with_only(Path("/none"), Path("/none")))
    assert RUNNING in caught.value.message
    assert "channel" in (caught.value.hint or "")


def test_a_uv_managed_interpreter_is_found_and_runs_after_the_original_is_gone(tmp_path: Path) -> None:
    if is_debian():
        pytest.skip("the tests run in Debian's interpreter, which uv does not install")
    installed = uv_managed_copy(tmp_path)
    copied = next(installed.glob("*/bin/python3"))
    cache = BuilderCache(tmp_path / "cache")
    # The running interpreter would be found first: ask from one that sees only the copy.
    code = f"""
import sys; sys._base_executable = {str(copied)!r}
from pathlib import Path
from poncho.base import base_channel
from poncho.store import BuilderCache
base = base_channel(None, cache=BuilderCache(Path({str(cache.root)!r})), environ={{"PATH": "/none", "HOME": "/none"}})
print(base.kind, base.path)
"""
    said = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=Path(__file__).parents[2])
    kind, path = said.split()
    assert kind == "standalone"
    base = BaseChannel(Path(path), Path(path).as_uri(), RUNNING, "standalone", "", _platform(Path(path)))
    install_base(base, tmp_path / "env", cache)
    shutil.rmtree(installed)
    shutil.move(tmp_path / "env", tmp_path / "moved")
    assert run_python(tmp_path / "moved", IMPORTS + "\nimport sys; print(sys.prefix)") == str(tmp_path / "moved")


def test_a_virtual_environments_python_means_its_base(cache: BuilderCache, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    environ = environment_with_only(tmp_path / "venv" / "bin", tmp_path)
    assert base_channel(None, cache=cache, environ=environ).sha256 == base_channel(RUNNING, cache=cache).sha256


def _platform(path: Path) -> str:
    return next(directory.name for directory in path.iterdir() if directory.name.startswith("linux-"))


def _record(base: BaseChannel, name: str) -> dict[str, object]:
    for subdir in (base.platform, "noarch"):
        packages = json.loads((base.path / subdir / "repodata.json").read_text())["packages.conda"]
        for record in packages.values():
            if record["name"] == name:
                return dict(record)
    raise AssertionError(f"{name} is not in {base.path}")
