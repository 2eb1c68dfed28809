"""Link records into a prefix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import rattler
from rattler import exceptions as errors
from rattler.package_cache import PackageCache

from poncho.rattler_worker.channels import new_client
from poncho.rattler_worker.failure import Failure, Send
from poncho.rattler_worker.post_link import run_post_link, unshare
from poncho.rattler_worker.progress import Progress
from poncho.rattler_worker.records import from_json

# What a package's info/index.json says beside its name.
KEPT = (
    "arch", "build_number", "constrains", "depends", "features", "license", "license_family", "noarch", "platform",
    "python_site_packages_path", "timestamp", "track_features",
)  # fmt: skip
NAMED = 5


async def install(request: dict[str, Any], send: Send) -> list[str]:
    """Link the records into the prefix, run their post-link scripts; return the order in which they were linked."""
    # An explicit list says nothing of what its packages depend on; they say it themselves.
    incomplete = {document["name"] for document in request["records"] if "depends" not in document}
    unsure = {document["name"] for document in request["records"] if not document.get("sha256")}
    records = [from_json({"depends": [], **_with_origin(document)}) for document in request["records"]]
    folder = Path(request["cache"]) / "pkgs"
    cache = PackageCache(folder).with_cached_origin() if unsure else PackageCache(folder)
    if request["offline"]:
        index = await cache.index()
        missing = [r for r in records if not r.url.startswith("file:") and not index.contains_url(r, r.url)]
        if missing:
            names = ", ".join(record.file_name for record in missing[:NAMED])
            more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
            raise Failure("fetch", f"offline, and not in the cache: {names}{more}", offline=True)
    try:
        await rattler.install(
            records,
            request["prefix"],
            cache_dir=folder,
            package_cache=cache,
            installed_packages=[],
            platform=rattler.Subdir(request["platform"]),
            execute_link_scripts=False,
            show_progress=False,
            client=new_client(request),
            requested_specs=[rattler.MatchSpec(text)._match_spec for text in request["requested"]],
            reporter=Progress(send),  # type: ignore[abstract]
        )
    except errors.InstallerError as error:
        words = str(error)
        guilty = next((r.file_name for r in records if r.file_name in words or r.url in words), None)
        raise Failure("install", words, package=guilty) from error
    if incomplete or unsure:
        metadata = sorted(Path(request["prefix"], "conda-meta").glob("*.json"))
        records = [_complete(path, incomplete, unsure) for path in metadata]
    ordered = rattler.PackageRecord.sort_topologically(list(records))
    if request["link_scripts"]:
        if any(Path(request["prefix"], "bin").glob(".*-post-link.sh")):
            unshare(request["prefix"])
        for record in ordered:
            run_post_link(record, Path(request["prefix"]), request["platform"], send)
    return [record.name.normalized for record in ordered]


def _with_origin(document: dict[str, Any]) -> dict[str, Any]:
    """Return the record with all that tells its file from others in its URL, where it has no sha256.

    rattler's cache knows a package by name, version, build and sha256. Without the last, another channel's package of the
    same name would be taken for it, and its md5 never be looked at: then the cache goes by the URL, too.
    """
    if document.get("sha256") or not document.get("md5"):
        return document
    return {**document, "url": f"{document['url']}#{document['md5']}"}


def _complete(path: Path, incomplete: set[str], unsure: set[str]) -> rattler.PrefixRecord:
    """Return the record of an installed package; one that was incomplete is completed from the package itself."""
    document = json.loads(path.read_text(encoding="utf-8"))
    extracted, more = document.get("extracted_package_dir"), {}
    if document["name"] in incomplete and extracted:
        index = json.loads(Path(extracted, "info", "index.json").read_text(encoding="utf-8"))
        more = {key: index[key] for key in KEPT if key in index}
    if document["name"] in unsure:
        more["url"] = document["url"].partition("#")[0]
    if more:
        path.write_text(json.dumps({**document, **more}, indent=2) + "\n")
    return rattler.PrefixRecord.from_path(path)
