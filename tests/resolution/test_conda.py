"""A spec's conda part, solved against the real test channel."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from poncho._types import Event
from poncho.engine import native_platform
from poncho.engine.rattler import RattlerEngine
from poncho.errors import ResolveError
from poncho.resolution import resolve_conda, wanted_python
from poncho.resolution.conda import conda_specs, package_name, pinned_constraints
from poncho.spec import Spec
from poncho.store import BuilderCache


@dataclass(frozen=True)
class Base:
    url: str
    python_version: str


@pytest.fixture
def resolve(tmp_path):
    engine = RattlerEngine(BuilderCache(tmp_path / "cache"))

    def run(spec, **options):
        records = resolve_conda(spec, engine=engine, platform=native_platform(), **options)
        return {record.name: record.version for record in records}

    return run


@pytest.fixture
def base(channel):
    return Base(channel.file_url, channel.python_version)


def test_pip_packages_bring_python_and_pip(resolve, channel):
    assert {"python", "pip"} <= resolve(Spec((channel.file_url,), ("ladder",), ("alpha",))).keys()


def test_without_pip_packages_nothing_is_added(resolve, channel):
    assert resolve(Spec((channel.file_url,), ("ladder",))).keys() == {"ladder"}


def test_a_channel_without_packages_gives_nothing(resolve, channel):
    assert resolve(Spec((channel.file_url,))) == {}


def test_pinned_versions_hold_for_what_is_chosen(resolve, channel):
    spec = Spec((channel.file_url,), ("ladder",), pinned={"ladder": "1.1", "shadowed": "1.0"})
    assert resolve(spec) == {"ladder": "1.1"}


def test_a_pin_that_cannot_hold_is_an_error(resolve, channel):
    with pytest.raises(ResolveError, match="ladder"):
        resolve(Spec((channel.file_url,), ("ladder>=2",), pinned={"ladder": "1.1"}))


def test_extra_channels_come_last(resolve, channel):
    spec = Spec((channel.file_url,), ("shadowed", "only-second"))
    assert resolve(spec, extra_channels=[channel.second.file_url]) == {"shadowed": "1.0", "only-second": "1.0"}


def test_the_spec_is_left_as_it_was(resolve, channel):
    channels, conda = (channel.second.file_url, channel.file_url), ("shadowed",)
    spec = Spec(channels, conda, ("alpha",), python=channel.python)
    resolve(spec)
    assert (spec.channels, spec.conda, spec.pip) == (channels, conda, ("alpha",))


def test_a_spec_without_a_channel_takes_python_from_this_machine(resolve, base):
    assert {"python", "pip"} <= resolve(Spec(pip=("alpha",)), base=base).keys()
    assert "python" in resolve(Spec(), base=base)


def test_builds_of_another_channel_mean_nothing_to_the_local_base(resolve, base, channel):
    spec = Spec(conda=(f"python={channel.python_version}=h12345_0_cpython", "pip=99.9"))
    events: list[Event] = []
    assert resolve(spec, base=base, reporter=events.append)["python"] == channel.python_version
    (warning,) = [event.message for event in events if event.kind == "warning"]
    assert "asks for pip=99.9" in warning


@pytest.mark.parametrize(
    "spec",
    [
        Spec(conda=("python=2.5",)),
        Spec(conda=("python", "python >=99 *_cpython")),
        Spec(conda=("python[version='<3',build=x]",)),
    ],
)
def test_versions_of_python_hold_wherever_they_are_asked_for(resolve, base, spec):
    with pytest.raises(ResolveError, match="python"):
        resolve(spec, base=base)


def test_a_pip_that_fits_is_no_warning(resolve, base):
    events: list[Event] = []
    pip = resolve(Spec(conda=("pip",)), base=base)["pip"]
    for asked in ("pip", f"pip={pip}", f"pip =={pip}", "pip>=9,<999", f"pip {pip.partition('.')[0]}.*"):
        resolve(Spec(conda=(asked,)), base=base, reporter=events.append)
    assert not [event for event in events if event.kind == "warning"]


def test_conda_packages_without_a_channel_are_an_error_that_lists_them(resolve, base):
    with pytest.raises(ResolveError, match="names no channel to take them from: root, geant4=11") as caught:
        resolve(Spec(conda=("python", "root", "geant4=11")), base=base)
    assert "channels" in str(caught.value.hint)


def test_a_spec_without_a_channel_and_without_a_base_is_an_error(resolve):
    with pytest.raises(ResolveError, match="names no conda channel"):
        resolve(Spec(pip=("alpha",)))


@pytest.mark.parametrize(
    ("python", "expected"),
    [
        ("3.11", "python =3.11"),
        ("3.11.*", "python =3.11"),
        (">=3.10, <3.13", "python >=3.10,<3.13"),
        ("==3.11.4", "python ==3.11.4"),
    ],
)
def test_the_python_of_the_spec_becomes_a_match_spec(python, expected):
    assert conda_specs(Spec(("c",), python=python)) == (expected,)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (Spec(), None),
        (Spec(python="3.12"), "3.12"),
        (Spec(conda=("numpy", "conda-forge::python=3.11.7=h12_0")), "=3.11.7"),
        (Spec(conda=("python >=3.9,<3.12",)), ">=3.9,<3.12"),
        (Spec(conda=("python 3.11.*",)), "3.11.*"),
        (Spec(conda=("python",)), None),
        (Spec(conda=("python",), pinned={"python": "3.10.4"}), "3.10.4"),
    ],
)
def test_the_wanted_python_is_found_in_each_of_its_places(spec, expected):
    assert wanted_python(spec) == expected


@pytest.mark.parametrize(
    ("match", "name"),
    [
        ("numpy", "numpy"),
        ("conda-forge::ROOT>=6", "root"),
        ("python_abi 3.11.* *_cp311", "python_abi"),
        ("x[version='>1']", "x"),
    ],
)
def test_the_name_of_a_match_spec(match, name):
    assert package_name(match) == name


def test_pins_may_have_a_build():
    assert pinned_constraints(Spec(pinned={"a": "1.2", "b": "==1.2", "c": "1.2=py_0"})) == [
        "a ==1.2",
        "b ==1.2",
        "c ==1.2 py_0",
    ]
