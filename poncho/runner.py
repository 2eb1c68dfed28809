"""Where the runner is: the one shell file that is installed as a command and travels in every package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from poncho._arguments import kind
from poncho.errors import BuildError, UsageError

RUNNER = "poncho_package_run"


def runner_path() -> Path:
    """Return the runner: beside the other run-time files where PONCHO is installed, in ``bin/`` of a checkout.

    Raises BuildError when there is none.
    """
    package = Path(__file__).resolve().parent
    for path in (package / "runtime" / RUNNER, package.parent / "bin" / RUNNER):
        if path.is_file():
            return path
    raise missing(RUNNER)


def run_command(package: Path, argv: Sequence[str], *, unpack_to: Path | None = None) -> list[str]:
    """Return the argument list that runs ``argv`` in a package; ``unpack_to`` is a directory instead of the store.

    Raises BuildError as ``runner_path`` does, UsageError for a command that is not a list of words.
    """
    if isinstance(argv, (str, bytes)) or not isinstance(argv, Sequence):
        raise UsageError(f"a command is a list of words, not {kind(argv)}", hint='write ["python", "task.py"]')
    where = [] if unpack_to is None else ["-u", str(unpack_to)]
    return [str(runner_path()), "-e", str(package.absolute()), *where, "--", *argv]


def last_words(text: str) -> tuple[str, str | None] | None:
    """Return what the runner last said was wrong, and its hint; None where it said nothing of the kind."""
    lines = text.splitlines()
    for number in reversed(range(len(lines))):
        said = lines[number].partition(f"{RUNNER}: ")
        if not said[0] and said[1] and not said[2].startswith("warning: "):
            after = lines[number + 1] if number + 1 < len(lines) else ""
            return said[2], after.removeprefix("hint: ") if after.startswith("hint: ") else None
    return None


def missing(name: str) -> BuildError:
    """Return the error for an installation that lacks a file."""
    return BuildError(
        f"{name} is missing from this installation of PONCHO",
        hint="install PONCHO again from its clone: pip install --force-reinstall DIRECTORY",
    )
