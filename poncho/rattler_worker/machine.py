"""Virtual packages: what the machine, or one of another platform, has."""

from __future__ import annotations

import os
from typing import Any

import rattler
from rattler.package import BuildString
from rattler.virtual_package import GenericVirtualPackage, VirtualPackage, VirtualPackageOverrides

from poncho.rattler_worker.channels import find_platform
from poncho.rattler_worker.failure import Failure, Send


def find_virtual_packages(request: dict[str, Any]) -> list[GenericVirtualPackage]:
    if request["virtual_packages"] is not None:
        return [_generic(text) for text in request["virtual_packages"]]
    if request["platform"] == str(rattler.Subdir.current()):
        return [package.into_generic() for package in VirtualPackage.detect(VirtualPackageOverrides.from_env())]
    find_platform(request["platform"])
    return [_generic(text) for text in _usual(request["platform"])]


def _usual(platform: str) -> list[str]:
    """Return what a machine of another platform usually has; ``CONDA_OVERRIDE_*`` says what the real one has."""
    system, _, machine = platform.partition("-")
    usual = {
        "linux": {"unix": "0", "linux": "4.18", "glibc": "2.28"},
        "osx": {"unix": "0", "osx": "11.0"},
        "win": {"win": "10"},
    }.get(system, {})
    if "cuda" not in usual and os.environ.get("CONDA_OVERRIDE_CUDA"):
        usual = {**usual, "cuda": os.environ["CONDA_OVERRIDE_CUDA"]}
    versions = {name: os.environ.get(f"CONDA_OVERRIDE_{name.upper()}", version) for name, version in usual.items()}
    machine = {"64": "x86_64", "32": "x86"}.get(machine, machine)
    return [f"__{name}={version}=0" for name, version in versions.items() if version] + [f"__archspec=1={machine}"]


def _generic(text: str) -> GenericVirtualPackage:
    try:
        name, version, build = (*text.split("="), "0", "0")[:3]
        return GenericVirtualPackage(rattler.PackageName(name), rattler.Version(version), BuildString(build))
    except Exception as error:
        raise Failure("spec", f"{text!r} is not a virtual package: {error}") from error


async def virtual_packages(request: dict[str, Any], send: Send) -> list[str]:
    """Return the virtual packages as ``name=version=build``."""
    return [str(package) for package in find_virtual_packages({"virtual_packages": None, **request})]
