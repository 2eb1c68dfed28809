"""Spec to lock: conda packages, data, and what pip adds to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from poncho._types import Reporter, silent
from poncho.base import BaseChannel, base_channel
from poncho.engine import CondaEngine, native_platform
from poncho.errors import BuildError, ResolveError
from poncho.fetch import resolve_data
from poncho.lock.model import Lock, LockedConda, LockedPip
from poncho.resolution.conda import resolve_conda, wanted_python
from poncho.resolution.elsewhere import resolve_pip_elsewhere
from poncho.resolution.pip import resolve_pip
from poncho.spec import Spec, portable, spec_digest
from poncho.store import BuilderCache


@dataclass(frozen=True, slots=True)
class Means:
    """What a resolution works with.

    ``prefix`` lends an environment with just these conda packages in it, to be read; None installs them into a temporary one.
    """

    engine: CondaEngine
    cache: BuilderCache
    offline: bool = False
    reporter: Reporter = silent
    prefix: Callable[[tuple[LockedConda, ...]], AbstractContextManager[Path]] | None = None


def resolve_spec(spec: Spec, *, means: Means, platform: str, written: Spec | None = None) -> Lock:
    """Return the lock of ``spec`` for ``platform`` (a conda subdir). Nothing is packed.

    ``written`` is the spec as the user wrote it, where ``spec`` says more (places of local code); the lock keeps that.
    pip must see what conda installs: for this machine's platform the conda packages are installed into
    ``means.prefix`` when there are pip requirements, and only then. Raises ResolveError, FetchError, BuildError.
    """
    engine, cache, offline, reporter = means.engine, means.cache, means.offline, means.reporter
    asked = portable(written or spec)
    base = choose_base(spec, platform, means)
    git, http = resolve_data(spec.git, spec.http, cache=cache, offline=offline, reporter=reporter)
    try:
        conda = resolve_conda(spec, engine=engine, base=base, platform=platform, offline=offline, reporter=reporter)
    except ResolveError as error:
        if "missing" not in error.context or spec.source is None:
            raise
        message = f"{spec.source}: /conda: {error.message}"
        raise ResolveError(message, hint=error.hint, context={**error.context, "source": spec.source}) from error
    virtual = engine.virtual_packages(platform)
    return Lock(
        platform=platform,
        spec_digest=spec_digest(asked),
        spec=asked,
        virtual_packages=virtual,
        channels=spec.channels,
        base=base.locked if base else None,
        conda=conda,
        pip=resolve_pip_beside(spec, conda, virtual, means=means, platform=platform),
        git=git,
        http=http,
    )


def choose_base(spec: Spec, platform: str, means: Means) -> BaseChannel | None:
    """Return this machine's interpreter as a channel for a spec that names none; None for one that does.

    Raises ResolveError when that is asked for another platform.
    """
    if spec.names_a_channel:
        return None
    if platform != native_platform():
        raise ResolveError(
            f"the spec names no conda channel, and this machine has an interpreter for {native_platform()} only, "
            f"not for {platform}",
            hint='add "channels": ["conda-forge"] to the spec',
        )
    return base_channel(wanted_python(spec), cache=means.cache, reporter=means.reporter)


def resolve_pip_beside(
    spec: Spec,
    conda: tuple[LockedConda, ...],
    virtual_packages: tuple[str, ...],
    *,
    means: Means,
    platform: str,
    pins: Mapping[str, str] = MappingProxyType({}),
) -> tuple[LockedPip, ...]:
    """Return what pip adds to the conda packages; ``pins`` (name → version) hold for what it chooses."""
    if not spec.pip:
        return ()
    cache, offline, reporter = means.cache, means.offline, means.reporter
    if platform != native_platform():
        return resolve_pip_elsewhere(
            spec.pip,
            conda=conda,
            platform=platform,
            virtual_packages=virtual_packages,
            pins=pins,
            offline=offline,
            cache=cache,
            reporter=reporter,
        )
    with means.prefix(conda) if means.prefix is not None else _temporary(conda, platform, means) as place:
        python = place / "bin" / "python"
        if not python.exists():
            raise BuildError("the spec has pip packages but no Python", hint='add "python" to the conda dependencies')
        return resolve_pip(spec.pip, python=python, pins=pins, offline=offline, cache=cache, reporter=reporter)


@contextmanager
def _temporary(conda: tuple[LockedConda, ...], platform: str, means: Means) -> Iterator[Path]:
    with means.cache.scratch("resolve") as scratch:
        means.engine.install(conda, scratch / "env", platform=platform, offline=means.offline, reporter=means.reporter)
        yield scratch / "env"
