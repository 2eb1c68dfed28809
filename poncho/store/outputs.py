"""Look at what is to be written before any work is done: it can be, and is none of what is read, nor written twice."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from poncho.errors import StoreError, UsageError
from poncho.store.atomic import check_replaceable


def check_output(target: Path, *, directory: bool = False, example: str = "env.tar.gz") -> None:
    """Refuse an output that could not be written, before any work is done. Raises StoreError.

    With ``directory`` it is to be a new or empty directory; ``example`` is what else it may be called.
    """
    is_directory = os.path.isdir(target)
    if directory and os.path.exists(target) and not is_directory:
        raise StoreError(f"{target}: is a file, not a directory", hint="name a new directory")
    if directory and is_directory and not _is_empty(target):
        raise StoreError(f"{target}: exists and is not empty", hint="name a new directory, or empty it")
    if is_directory and not directory:
        raise StoreError(f"{target}: is a directory", hint=f"name a file, for example {target / example}")
    why = why_not(target)
    if not os.path.isdir(target.parent) and why in (None, os.strerror(errno.ENOENT)):
        raise StoreError(f"{target.parent}: no such directory", hint=f"create it first: mkdir -p {target.parent}")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise StoreError(f"{target.parent}: cannot be written", hint="choose a directory that you may write to")
    if why not in (None, os.strerror(errno.ENOENT)):
        raise StoreError(f"{target}: cannot be written ({why})", hint="choose another name")
    check_replaceable(target)


def check_kept(output: object, *inputs: object, unless: Callable[[Path], bool] | None = None) -> None:
    """Refuse an output that is one of the files that are read, by whatever name or link. Raises UsageError.

    What is no path, such as a value or a stream, is no file, and neither is ``-``. ``unless`` tells of an input that its
    output may take its place.
    """
    if not _is_file(output):
        return
    for one in inputs:
        if _is_file(one) and _same(output, one) and not (unless and unless(Path(str(one)))):
            raise UsageError(f"{output}: is what is to be read, and would be overwritten", hint="name another file")


def check_outside(output: object, directory: object, *, unless: Callable[[Path], bool]) -> None:
    """Refuse an output that is a file of a directory that is read, by whatever name or link. Raises UsageError.

    ``unless`` tells of a file that it is such an output, of an earlier time; in an empty one nothing is lost.
    """
    if not _is_file(output) or not isinstance(directory, (str, os.PathLike)) or not os.path.isdir(directory):
        return
    file, root = os.path.realpath(str(output)), os.path.realpath(directory)
    if file.startswith(root.rstrip("/") + "/") and os.path.getsize(file) and not unless(Path(str(output))):
        raise UsageError(
            f"{output}: belongs to what is to be read, {os.fspath(directory)}, and would be overwritten",
            hint="name another file",
        )


def check_apart(*outputs: object) -> None:
    """Refuse two outputs that are one file, there or not; None is no output. Raises UsageError."""
    named = [one for one in outputs if isinstance(one, (str, os.PathLike))]
    for number, one in enumerate(named):
        for other in named[:number]:
            if _same(one, other):
                raise UsageError(
                    f"{one}: two things are to be written to it, and one would overwrite the other",
                    hint="name a file for each",
                )


def why_not(path: Path) -> str | None:
    """Return why nothing can be said of ``path`` (it is not there, most often); None when something can."""
    try:
        path.lstat()
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None


def _is_file(given: object) -> bool:
    return isinstance(given, (str, os.PathLike)) and os.fspath(given) != "-" and os.path.isfile(given)


def _same(one: object, other: object) -> bool:
    first, second = (os.fspath(each) for each in (one, other) if isinstance(each, (str, os.PathLike)))
    try:
        return os.path.samefile(first, second)
    except (OSError, ValueError):
        pass
    try:
        return os.path.realpath(first) == os.path.realpath(second)
    except (OSError, ValueError):
        return False


def _is_empty(directory: Path) -> bool:
    try:
        return not any(directory.iterdir())
    except OSError as error:
        raise StoreError(f"{directory}: cannot be read ({error.strerror})") from error
