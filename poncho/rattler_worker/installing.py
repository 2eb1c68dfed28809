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
    records = [from_json({"depends": [], **document}) for document in request["records"]]
    cache = Path(request["cache"]) / "pkgs"
    if request["offline"]:
        index = await PackageCache(cache).index()
        missing = [r for r in records if not r.url.startswith("file:") and not index.contains_url(r, r.url)]
        if missing:
            names = ", ".join(record.file_name for record in missing[:NAMED])
            more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
            raise Failure("fetch", f"offline, and not in the cache: {names}{more}", offline=True)
    try:
        await rattler.install(
            records,
            request["prefix"],
            cache_dir=cache,
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
    if incomplete:
        records = [_complete(path, incomplete) for path in sorted(Path(request["prefix"], "conda-meta").glob("*.json"))]
    ordered = rattler.PackageRecord.sort_topologically(list(records))
    if request["link_scripts"]:
        if any(Path(request["prefix"], "bin").glob(".*-post-link.sh")):
            unshare(request["prefix"])
        for record in ordered:
            run_post_link(record, Path(request["prefix"]), request["platform"], send)
    return [record.name.normalized for record in ordered]


def _complete(path: Path, incomplete: set[str]) -> rattler.PrefixRecord:
    """Return the record of an installed package; one that was incomplete is completed from the package itself."""
    document = json.loads(path.read_text(encoding="utf-8"))
    extracted = document.get("extracted_package_dir")
    if document["name"] in incomplete and extracted:
        index = json.loads(Path(extracted, "info", "index.json").read_text(encoding="utf-8"))
        path.write_text(json.dumps({**document, **{key: index[key] for key in KEPT if key in index}}, indent=2) + "\n")
    return rattler.PrefixRecord.from_path(path)
