"""Channels, platforms and match specs, as a request names them, and the client that reaches the channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import rattler
from rattler import exceptions as errors
from rattler.networking import (
    AuthenticationMiddleware,
    Client,
    GCSMiddleware,
    MirrorMiddleware,
    OciMiddleware,
    RetryMiddleware,
    S3Middleware,
)

from poncho.rattler_worker.failure import Failure

# conda's own names for the channels that it is delivered with.
EXPANDED = {"defaults": ("main", "r"), "pkgs/main": ("main",), "pkgs/r": ("r",), "pkgs/msys2": ("msys2",)}


def read_config(request: dict[str, Any]) -> rattler.ChannelConfig:
    alias = {"channel_alias": request["alias"]} if request["alias"] else {}
    return rattler.ChannelConfig(root_dir=request["root"], **alias)


def find_channels(
    names: Sequence[str], more: Sequence[rattler.Channel], config: rattler.ChannelConfig
) -> list[rattler.Channel]:
    found = [_channel(one, config) for name in names for one in EXPANDED.get(name, (name,))]
    known = {channel.base_url for channel in found}
    return found + [channel for channel in {c.base_url: c for c in more}.values() if channel.base_url not in known]


def _channel(name: str, config: rattler.ChannelConfig) -> rattler.Channel:
    try:
        return rattler.Channel(name, config)
    except (errors.InvalidChannelError, errors.InvalidUrlError, ValueError) as error:
        raise Failure("spec", f"{name!r} is not a channel: {error}") from error


def find_platform(name: str) -> rattler.Subdir:
    try:
        platform = rattler.Subdir(name)
    except errors.ParseSubdirError:
        platform = None
    if platform is None or "-" not in name:  # noarch is no machine; linux64 is one to rattler, and to no channel
        raise Failure("spec", f"{name!r} is not a platform such as linux-64 or osx-arm64")
    return platform


def match_specs(
    texts: Sequence[str], config: rattler.ChannelConfig
) -> tuple[list[rattler.MatchSpec], list[rattler.Channel]]:
    """Return the match specs, and the channels that ``channel::package`` specs name."""
    specs: list[rattler.MatchSpec] = []
    channels: list[rattler.Channel] = []
    for text in texts:
        name, separator, rest = text.rpartition("::")
        if separator:
            # Written with the URL, the name means the same as in the list of channels, whatever the channel alias.
            channel = _channel(EXPANDED.get(name, (name,))[0], config)
            channels.append(channel)
            text = f"{channel.base_url.rstrip('/')}::{rest}"
        try:
            specs.append(rattler.MatchSpec(text))
        except Exception as error:
            raise Failure("spec", f"{rest or text!r} is not a conda match spec: {error}") from error
    return specs, channels


def new_client(request: dict[str, Any]) -> Client:
    # The default stack (retries; RATTLER_AUTH_FILE, keyring, netrc; other kinds of servers), mirrors before it.
    stack: list[Any] = [
        RetryMiddleware(3),
        AuthenticationMiddleware(),
        OciMiddleware(),
        GCSMiddleware(),
        S3Middleware(),
    ]
    mirrors = [MirrorMiddleware(request["mirrors"])] if request["mirrors"] else []
    return Client([*mirrors, *stack], user_agent="poncho")
