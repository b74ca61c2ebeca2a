"""What FFmpeg complains of, for the one line that tells the user why it failed."""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Iterator

from bmf.lib._bmf.sdk import LogBuffer

__all__ = ["errors_heard"]

_lock = threading.Lock()
_lines: list[str] = []
_listening: LogBuffer | None = None
_runs = 0


@contextlib.contextmanager
def errors_heard() -> Iterator[list[str]]:
    """FFmpeg's errors, oldest first, of this and all other runs that go on meanwhile.

    BMF's buffer is made once and kept: FFmpeg's threads hold its lock while they wait for Python's, so that
    making or closing one during a run could bring both to a stop.
    """
    global _listening, _runs
    with _lock:
        if _listening is None:
            _listening = LogBuffer(_lines, "error")
            atexit.register(_stop)
        if not _runs:
            _lines.clear()
        _runs += 1
    try:
        yield _lines
    finally:
        with _lock:
            _runs -= 1


def _stop() -> None:
    """Before the interpreter ends, for BMF would let go of a Python list after it."""
    if _listening is not None and not _runs:
        _listening.close()
