"""A bill of materials of a package: CycloneDX 1.6 in JSON, the same bytes for the same package."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement

from poncho._version import __version__
from poncho.look.inventory import Inventory, Part, take_inventory
from poncho.look.metadata import About, conda_about, read_about
from poncho.look.parts import is_description
from poncho.look.purl import purl
from poncho.look.source import open_source
from poncho.pack.editable import normalise
from poncho.package.owners import Owner

SPEC_VERSION = "1.6"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:poncho:package")
_MACHINES = {"64": "x86_64", "32": "i686"}


def bill_of_materials(path: Path, *, name: str = "environment") -> dict[str, Any]:
    """Return the bill of materials of a package, an archive of others, or a directory, as a JSON object.

    Components are conda packages, distributions, and git and http data, with purl, licences as their own metadata say them,
    and the sha256 of what was installed where the lock has it. ``name`` is what the whole is called; neither it nor the file's
    name makes the serial number, which comes from the package's digest. Reads the package through. Raises PackageError.
    """
    source = open_source(path)
    inventory = take_inventory(source)
    texts = source.texts(is_description)
    about = read_about(texts)
    for part in inventory.of_kind("conda"):
        if part.owner not in about and part.origin.record:
            about[part.owner] = conda_about(part.origin.record)
    parts = sorted(inventory.parts, key=lambda part: part.owner)
    references = _references(parts, about)
    components = [_component(part, about.get(part.owner, About()), references[part.owner]) for part in parts]
    whole = {"type": "application", "name": name, "bom-ref": "environment"}
    result: dict[str, Any] = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "version": 1,
        "metadata": {
            "lifecycles": [{"phase": "post-build"}],
            "tools": {"components": [{"type": "application", "name": "poncho", "version": __version__}]},
            "component": whole | ({"version": inventory.digest[:12]} if inventory.digest else {}),
            "properties": _properties(inventory),
        },
        "components": components,
        "dependencies": _dependencies(parts, about, references, inventory),
    }
    if inventory.digest:
        result["serialNumber"] = f"urn:uuid:{uuid.uuid5(_NAMESPACE, inventory.digest)}"
    return result


def _component(part: Part, about: About, reference: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "data" if part.owner.kind == "data" else "library",
        "bom-ref": reference,
        "name": part.name,
        "version": part.version,
        "description": about.summary,
        "hashes": _hashes(part),
        "licenses": licences(about.licences),
        "purl": _purl(part, about),
        "externalReferences": _external(part, about),
        "properties": [
            {"name": "poncho:files", "value": str(part.files)},
            {"name": "poncho:bytes", "value": str(part.bytes)},
            *([{"name": "poncho:origin", "value": part.origin.where}] if part.origin.where else []),
        ],
    }
    return {key: value for key, value in found.items() if value}


def licences(given: Iterable[str]) -> list[dict[str, Any]]:
    """Return licences as CycloneDX has them: one SPDX expression where all of it is one, else the names as given."""
    names = list(dict.fromkeys(given))
    if len(names) == 1:
        try:
            return [{"expression": canonicalize_license_expression(names[0])}]
        except (InvalidLicenseExpression, ValueError):
            pass
    return [{"license": {"name": name}} for name in names]


def _purl(part: Part, about: About) -> str:
    if part.owner.kind == "pip":
        return purl("pypi", part.name, part.version)
    if part.owner.kind == "conda":
        record = about.record or part.origin.record
        file = part.origin.url or str(record.get("fn") or "")
        qualifiers = {
            "build": part.build,
            "channel": part.origin.where if part.origin.url else "",
            "subdir": part.origin.subdir or str(record.get("subdir") or ""),
            "type": next((form for form in ("conda", "tar.bz2") if file.endswith(f".{form}")), ""),
        }
        return purl("conda", part.name, part.version, qualifiers)
    if part.origin.url.startswith("git+"):
        return purl("generic", part.name, "", {"vcs_url": part.origin.url})
    checksum = f"sha256:{part.origin.sha256}" if part.origin.sha256 else ""
    return purl("generic", part.name, "", {"download_url": part.origin.url, "checksum": checksum})


def _hashes(part: Part) -> list[dict[str, str]]:
    known = (("SHA-256", part.origin.sha256), ("MD5", part.origin.md5))
    return [{"alg": name, "content": value} for name, value in known if value]


def _external(part: Part, about: About) -> list[dict[str, str]]:
    url = part.origin.url
    found = [("vcs", url.removeprefix("git+"))] if url.startswith("git+") else [("distribution", url)]
    found.append(("website", about.home if about.home.startswith(("http:", "https:")) else ""))
    return [{"type": kind, "url": value} for kind, value in found if value and " " not in value]


def _references(parts: Iterable[Part], about: Mapping[Owner, About]) -> dict[Owner, str]:
    found: dict[Owner, str] = {}
    for part in parts:
        reference = _purl(part, about.get(part.owner, About()))
        # Two kinds of one thing could share a purl; a reference names one component.
        found[part.owner] = reference if reference not in found.values() else f"{reference}#{part.owner.kind}"
    return found


def _properties(inventory: Inventory) -> list[dict[str, str]]:
    known = {
        "poncho:digest": inventory.digest,
        "poncho:python": inventory.python,
        "poncho:platform": inventory.platform,
        "poncho:glibc": inventory.glibc,
        "poncho:cpu": inventory.cpu,
        "poncho:files": str(inventory.files),
        "poncho:bytes": str(inventory.bytes),
    }
    return [{"name": name, "value": value} for name, value in known.items() if value]


def _dependencies(
    parts: Iterable[Part], about: Mapping[Owner, About], references: Mapping[Owner, str], inventory: Inventory
) -> list[dict[str, Any]]:
    """Return who needs whom, as far as it is here; the whole needs whom nobody else does."""
    environment = _markers(inventory)
    edges: dict[str, list[str]] = {}
    for part in parts:
        found = {_provider(name, part.owner.kind, references) for name in _needs(part, about, environment)}
        edges[references[part.owner]] = sorted(one for one in found if one and one != references[part.owner])
    return [
        {"ref": "environment", "dependsOn": _tops(edges)},
        *({"ref": reference, "dependsOn": needed} for reference, needed in edges.items()),
    ]


def _tops(edges: Mapping[str, list[str]]) -> list[str]:
    """Return the references that lead to all others: those that nobody needs, and one of each ring beyond them."""
    needed = {reference for references in edges.values() for reference in references}
    found: list[str] = []
    seen: set[str] = set()
    for reference in [*(one for one in edges if one not in needed), *edges]:
        if reference in seen:
            continue
        found.append(reference)
        waiting = [reference]
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                waiting += edges.get(one, ())
    return sorted(found)


def _provider(name: str, kind: str, references: Mapping[Owner, str]) -> str | None:
    owners = (Owner("conda", name), Owner("pip", normalise(name)))
    for owner in owners if kind == "conda" else reversed(owners):
        if owner in references:
            return references[owner]
    return None


def _needs(part: Part, about: Mapping[Owner, About], environment: Mapping[str, str]) -> Iterable[str]:
    for need in about.get(part.owner, About()).needs:
        if part.owner.kind == "conda":
            yield need.partition("::")[2].split(" ", 1)[0] if "::" in need else need.split(" ", 1)[0]
            continue
        try:
            requirement = Requirement(need)
            if requirement.marker is None or requirement.marker.evaluate({**environment, "extra": ""}):
                yield requirement.name
        except (InvalidRequirement, UndefinedComparison, UndefinedEnvironmentName, ValueError):
            continue


def _markers(inventory: Inventory) -> dict[str, str]:
    """Return what markers (PEP 508) are compared with: the package's own Python and platform, not this machine's."""
    full = inventory.python or "3.0.0"
    machine = (inventory.platform or "").partition("-")[2]
    return {
        "implementation_name": "cpython",
        "implementation_version": full,
        "os_name": "posix",
        "platform_machine": _MACHINES.get(machine, machine),
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": full if full.count(".") == 2 else f"{full}.0",
        "python_version": ".".join(full.split(".")[:2]),
        "sys_platform": "linux",
    }
