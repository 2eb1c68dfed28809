"""Run bin/poncho_package_run as a node would: in a given shell, with a bare environment and a store of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.handmade import RUNNER

# Each is started as "sh", as a script with #!/bin/sh starts it; zsh and bash behave differently under that name.
SHELLS = ("dash", "bash", "busybox", "zsh")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    status: int
    out: str
    err: str

    def ok(self) -> Outcome:
        """Assert that it succeeded."""
        assert self.status == 0, f"status {self.status}\n{self.out}\n{self.err}"
        return self

    def refused(self, *words: str, status: int = 125) -> Outcome:
        """Assert that it failed by the runner's own doing, with one line that holds ``words`` and at most a hint."""
        assert self.status == status, f"status {self.status}\n{self.out}\n{self.err}"
        lines = self.err.splitlines()
        assert lines[0].startswith("poncho_package_run: ")
        assert [line.split(":")[0] for line in lines[1:]] in ([], ["hint"]), self.err
        for word in words:
            assert word in self.err
        assert self.out == ""
        return self


@dataclass
class Runner:
    """The runner on one node: ``directory`` holds its store, its home and the working directory of the commands."""

    directory: Path
    shell: str | None = None
    script: Path = RUNNER
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = self.directory / "store"
        self.cwd = self.directory / "work here"
        self.cwd.mkdir(parents=True, exist_ok=True)

    def environment(self, changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
        """Return the environment of a run; None in ``changes`` takes a variable away."""
        found: dict[str, str | None] = {
            "PATH": PATH,
            "HOME": str(self.directory),
            "PONCHO_STORE": str(self.store),
            **self.env,
            **(changes or {}),
        }
        return {name: value for name, value in found.items() if value is not None}

    def command(self, *args: object, script: Path | None = None) -> list[str]:
        """Return the argument list."""
        path = str(script or self.script)
        return [*([self._sh()] if self.shell else []), path, *map(str, args)]

    def __call__(
        self,
        *args: object,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
        script: Path | None = None,
        **options: Any,
    ) -> Outcome:
        done = subprocess.run(
            self.command(*args, script=script),
            env=self.environment(env),
            cwd=cwd or self.cwd,
            capture_output=True,
            timeout=options.pop("timeout", 60),
            check=False,
            **options,
        )
        return Outcome(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))

    def start(
        self, *args: object, env: Mapping[str, str | None] | None = None, **options: Any
    ) -> subprocess.Popen[bytes]:
        """Start a run and do not wait for it."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": self.cwd, **options}
        return subprocess.Popen(self.command(*args), env=self.environment(env), **options)

    def _sh(self) -> str:
        assert self.shell is not None
        found = shutil.which(self.shell)
        assert found is not None
        link = self.directory / f"{self.shell}-as" / "sh"
        if not link.is_symlink():
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(found)
        return str(link)

    def unpacked(self) -> list[str]:
        """Return the names of the environments in the store."""
        return (
            sorted(name for name in os.listdir(self.store) if not name.startswith((".", "work.")))
            if self.store.is_dir()
            else []
        )

    def leftovers(self) -> list[str]:
        """Return what killed runners left in the store."""
        return (
            [name for name in os.listdir(self.store) if name.startswith("work.") or name.endswith(".link")]
            if self.store.is_dir()
            else []
        )


def without(directory: Path, *hidden: str) -> str:
    """Return a PATH that has every program of /usr/bin and /bin, ``hidden`` left out."""
    directory.mkdir(parents=True, exist_ok=True)
    for place in ("/usr/bin", "/bin"):
        for entry in os.scandir(place):
            if entry.name not in hidden and not (directory / entry.name).is_symlink():
                (directory / entry.name).symlink_to(entry.path)
    return str(directory)
