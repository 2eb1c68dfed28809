"""The right distribution, the right version, and the same bytes every time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from poncho.analysis import Analysis, Tier, analyze, find_environment, known
from poncho.analysis.conda import public_host, short_channel
from poncho.analysis.editable import canonical
from poncho.errors import AnalysisError
from poncho.spec import parse

Look = Callable[..., Analysis]

# import, PyPI, conda-forge
TRAPS = """
yaml pyyaml pyyaml
cv2 opencv-python py-opencv
sklearn scikit-learn scikit-learn
skimage scikit-image scikit-image
PIL pillow pillow
XRootD xrootd xrootd
attr attrs attrs
attrs attrs attrs
dateutil python-dateutil python-dateutil
Crypto pycryptodome pycryptodome
dotenv python-dotenv python-dotenv
jwt pyjwt pyjwt
gi pygobject pygobject
OpenSSL pyopenssl pyopenssl
magic python-magic python-magic
docx python-docx python-docx
serial pyserial pyserial
usb pyusb pyusb
zmq pyzmq pyzmq
bs4 beautifulsoup4 beautifulsoup4
git gitpython gitpython
github pygithub pygithub
win32api pywin32 pywin32
google.cloud.storage google-cloud-storage google-cloud-storage
google.protobuf protobuf protobuf
mpl_toolkits matplotlib matplotlib-base
mpl_toolkits.basemap basemap basemap
matplotlib matplotlib matplotlib-base
pkg_resources setuptools<82 setuptools<82
torch torch pytorch
tables tables pytables
graphviz graphviz python-graphviz
dask dask dask-core
uproot uproot uproot-base
hist hist hist-base
igraph igraph python-igraph
umap umap-learn umap-learn
community python-louvain python-louvain
nacl pynacl pynacl
websocket websocket-client websocket-client
msgpack msgpack msgpack-python
xxhash xxhash python-xxhash
build build python-build
installer installer python-installer
fitz pymupdf pymupdf
tlz toolz toolz
faiss faiss-cpu faiss-cpu
osgeo gdal gdal
docker docker docker-py
typing_extensions typing-extensions typing_extensions
jupyter_client jupyter-client jupyter_client
ruamel.yaml ruamel-yaml ruamel.yaml
numpy numpy numpy
"""


@pytest.mark.parametrize("row", TRAPS.strip().splitlines(), ids=lambda row: row.split()[0])
def test_what_is_not_installed_has_its_right_name(look: Look, conda_env: Any, row: str) -> None:
    module, pypi, conda = row.split()
    assert look(f"import {module}\n").spec.pip == (pypi,)
    assert conda in look(f"import {module}\n", prefix=conda_env.prefix).spec.conda


def test_a_namespace_is_told_by_what_is_imported_from_it(look: Look) -> None:
    analysis = look("from google.cloud import storage, bigquery\nfrom google.protobuf import message\n")
    assert analysis.spec.pip == ("google-cloud-bigquery", "google-cloud-storage", "protobuf")


def test_a_backport_depends_on_the_target_s_version(tmp_path: Path) -> None:
    for version, expected in (("3.10", ("tomli",)), ("3.12", ())):
        prefix = tmp_path / version
        (prefix / f"lib/python{version}/site-packages").mkdir(parents=True)
        (prefix / "pyvenv.cfg").write_text(f"version = {version}.4\n")
        analysis = analyze("import tomllib\nimport os\n", prefix=prefix)
        assert analysis.spec.pip == expected
        assert f"python={version}.4" in analysis.spec.conda


def test_modules_that_python_no_longer_has(tmp_path: Path) -> None:
    (tmp_path / "lib/python3.13/site-packages").mkdir(parents=True)
    assert analyze("import cgi\nimport distutils.core\n", prefix=tmp_path).spec.pip == ("legacy-cgi", "setuptools")


@pytest.mark.parametrize(
    ("module", "conda"),
    [("ROOT", "root"), ("ndcctools.taskvine", "ndcctools"), ("work_queue", "ndcctools"), ("taskvine", "ndcctools")],
)
def test_what_only_conda_has_never_falls_to_pip(look: Look, conda_env: Any, module: str, conda: str) -> None:
    with pytest.raises(AnalysisError) as caught:
        look(f"import {module}\n")
    assert "--pkg-mapping" in (caught.value.hint or "")
    assert f"conda-forge::{conda}" in (caught.value.hint or "")
    spec = look(f"import {module}\n", prefix=conda_env.prefix).spec
    assert conda in spec.conda
    assert spec.pip == ()


@pytest.mark.parametrize(
    ("text", "version", "expected"),
    [
        ("import tomllib\n", "3.10", ("tomli",)),
        ("import tomllib\n", "3.11", ()),
        ("try:\n    import tomllib\nexcept ImportError:\n    import tomli as tomllib\n", "3.9", ("tomli",)),
        ("try:\n    import tomllib\nexcept ImportError:\n    import tomli as tomllib\n", "3.12", ()),
        ("import sys\nif sys.version_info < (3, 11):\n    import tomli\n", "3.10", ("tomli",)),
        ("import sys\nif sys.version_info < (3, 11):\n    import tomli\n", "3.13", ()),
        ("import importlib.metadata\n", "3.7", ("importlib-metadata",)),
        ("from zoneinfo import ZoneInfo\n", "3.8", ("backports-zoneinfo",)),
        ("from zoneinfo import ZoneInfo\n", "3.9", ()),
        ("import distutils\n", "3.12", ("setuptools",)),
        ("import distutils\n", "3.11", ()),
    ],
)
def test_another_version_of_python_is_analysed_for(
    look: Look, text: str, version: str, expected: tuple[str, ...]
) -> None:
    spec = look(text, python=version).spec
    assert spec.pip == expected
    assert any(re.fullmatch(rf"python={version}(\.\d+)?", one) for one in spec.conda)


def test_for_another_python_nothing_is_pinned_to_what_is_installed_for_this_one(look: Look, env: Any) -> None:
    env.install("yamlish", "1.2", {"yamlish.py": ""})
    (found,) = look("import yamlish\n", python="3.8").findings
    assert (found.requirement, found.version) == ("yamlish", None)
    assert "not pinned for 3.8" in found.version_evidence


@pytest.mark.parametrize("version", ["2.7", "3", "newest", "3.11 "])
def test_what_is_no_version_of_python_is_refused(look: Look, version: str) -> None:
    with pytest.raises(AnalysisError, match="no version of Python 3"):
        look("import os\n", python=version)


@pytest.mark.parametrize(
    ("module", "project"),
    [
        ("libsbml", "python-libsbml"),
        ("pubsub.pub", "pypubsub"),
        ("orbax.checkpoint", "orbax-checkpoint"),
        ("PySAM", "nrel-pysam"),  # there is a project pysam, and it holds no PySAM
        ("pysam", "pysam"),
        ("docopt", "docopt"),  # has no wheel: a fork of it has one, and holds the same module
        ("airflow", "apache-airflow"),  # the wheel has no modules, and requires the project that has them
    ],
)
def test_what_wheels_hold_is_known(look: Look, module: str, project: str) -> None:
    analysis = look(f"import {module}\n")
    assert analysis.spec.pip == (project,)
    assert not analysis.problems


def test_of_several_that_hold_a_module_all_are_told(look: Look) -> None:
    analysis = look("import consul\n")
    (found,) = analysis.findings
    assert {found.name, *found.rivals} == {"py-consul", "python-consul", "python-consul2"}
    assert "--pkg-mapping consul=NAME" in str(analysis.problems[0])
    assert look("import consul.check\n").spec.pip == ("py-consul",)


def test_the_table_of_wheels_says_nothing_that_other_rules_say(look: Look) -> None:
    rows = (Path(known.__file__).with_name("data") / "modules.tsv").read_text().splitlines()
    assert rows == sorted(rows)
    for module, _, projects in (row.partition("\t") for row in rows):
        names = projects.split(",")
        assert all(known.is_project(name) for name in names)
        assert "." in module or canonical(module) not in names
        assert not known.is_own_name(module.partition(".")[0])


def test_what_the_public_maps_disagree_on_is_told(look: Look) -> None:
    analysis = look("import avro_gen\n", strict=False)
    assert not [problem for problem in analysis.problems if "may be meant" in str(problem)]
    one = next(row for row in _disagreements() if row[0] not in TRAPS)
    analysis = look(f"import {one[0]}\n")
    (found,) = analysis.findings
    (problem,) = analysis.problems
    assert found.name in one[1] | one[2]
    assert set(found.rivals) == (one[1] | one[2]) - {found.name}
    assert f"--pkg-mapping {one[0]}=NAME" in str(problem)


def _disagreements() -> Iterator[tuple[str, set[str], set[str]]]:
    """Yield rows of the public maps that name two different projects, none of them after the import."""
    from poncho.analysis import known

    table = Path(known.__file__).with_name("data") / "imports.tsv"
    projects = {line.partition("\t")[0] for line in table.with_name("projects.tsv").read_text().splitlines()}
    for line in table.read_text().splitlines():
        name, first, second = line.split("\t")
        one, other = set(first.split(",")), set(second.split(","))
        if "-" not in one | other and not one & other and canonical(name) not in projects and not known.trap(name):
            yield name, one, other


def test_a_library_s_parts_are_required_as_far_as_importing_it_loads_them(env: Any, tmp_path: Path) -> None:
    package = tmp_path / "mylib"
    package.mkdir()
    (package / "__init__.py").write_text("from . import core\n")
    (package / "core.py").write_text("import numpy\ndef f():\n    import scipy\n")
    (package / "extra.py").write_text("import pandas\nfrom . import core\nif core.f:\n    import ujson\n")
    (package / "compat.py").write_text("from . import core\n")
    for name in ("one", "two", "three"):
        (package / f"{name}.py").write_text(f"import rich\nfrom . import {name}_more\n")
        (package / f"{name}_more.py").write_text("import click\nimport tqdm\n")
    (package / "plugin.py").write_text("import pytest\n")
    (package / "tests").mkdir()
    (package / "tests" / "test_core.py").write_text("import hypothesis\n")
    tiers = {one.name: (one.tier, one.included) for one in analyze(package, prefix=env.prefix).findings}
    assert tiers == {
        "numpy": (Tier.REQUIRED, True),  # importing the package loads it
        "click": (Tier.REQUIRED, True),  # three modules that others import need it outright
        "tqdm": (Tier.REQUIRED, True),
        "scipy": (Tier.CONDITIONAL, True),
        "pandas": (Tier.CONDITIONAL, True),
        "rich": (Tier.CONDITIONAL, True),  # nothing imports the modules that need it
        "ujson": (Tier.OPTIONAL, False),  # a switch in a library
        "pytest": (Tier.OPTIONAL, False),  # a tool for development
        "hypothesis": (Tier.OPTIONAL, False),
    }


@pytest.mark.parametrize(
    ("part", "whole"),
    [
        ("pydantic_core", "pydantic"),
        ("cycler", "matplotlib"),
        ("multidict", "aiohttp"),
        ("traitlets", "jupyter_client"),
        ("starlette", "fastapi"),
        ("azure.core", "azure.mgmt.core"),
    ],
)
def test_what_comes_along_with_another_distribution_is_not_named(look: Look, part: str, whole: str) -> None:
    analysis = look(f"import {whole}\nimport {part}\n")
    kept, left = canonical(whole.replace(".", "-")), canonical(part.replace(".", "-"))
    assert analysis.spec.pip == (kept,)
    (found,) = [one for one in analysis.findings if one.name == left]
    assert (found.tier, found.included, found.comes_with) == (Tier.OPTIONAL, False, (kept,))
    assert found.to_json()["comes_with"] == [kept]
    # Alone it is needed, and what a person names stays.
    assert look(f"import {part}\n").spec.pip == (left,)
    assert look(f"import {whole}\nimport {part}\n", extra=(left,)).spec.pip == (left, kept)[:: 1 if left < kept else -1]


def test_a_part_comes_along_with_conda_packages_too(look: Look, conda_env: Any) -> None:
    spec = look("import matplotlib\nimport cycler\n", prefix=conda_env.prefix).spec
    assert [one for one in spec.conda if not one.startswith(("python", "pip"))] == ["matplotlib-base"]


def test_a_part_that_is_installed_is_pinned_like_the_rest(look: Look, env: Any) -> None:
    env.install("pydantic", "2.1", {"pydantic.py": ""})
    env.install("pydantic_core", "2.4", {"pydantic_core.py": ""})
    spec = look("import pydantic\nimport pydantic_core\n").spec
    assert spec.pip == ("pydantic-core==2.4", "pydantic==2.1")
    # For another Python nothing is pinned, so there it comes along again.
    assert look("import pydantic\nimport pydantic_core\n", python="3.9").spec.pip == ("pydantic",)


def test_what_another_version_needs_is_told_and_never_taken(look: Look, env: Any) -> None:
    env.install("tomli", "2.0", {"tomli.py": ""})
    text = "import sys\nif sys.version_info >= (3, 99):\n    import json\nelse:\n    import os\n"
    text += "if sys.version_info < (3, 2):\n    import tomli\n"
    (found,) = look(text).findings
    assert (found.name, found.tier, found.included) == ("tomli", Tier.OPTIONAL, False)


def test_a_part_of_a_namespace_that_lies_elsewhere_is_not_the_program_s(env: Any, tmp_path: Path) -> None:
    own = tmp_path / "azure" / "mgmt" / "thing"
    own.mkdir(parents=True)
    for folder in (own.parent, own.parent.parent):
        (folder / "__init__.py").write_text('__path__ = __import__("pkgutil").extend_path(__path__, __name__)\n')
    (own / "__init__.py").write_text(
        "from azure.mgmt.core import X\nimport azure.identity\nfrom azure.mgmt import thing\n"
    )
    analysis = analyze(tmp_path, prefix=env.prefix)
    assert [one.name for one in analysis.findings] == ["azure-identity", "azure-mgmt-core"]


def test_what_only_conda_has_comes_from_a_channel_that_is_named(look: Look) -> None:
    spec = look("import ROOT\n", mapping={"ROOT": "conda-forge::root"}).spec
    assert "conda-forge::root" in spec.conda
    assert spec.names_a_channel
    with pytest.raises(AnalysisError, match="not on PyPI"):
        look("import ROOT\n", mapping={"ROOT": "root"})


def test_all_unresolvable_imports_are_told_at_once(look: Look) -> None:
    with pytest.raises(AnalysisError) as caught:
        look("import zzz_one\nimport ROOT\ndef f():\n    import zzz_two.sub\nimport utils\n")
    message, hint = caught.value.message, caught.value.hint or ""
    assert "4 imports" in message
    assert "zzz_one (app.py:1)" in message
    assert "zzz_two (app.py:4)" in message
    assert "--pkg-mapping zzz_one=NAME" in hint
    assert "ROOT=conda-forge::root" in hint
    assert "\n" not in message + hint


def test_without_strict_they_are_returned(look: Look) -> None:
    analysis = look("import zzz_one\nimport numpy\n", strict=False)
    assert [one.name for one in analysis.unresolved] == ["zzz_one"]
    assert analysis.spec.pip == ("numpy",)


def test_mapping_and_extra_packages(look: Look, env: Any) -> None:
    env.install("my-tool", "2.0", {"my_tool.py": ""})
    mapping = {"cv2": "opencv-python-headless", "zzz": "my_tool", "gone": "-", "a.b": "ab-package>=2"}
    analysis = look(
        "import cv2, zzz.x, gone, a.b.c\n", mapping=mapping, extra=["coffea", "six==1.16", "torch[cuda]", "rich=13"]
    )
    assert set(analysis.spec.pip) == {
        "opencv-python-headless", "my-tool==2.0", "ab-package>=2", "coffea", "six==1.16", "torch[cuda]", "rich==13",
    }  # fmt: skip


@pytest.mark.parametrize("extra", ["", "a b; rm", "-r file", "$(x)"])
def test_an_extra_package_that_is_none_is_refused(look: Look, extra: str) -> None:
    with pytest.raises(AnalysisError):
        look("", extra=[extra])


def test_installed_distributions_give_exact_versions(look: Look, env: Any) -> None:
    env.install("PyYAML", "6.0.1", {"yaml/__init__.py": "", "_yaml/__init__.py": ""})
    env.install("strange-name", "1!2.0+local", {"plain/__init__.py": "", "plain/sub.py": ""})
    env.install("one.file", "0.1", {"single.py": ""})
    env.install("google-x", "1.0", {"google/x/__init__.py": ""})
    env.install("google-y", "2.0", {"google/y.py": ""})
    env.install("declared", "3.0", {"other.py": ""}, metadata="Import-Name: declared_name\n")
    analysis = look("import yaml, plain.sub, single\nfrom google import y\nimport declared_name\n")
    assert analysis.spec.pip == (
        "declared==3.0", "google-y==2.0", "one-file==0.1", "pyyaml==6.0.1", "strange-name==1!2.0+local",
    )  # fmt: skip
    finding = next(one for one in analysis.findings if one.name == "pyyaml")
    assert finding.installed
    assert finding.version == "6.0.1"
    assert finding.version_evidence == "PyYAML-6.0.1.dist-info"
    assert "installed" in finding.evidence


def test_of_several_providers_the_usual_one_is_taken_and_the_rest_told(look: Look, env: Any) -> None:
    env.install("opencv-python-headless", "4.9", {"cv2/__init__.py": ""})
    assert look("import cv2\n").spec.pip == ("opencv-python-headless==4.9",)
    env.install("opencv-contrib-python", "4.8", {"cv2/contrib.py": "", "cv2/__init__.py": ""})
    finding = look("import cv2\n").findings[0]
    assert "as do" in finding.evidence


def test_an_egg_info_directory_is_read_too(look: Look, env: Any) -> None:
    info = env.site / "old_thing-1.2-py3.9.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: old-thing\nVersion: 1.2\n")
    (info / "top_level.txt").write_text("oldthing\n")
    (env.site / "oldthing.py").write_text("")
    assert look("import oldthing\n").spec.pip == ("old-thing==1.2",)


def test_damaged_metadata_ends_nothing(look: Look, env: Any) -> None:
    for name in ("~ip-1.0.dist-info", "bad.dist-info", "-.egg-info", "x-1.0.dist-info"):
        (env.site / name).mkdir()
    (env.site / "x-1.0.dist-info" / "RECORD").write_bytes(b'\xff\0\n"unclosed\n,,,\n')
    (env.site / "x-1.0.dist-info" / "direct_url.json").write_text("[1, 2")
    (env.site / "gone.egg-link").write_text("/nonexistent\n.")
    assert look("import numpy\n").spec.pip == ("numpy",)


def test_an_editable_install_is_a_local_requirement_that_follows_the_code(
    look: Look, env: Any, editable_project: Path
) -> None:
    env.pip("--no-build-isolation", "-e", str(editable_project))
    analysis = look("import local_tools\n")
    (requirement,) = analysis.spec.pip
    assert requirement.startswith("local-tools @ file://")
    assert "my%20projects" in requirement
    assert dict(analysis.editable) == {"local-tools": editable_project}
    assert look("import local_tools\n").spec.pip == (requirement,)
    (editable_project / "code" / "local_tools" / "__init__.py").write_text("import yaml, os\n")
    assert look("import local_tools\n").spec.pip != (requirement,)
    assert parse(analysis.document()).pip == (requirement,)


def test_what_pip_installs_from_a_local_requirement_is_that_code(
    look: Look, env: Any, editable_project: Path, tmp_path: Path
) -> None:
    env.pip("--no-build-isolation", "-e", str(editable_project))
    (requirement,) = look("import local_tools\n").spec.pip
    (tmp_path / "requirements.txt").write_text(requirement + "\n")
    target = tmp_path / "target"
    env.pip("--no-build-isolation", "--target", str(target), "-r", str(tmp_path / "requirements.txt"))
    assert (target / "local_tools" / "__init__.py").read_text() == "import yaml\n"


def test_a_program_beside_its_editable_package_needs_that_package(env: Any, editable_project: Path) -> None:
    env.pip("--no-build-isolation", "-e", str(editable_project))
    script = editable_project / "code" / "app.py"
    script.write_text("import local_tools\n")
    analysis = analyze([script], prefix=env.prefix)
    assert [one.partition(" ")[0] for one in analysis.spec.pip] == ["local-tools", "pyyaml"]
    inside = analyze([editable_project / "code" / "local_tools"], prefix=env.prefix)
    assert inside.spec.pip == ("pyyaml",)


def test_a_repository_or_url_is_named_without_credentials(look: Look, env: Any) -> None:
    env.install("forked", "1.0", {"forked.py": ""})
    url = {"url": "https://user:secret@host.example/x.git", "vcs_info": {"vcs": "git", "commit_id": "a" * 40}}
    (env.site / "forked-1.0.dist-info" / "direct_url.json").write_text(json.dumps(url))
    assert look("import forked\n").spec.pip == (f"forked @ git+https://host.example/x.git@{'a' * 40}",)


def test_a_conda_environment_gives_the_conda_dialect(look: Look, conda_env: Any) -> None:
    site = conda_env.site
    conda_env.add("numpy", "1.26.4", "py311_0", [f"{site}/numpy/__init__.py"], dist="numpy")
    conda_env.add("pyyaml", "6.0.1", "py311_1", [f"{site}/yaml/__init__.py"], dist="PyYAML")
    conda_env.add("yaml", "0.2.5", "h7f98852_2", ["lib/libyaml.so"])
    conda_env.add("root_base", "6.30", "py_0", [f"{site}/ROOT/__init__.py"])
    conda_env.add("msgpack-python", "1.0", "py_1", [f"{site}/msgpack/__init__.py"], dist="msgpack")
    main = "https://repo.example/pkgs/main/linux-64"
    conda_env.add("openssl", "3.0", "h_0", ["lib/libssl.so"], channel=main)
    conda_env.add("private", "1.0", "0", ["x"], channel="https://u:pw@host.example/t/tk-SECRET/lab/noarch")
    conda_env.pip("six", "1.16.0", ["six.py"])
    analysis = look("import numpy, yaml, ROOT, six, msgpack\n", prefix=conda_env.prefix)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert analysis.document() == {
        "conda": {
            "channels": ["conda-forge", "https://host.example/lab", "defaults"],
            "dependencies": [
                "msgpack-python=1.0=py_1",
                "numpy=1.26.4=py311_0",
                "pip=23.3=pyhd8ed1ab_0",
                f"python={version}.7=h1_0_cpython",
                "pyyaml=6.0.1=py311_1",
                "root_base=6.30=py_0",
                {"pip": ["six==1.16.0"]},
            ],
        }
    }
    assert str(conda_env.prefix) not in analysis.dumps()
    assert "SECRET" not in analysis.dumps()
    assert "feedstock" not in analysis.dumps()


def test_pip_over_a_conda_package_is_pip_s(look: Look, conda_env: Any) -> None:
    conda_env.add("numpy", "1.26.4", "py311_0", [f"{conda_env.site}/numpy/__init__.py"], dist="numpy")
    for path in (conda_env.prefix / conda_env.site / "numpy-1.26.4.dist-info").iterdir():
        path.unlink()
    (conda_env.prefix / conda_env.site / "numpy-1.26.4.dist-info").rmdir()
    conda_env.pip("numpy", "2.0.0", ["numpy/__init__.py"])
    spec = look("import numpy\n", prefix=conda_env.prefix).spec
    assert spec.pip == ("numpy==2.0.0",)


def test_extras_in_a_conda_environment_are_conda_s_unless_installed_otherwise(look: Look, conda_env: Any) -> None:
    conda_env.add("xrootd", "5.6", "py_0", ["bin/xrdcp"])
    conda_env.pip("six", "1.16.0", ["six.py"])
    spec = look("", prefix=conda_env.prefix, extra=["xrootd", "six", "cmake", "gcc=12", "other::tool"]).spec
    assert set(spec.conda) >= {"xrootd=5.6=py_0", "cmake", "gcc=12", "other::tool"}
    assert spec.pip == ("six==1.16.0",)


def test_damaged_conda_records_end_nothing(look: Look, conda_env: Any) -> None:
    (conda_env.prefix / "conda-meta" / "broken-1.0-0.json").write_bytes(b"{\xff not json numpy/__init__.py")
    (conda_env.prefix / "conda-meta" / "odd.json").write_text("[]")
    assert "numpy" in look("import numpy\n", prefix=conda_env.prefix).spec.conda


@pytest.mark.parametrize(
    ("text", "short"),
    [
        (f"https://{public_host()}/conda-forge/linux-64", "conda-forge"),
        (f"https://{public_host()}/conda-forge/", "conda-forge"),
        (f"https://{public_host()}/t/tk-123-abc/private/noarch", "private"),
        ("https://repo.example/pkgs/main/linux-64", "defaults"),
        ("https://repo.example/pkgs/r", "defaults"),
        ("conda-forge", "conda-forge"),
        ("conda-forge/label/dev", "conda-forge/label/dev"),
        ("https://me:pw@host.example:8443/t/x/chan/linux-aarch64", "https://host.example:8443/chan"),
        ("file:///data/channel/noarch", "file:///data/channel"),
        ("pypi", None),
        ("<unknown>", None),
        ("", None),
    ],
)
def test_channels_have_short_names_without_credentials(text: str, short: str | None) -> None:
    assert short_channel(text) == short


def test_an_interpreter_that_was_repackaged_needs_no_channel_again(look: Look, conda_env: Any) -> None:
    for path in (conda_env.prefix / "conda-meta").glob("*.json"):
        record = json.loads(path.read_text())
        record["channel"] = "file:///home/someone/.cache/poncho/base/x"
        path.write_text(json.dumps(record))
    conda_env.pip("numpy", "2.0.0", ["numpy/__init__.py"])
    spec = look("import numpy\n", prefix=conda_env.prefix).spec
    assert not spec.names_a_channel
    assert spec.pip == ("numpy==2.0.0",)
    assert f"python={sys.version_info[0]}.{sys.version_info[1]}.7" in spec.conda


def test_outside_conda_the_document_has_the_same_form(look: Look) -> None:
    document = look("import numpy\n").document()
    version = ".".join(map(str, sys.version_info[:3]))
    assert document == {"conda": {"channels": [], "dependencies": ["pip", f"python={version}", {"pip": ["numpy"]}]}}
    assert not parse(document).names_a_channel


def test_the_same_program_gives_the_same_bytes(tmp_path: Path, env: Any) -> None:
    names = ["numpy", "pandas", "scipy", "yaml", "requests", "sympy", "PIL", "cv2", "zmq", "jwt"]
    for folder, order in (("one", names), ("two directory", names[::-1])):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "app.py").write_text("".join(f"import {name}\n" for name in order))
    code = (
        "import sys, pathlib; from poncho.analysis import analyze;"
        "sys.stdout.write(analyze(['app.py'], prefix=pathlib.Path(sys.argv[1])).dumps())"
    )
    root = str(Path(__file__).resolve().parents[2])
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code, str(env.prefix)],
            cwd=tmp_path / folder,
            env={**os.environ, "PYTHONPATH": root, "PYTHONHASHSEED": seed, "HOME": "/h", "TZ": zone},
            check=True, capture_output=True,
        ).stdout
        for folder, seed, zone in (("one", "1", "UTC"), ("two directory", "2", "Asia/Tokyo"), ("one", "3", "UTC"))
    }  # fmt: skip
    assert len(outputs) == 1


class TestWhichEnvironment:
    """Where names and versions are taken from."""

    def test_the_active_environment_first_on_path_is_meant(self, env: Any, conda_env: Any) -> None:
        active = {"VIRTUAL_ENV": str(env.prefix), "CONDA_PREFIX": str(conda_env.prefix)}
        venv_first = {**active, "PATH": f"{env.prefix}/bin:{conda_env.prefix}/bin:/usr/bin"}
        conda_first = {**active, "PATH": f"{conda_env.prefix}/bin:{env.prefix}/bin:/usr/bin"}
        assert find_environment(environ=venv_first).prefix == env.prefix
        assert find_environment(environ=conda_first).prefix == conda_env.prefix

    def test_the_users_own_python_first_on_path_is_meant_when_none_is_active(self, env: Any) -> None:
        """PONCHO in a virtual environment of its own, called by its path, or from a notebook of another."""
        assert find_environment(environ={"PATH": f"{env.prefix}/bin:/usr/bin"}).prefix == env.prefix
        own_first = {"PATH": f"{sys.prefix}/bin:{env.prefix}/bin"}
        assert find_environment(environ=own_first).prefix == Path(sys.prefix)

    def test_a_directory_on_path_that_cannot_be_looked_into_is_passed_over(self, env: Any) -> None:
        # As for another user's environment, only that root may look into those.
        hidden = "/" + "x" * 300  # before Python 3.14, exists() raises for it
        assert find_environment(environ={"PATH": f"{hidden}:{env.prefix}/bin"}).prefix == env.prefix

    def test_without_one_it_is_that_of_the_running_interpreter(self) -> None:
        assert find_environment(environ={"PATH": "/usr/bin"}).prefix == Path(sys.prefix)

    def test_a_variable_that_points_nowhere_is_ignored(self) -> None:
        assert find_environment(environ={"CONDA_PREFIX": "/nonexistent", "PATH": ""}).prefix == Path(sys.prefix)

    def test_live_functions_come_from_the_running_interpreter(self, env: Any) -> None:
        found = find_environment(environ={"VIRTUAL_ENV": str(env.prefix)}, running=True)
        assert found.prefix == Path(sys.prefix)

    def test_a_prefix_without_python_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(AnalysisError, match="holds no Python"):
            find_environment(tmp_path)
        with pytest.raises(AnalysisError, match="no directory"):
            find_environment(tmp_path / "missing")

    def test_system_site_packages_are_seen_where_the_environment_sees_them(self, env: Any, tmp_path: Path) -> None:
        base = tmp_path / "base"
        site = base / "lib" / env.site.parent.name / "site-packages"
        (site / "six-1.16.0.dist-info").mkdir(parents=True)
        (site / "six-1.16.0.dist-info" / "RECORD").write_text("six.py,,\n")
        for system, expected in (("true", "six==1.16.0"), ("false", "six")):
            version = ".".join(map(str, sys.version_info[:3]))
            (env.prefix / "pyvenv.cfg").write_text(
                f"home = {base}/bin\ninclude-system-site-packages = {system}\nversion = {version}\n"
            )
            assert analyze("import six\n", prefix=env.prefix).spec.pip == (expected,)


def test_the_tables_of_names_are_sorted() -> None:
    for table in sorted(Path(known.__file__).with_name("data").glob("*.tsv")):
        keys = [line.partition("\t")[0] for line in table.read_text("utf-8").splitlines()]
        assert keys == sorted(set(keys)), table.name
