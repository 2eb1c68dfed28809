"""What is installed in a prefix, and what of it lives elsewhere."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from poncho.errors import BuildError
from poncho.install import check_prefix, describe_prefix, editable_distributions, installed_distributions
from poncho.install.distributions import distributions_in


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "env" / "lib" / "python3.11" / "site-packages"
    path.mkdir(parents=True)
    (tmp_path / "env" / "conda-meta").mkdir()
    (tmp_path / "code" / "src").mkdir(parents=True)
    return path


def add_distribution(site: Path, name: str, version: str, **files: str) -> Path:
    info = site / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    for file, text in files.items():
        (info / file.replace("__", ".")).write_text(text)
    return info


def test_an_editable_install_is_found_by_its_direct_url(site: Path, tmp_path: Path) -> None:
    code = tmp_path / "code"
    direct = json.dumps({"url": code.as_uri(), "dir_info": {"editable": True}})
    add_distribution(site, "My_Package", "1.0", direct_url__json=direct)
    (site / "__editable__.my_package-1.0.pth").write_text(f"{code / 'src'}\n")
    add_distribution(site, "other", "2.0", direct_url__json=json.dumps({"url": code.as_uri(), "dir_info": {}}))
    (found,) = editable_distributions(tmp_path / "env")
    assert (found.name, found.version, found.source) == ("my-package", "1.0", code)


def test_an_old_develop_install_is_found_by_its_egg_link(site: Path, tmp_path: Path) -> None:
    code = tmp_path / "code with space"
    info = code / "old.egg-info"
    info.mkdir(parents=True)
    (info / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: old\nVersion: 0.9\n")
    (site / "old.egg-link").write_text(f"{code}\n.")
    (site / "easy-install.pth").write_text(f"{code}\n")
    (found,) = editable_distributions(tmp_path / "env")
    assert (found.name, found.version, found.source) == ("old", "0.9", code)


def test_a_pth_line_out_of_the_prefix_is_found_but_none_inside(site: Path, tmp_path: Path) -> None:
    (site / "inside").mkdir()
    (site / "conda.pth").write_text(f"# comment\nimport sys\ninside\n{tmp_path / 'code'}\n/no/such/place\n")
    (found,) = editable_distributions(tmp_path / "env")
    assert found.source == tmp_path / "code"
    assert found.evidence == site / "conda.pth"


def test_damaged_metadata_is_passed_over(site: Path, tmp_path: Path) -> None:
    add_distribution(site, "good", "1.0", direct_url__json="{broken")
    (site / "bad-1.0.dist-info").mkdir()
    (site / "~umpy-1.0.dist-info").mkdir()
    assert [item.name for item in installed_distributions(tmp_path / "env")] == ["good"]
    assert editable_distributions(tmp_path / "env") == ()


@pytest.mark.parametrize("path", ["", "missing", "file"])
def test_what_is_no_conda_environment_is_refused(path: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildError):
        check_prefix(tmp_path / path)


def test_an_environment_describes_itself_as_spec_and_lock(shared_prefix: Path) -> None:
    spec, lock = describe_prefix(shared_prefix)
    assert [item.name for item in lock.conda] == ["pip", "python"]
    assert spec.python == lock.conda[1].version
    assert lock.pip == ()
    assert lock.platform.startswith("linux-")
    assert "/" not in "".join(spec.conda)


def test_fields_are_read_and_descriptions_are_not(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    for name, end in (("one", "\n"), ("two", "\r\n")):
        metadata = site / f"{name}-1.dist-info" / "METADATA"
        metadata.parent.mkdir(parents=True)
        lines = ("Metadata-Version: 2.1", f"Name: {name}", "Version: 1", "", "Name: another", "Version: 2", "")
        metadata.write_bytes(end.join(lines).encode())
    assert [(item.name, item.version) for item in installed_distributions(tmp_path)] == [("one", "1"), ("two", "1")]


def test_site_packages_that_cannot_be_read_are_not_taken_for_empty_ones(tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    site.mkdir(0)
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)  # root reads everything
    try:
        with pytest.raises(BuildError, match="site-packages: cannot be read"):
            distributions_in(site)
    finally:
        os.seteuid(me)
    assert distributions_in(tmp_path / "none") == ()
