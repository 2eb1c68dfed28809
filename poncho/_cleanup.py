"""End cleanly at any moment: what must not be left behind is written down before it is made.

A signal becomes an exception in the main thread, between any two of its instructions; so it can come after a directory
was made and before the ``finally`` that deletes it is reached, and other threads never see it. Hence two things.
``deferred`` keeps the signal waiting where a process is started or a directory made, and ``register`` writes down how to
undo that, for ``sweep`` to do at the very end what no ``finally`` did. A library caller who installs no handlers
pays a few dictionary entries and gets what Python does by itself.
"""

from __future__ import annotations

import _thread
import contextlib
import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, ClassVar

_lock = threading.Lock()
_numbers = itertools.count()
_undos: dict[int, Callable[[], None]] = {}
_SOON = 0.01  # seconds: a finalizer, and what is said of its exceptions, has ended by then


class Interrupted(BaseException):
    """The process was told to end by the signal ``number``."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class StoppedError(BaseException):
    """This thread works on something that is given up already."""


class _State:
    """What the signal handler knows. Changed by the main thread alone."""

    depth = 0
    waiting: int | None = None
    raised: int | None = None
    ending = False
    before: ClassVar[dict[int, Any]] = {}
    hook: ClassVar[Callable[[Any], Any] | None] = None


def interrupted() -> int | None:
    """Return the signal that this process was told to end by, None when there was none."""
    return _State.raised


def install_handlers(second: Callable[[], None]) -> None:
    """Turn SIGINT, SIGTERM and SIGHUP into ``Interrupted`` in the main thread, once; what is ignored stays so.

    Any further signal calls ``second``, and changes nothing: the clean-up that goes on is what was asked for.
    """
    _State.depth, _State.waiting, _State.raised, _State.ending = 0, None, None, False

    def handle(number: int, frame: FrameType | None) -> None:
        if _State.raised is not None:
            second()
        elif _State.depth:
            _State.waiting = number
        else:
            _State.raised = number
            raise Interrupted(number)

    restore_handlers()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        found = signal.getsignal(number)
        if found in (signal.SIG_DFL, signal.default_int_handler):
            _State.before[number] = found
            signal.signal(number, handle)
    before = sys.unraisablehook

    def hook(lost: Any) -> None:
        # Python drops what is raised while an object is finalized. Then the signal has to come once more.
        if isinstance(lost.exc_value, Interrupted):
            _State.raised = None
            # From another thread: here the handler would run at once, and what it raises be dropped again.
            with contextlib.suppress(RuntimeError):
                _thread.start_new_thread(_send_again, (lost.exc_value.number,))
        else:
            before(lost)

    sys.unraisablehook = hook
    _State.hook = before


def _send_again(number: int) -> None:
    time.sleep(_SOON)
    if _State.raised is None:
        os.kill(os.getpid(), number)


def finish() -> None:
    """Let a signal that comes from now on change nothing, until the handlers are restored: the work is done."""
    _State.depth += 1


def restore_handlers(instead: signal.Handlers | None = None) -> None:
    """Undo ``install_handlers``; or put ``instead`` in the place of all handlers."""
    for number, handler in _State.before.items():
        signal.signal(number, handler if instead is None else instead)
    _State.before.clear()
    if _State.hook is not None:
        sys.unraisablehook, _State.hook = _State.hook, None


class deferred:  # noqa: N801  # reads as a statement
    """Keep a signal waiting while the block runs; it must be short. Does nothing in other threads."""

    def __enter__(self) -> None:
        # Decided by the thread's number: threading.current_thread() would run code of its own.
        if threading.get_ident() == threading.main_thread().ident:
            _State.depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if threading.get_ident() == threading.main_thread().ident:
            _State.depth -= 1
            if _State.depth == 0 and _State.waiting is not None and _State.raised is None:
                number, _State.waiting = _State.waiting, None
                _State.raised = number
                raise Interrupted(number)


def register(undo: Callable[[], None]) -> Callable[[], None]:
    """Write down ``undo`` for the case that this process is told to end; return what to call when it is not needed.

    Register a path before it is made, a process when it was started. When the end has come already, ``undo`` is
    called at once and StoppedError raised: threads that are still at work come to an end here.
    """
    number = next(_numbers)
    with _lock:
        ending = _State.ending
        if not ending:
            _undos[number] = undo
    if ending:
        with contextlib.suppress(Exception):
            undo()
        raise StoppedError
    return lambda: _forget(number)


def sweep() -> None:
    """Undo all that is still registered, the newest first, and refuse whatever is registered from now on."""
    with _lock:
        _State.ending = True
        undos = [undo for _, undo in sorted(_undos.items(), reverse=True)]
        _undos.clear()
    for undo in undos:
        with contextlib.suppress(Exception):
            undo()


def _forget(number: int) -> None:
    _undos.pop(number, None)
