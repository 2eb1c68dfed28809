"""Choose records: solve, and match specs with records."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import rattler
from rattler import exceptions as errors
from rattler.repo_data import Gateway, SourceConfig

from poncho.rattler_worker.channels import find_channels, find_platform, match_specs, new_client, read_config
from poncho.rattler_worker.failure import Failure, Send
from poncho.rattler_worker.machine import find_virtual_packages
from poncho.rattler_worker.records import from_json, to_json

NO_CANDIDATES = re.compile(
    r"[Nn]o candidates were found for (?P<name>[A-Za-z0-9_.-]+)|── (?P<branch>[\w.-]+) \S+, for which no"
)


async def solve(request: dict[str, Any], send: Send) -> list[dict[str, Any]]:
    """Return the records of a solution as JSON objects."""
    config = read_config(request)
    specs, named = match_specs(request["specs"], config)
    constraints, _ = match_specs(request["constraints"], config)
    channels = find_channels(request["channels"], named, config)
    platform = find_platform(request["platform"])
    gateway = Gateway(
        cache_dir=Path(request["cache"]) / "repodata",
        default_config=SourceConfig(cache_action="force-cache-only" if request["offline"] else "cache-or-fetch"),
        client=new_client(request),
    )
    platforms = [platform, rattler.Subdir("noarch")]
    try:
        records = await rattler.solve(
            channels,
            specs,
            gateway=gateway,
            platforms=platforms,
            virtual_packages=find_virtual_packages(request),
            constraints=constraints,
            channel_priority=rattler.ChannelPriority.Strict,
            # A channel's own wish to be ranked beside another one (CEP-42) would change the order that the spec gives.
            channel_relations="disabled",
        )
    except errors.SolverError as error:
        words = str(error).removeprefix("Cannot solve the request because of: ").strip()
        raise Failure("resolve", words, similar=await _similar(words, channels, platforms, gateway)) from error
    except (errors.GatewayError, errors.FetchRepoDataError, errors.IoError) as error:
        words = str(error)
        guilty = next((channel.base_url for channel in channels if channel.base_url in words), None)
        raise Failure("fetch", words, channel=guilty, offline=request["offline"]) from error
    return [to_json(record) for record in records]


async def match(request: dict[str, Any], send: Send) -> list[list[str]]:
    """Return for each match spec the names of the records that it allows."""
    specs, _ = match_specs(request["specs"], read_config(request))
    records = [from_json(document) for document in request["records"]]
    return [[record.name.normalized for record in records if spec.matches(record)] for spec in specs]


async def _similar(words: str, channels: Any, platforms: Any, gateway: Gateway) -> dict[str, list[str]]:
    """Return, for each name without a candidate, names that the channels do have and that look like it."""
    import difflib

    missing = {match["name"] or match["branch"] for match in NO_CANDIDATES.finditer(words)}
    try:
        names = [name.normalized for name in await gateway.names(channels, platforms, "disabled")]
    except Exception:
        return {}
    return {
        name: difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.65)
        for name in missing
        # One that is there lacks the version, not the name.
        if name[:2] != "__" and name.lower() not in names
    }
