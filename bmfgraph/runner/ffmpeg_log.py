"""Collect FFmpeg's error messages, for the cause in a node's error."""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Iterator

from bmf.lib._bmf.sdk import LogBuffer

__all__ = ["errors_heard"]

_lock = threading.Lock()
_lines: list[str] = []
_buffer: LogBuffer | None = None
_runs = 0


@contextlib.contextmanager
def errors_heard() -> Iterator[list[str]]:
    """Collect the error messages of FFmpeg within the context.

    FFmpeg has one log for the whole process, so all runs that go on at the same time share the messages. BMF's log
    buffer is created once and kept: FFmpeg's threads hold its lock while they wait for Python's lock, so creating or
    closing a buffer during a run could deadlock.

    Yields:
        The messages, oldest first. The list grows during the run.
    """
    global _buffer, _runs
    with _lock:
        if _buffer is None:
            _buffer = LogBuffer(_lines, "error")
            atexit.register(_close)
        if not _runs:
            _lines.clear()
        _runs += 1
    try:
        yield _lines
    finally:
        with _lock:
            _runs -= 1


def _close() -> None:
    """Close the buffer before the interpreter ends; BMF would release a Python list after that."""
    if _buffer is not None and not _runs:
        _buffer.close()
