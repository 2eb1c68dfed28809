"""The builder's side of ``poncho.pack.listing``: directories are listed by two processes, each takes the next one."""

from __future__ import annotations

import marshal
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from poncho._descriptors import for_child
from poncho.pack import listing
from poncho.pack.listing import Row

# So many directories are worth a process, which needs 15 ms to begin. Of so many, the numbers fit into the smallest pipe: a page.
_FEWEST, _MOST = 64, 1000


def list_beside(
    root: str, units: Sequence[str], mine: Callable[[str], None], meanwhile: Callable[[], None]
) -> Mapping[str, Mapping[str, Sequence[Row]]]:
    """Let ``mine`` take some of the directories ``units`` of ``root`` and a process the others; return what that found, by unit.

    That is the rows of each directory in it, itself first, by their paths relative to the root, each closed by a slash. What the
    process could not list is left to ``mine``, which says why. ``meanwhile`` is called when there is nothing left to take.
    """
    shared, rest = units[:_MOST], units[_MOST:]
    # The process knows names as UTF-8: where this one has others, it would not find by them what that one has listed.
    is_worth_it = len(shared) >= _FEWEST and sys.getfilesystemencoding() == "utf-8"
    helper, tokens = _start(root, len(shared)) if is_worth_it else (None, -1)
    if helper is None:
        for unit in units:
            mine(unit)
        meanwhile()
        return {}
    done = set()
    try:
        _ask(helper, shared)
        for number in listing.taken(tokens):
            mine(units[number])
            done.add(number)
        for unit in rest:
            mine(unit)
        meanwhile()
        answer = _answer(helper)
    finally:
        os.close(tokens)
        helper.kill()
        helper.communicate()  # closes the pipe, too
    for number, unit in enumerate(shared):
        if number not in done and number not in answer:
            mine(unit)
    return {shared[number]: found for number, found in answer.items()}


def _start(root: str, count: int) -> tuple[subprocess.Popen[bytes] | None, int]:
    """Start the process; return it and the pipe that both take the numbers of ``count`` directories from."""
    helper = None
    try:
        tokens, feed = os.pipe()
    except OSError:
        return None, -1
    try:
        os.write(feed, listing.tokens_for(count))
        with for_child(tokens) as number:
            helper = subprocess.Popen(
                [sys.executable, "-I", "-S", "-X", "utf8", listing.__file__, str(number), root],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(number,),
                env={name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ},
            )
    except (OSError, ValueError):
        pass
    finally:
        os.close(feed)
        if helper is None:
            os.close(tokens)
    return helper, tokens


def _ask(helper: subprocess.Popen[bytes], units: Sequence[str]) -> None:
    asked, helper.stdin = helper.stdin, None
    assert asked is not None
    try:
        with asked:
            asked.write(os.fsencode("".join(f"{unit}\0" for unit in units)))
    except OSError:
        pass  # it has ended already: what it does not answer is done here


def _answer(helper: subprocess.Popen[bytes]) -> Mapping[int, Mapping[str, Sequence[Row]]]:
    assert helper.stdout is not None
    try:
        found = marshal.loads(helper.stdout.read())
    except (EOFError, ValueError, TypeError, OSError):
        return {}
    return found if isinstance(found, dict) else {}
