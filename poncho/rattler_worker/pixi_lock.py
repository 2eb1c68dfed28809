"""Read a pixi.lock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rattler

from poncho.rattler_worker.failure import Failure, Send
from poncho.rattler_worker.records import to_json


async def read_lock(request: dict[str, Any], send: Send) -> dict[str, Any]:
    """Return what one environment of a pixi.lock (any version that rattler reads) holds for one platform."""
    try:
        lock = rattler.LockFile.from_path(Path(request["path"]))
        environments = dict(lock.environments())
        environment = environments.get(request["environment"])
        if environment is None:
            names = ", ".join(sorted(environments)) or "none"
            raise Failure("environment", f"has no environment {request['environment']!r}", names=names)
        platforms = {str(one.subdir): one for one in environment.platforms()}
        platform = platforms.get(request["platform"])
        if platform is None:
            raise Failure(
                "platform", f"holds no packages for {request['platform']}", names=", ".join(sorted(platforms))
            )
        conda, pypi = [], []
        for package in environment.packages(platform) or []:
            if isinstance(package, rattler.PypiLockedPackage):
                sha256 = package.hashes.sha256 if package.hashes else None
                known = {"name": package.name, "version": package.version, "location": package.location}
                pypi.append({**known, "sha256": sha256.hex() if sha256 else None})
            elif isinstance(package, rattler.CondaLockedBinaryPackage):
                conda.append(to_json(package.repo_data_record()))
            else:
                raise Failure("spec", f"{package.name} is to be built from source: {package.location}")
        channels = [str(channel) for channel in environment.channels()]
    except Failure:
        raise
    except Exception as error:
        raise Failure("spec", str(error) or type(error).__name__) from error
    return {"channels": channels, "conda": conda, "pypi": pypi}
