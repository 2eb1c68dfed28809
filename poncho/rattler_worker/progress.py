"""What py-rattler tells of an installation, as events."""

from __future__ import annotations

import threading
import time

import rattler

from poncho.rattler_worker.failure import Send

PROGRESS_SECONDS = 0.1


class Progress(rattler.InstallerReporter):
    """Turn rattler's callbacks (from several threads) into a bounded number of events."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._packages = 0
        self._linked = 0
        self._bytes: dict[int, tuple[int, int]] = {}
        self._next = 0
        self._last = 0.0

    def on_transaction_start(self, total_operations: int) -> None:
        self._packages = total_operations

    def on_download_start(self, cache_entry: int) -> int:
        with self._lock:
            self._next += 1
            return self._next

    def on_download_progress(self, download_idx: int, progress: int, total: int | None) -> None:
        with self._lock:
            self._bytes[download_idx] = (progress, total or progress)
            if time.monotonic() - self._last < PROGRESS_SECONDS:
                return
            self._last = time.monotonic()
            done, whole = (sum(part) for part in zip(*self._bytes.values(), strict=True))
        self._send({"event": {"kind": "progress", "step": "fetch", "done": done, "total": whole, "unit": "bytes"}})

    def on_transaction_complete(self) -> None:
        with self._lock:
            whole = sum(total for _, total in self._bytes.values())
        if whole:
            event = {"kind": "done", "step": "fetch", "message": "downloaded", "done": whole, "total": whole}
            self._send({"event": event | {"unit": "bytes"}})

    def on_link_start(self, operation: int, package_name: str) -> int:
        with self._lock:
            self._linked += 1
            done = self._linked
        total = self._packages
        self._send(
            {
                "event": {
                    "kind": "progress", "step": "install", "message": package_name,
                    "done": done, "total": total, "unit": "packages",
                }
            }
        )  # fmt: skip
        return operation
