"""The words that start something inside a package on a node, as text for the scripts that engines write."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from poncho.errors import StoreError, UsageError
from poncho.package import open_package
from poncho.runner import RUNNER, runner_path
from poncho.store import atomic_file

# Engines put their command into here-documents, double quotes and further scripts: there these mean something.
_EXPANDED = "$`\\\n\r\0!"


@dataclass(frozen=True, slots=True)
class Placed:
    """Where nodes find the runner and the package: paths, or names in a job's scratch directory."""

    runner: str
    package: str

    def argv(self, *, store: str | None = None, python_path: Sequence[str] = ()) -> list[str]:
        """Return the words to put before a command. ``store`` is PONCHO_STORE; ``python_path`` becomes PYTHONPATH."""
        words = ["env", f"PONCHO_STORE={store}"] if store else []
        words += [self.runner, "-e", self.package]
        if python_path:
            words += ["--env", f"PYTHONPATH={os.pathsep.join(python_path)}"]
        return [*words, "--"]


def place(package: Path, directory: Path | str | None) -> Placed:
    """Return where nodes find ``package`` and the runner: where they are, or copied into ``directory``, which nodes see.

    Copies carry the digest of the package in their name, and one that is there stays. Raises PonchoError.
    """
    if directory is None:
        return Placed(str(runner_path()), str(package.absolute()))
    place = Path(directory).absolute()
    target = place / f"env-{open_package(package).digest}{''.join(package.suffixes[-2:])}"
    runner = place / RUNNER
    try:
        place.mkdir(parents=True, exist_ok=True)
        if not target.is_file() or target.stat().st_size != package.stat().st_size:
            with atomic_file(target) as private:
                shutil.copyfile(package, private)
        if not runner.is_file() or runner.read_bytes() != runner_path().read_bytes():
            with atomic_file(runner, mode=0o755) as private:
                shutil.copyfile(runner_path(), private)
    except OSError as error:
        raise StoreError(
            f"{place}: the package cannot be put there ({error.strerror})",
            hint="name a directory that you may write to",
        ) from error
    return Placed(str(runner), str(target))


def shell_text(words: Sequence[str], *, formatted: int = 0) -> str:
    """Return words as text for a shell script; braces survive ``formatted`` rounds of ``str.format``.

    Raises UsageError for a word that would not survive the scripts that engines wrap around it.
    """
    for word in words:
        if any(char in _EXPANDED for char in word):
            raise UsageError(
                f"{word!r} has a character that the scripts of batch systems expand",
                hint="use a path without $ ` \\ ! and line breaks",
            )
    text = shlex.join(words)
    factor = 2**formatted
    return text.replace("{", "{" * factor).replace("}", "}" * factor)
