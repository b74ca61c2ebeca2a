"""Protect the standard streams and the signal handlers of this process from native code.

- ``open_standard_streams``: opens closed streams at the start of the program.
- ``terminal_muted``: discards the output of native libraries during a block.
- ``signals_kept``: restores the signal handlers that BMF replaces during a block.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

__all__ = ["open_standard_streams", "signals_kept", "standard_output", "terminal_muted", "write_errors"]

_NUMBERS = (1, 2)
# Reentrant: a signal handler may write while its thread holds it.
_LOCK = threading.RLock()
_muted = 0
_saved: list[int | None] = []


def open_standard_streams() -> None:
    """Connect closed descriptors 0, 1 and 2 to the null device; else the next opened file would get their numbers."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    # A stream that was closed at the start is None in Python, which few libraries expect.
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    if sys.stderr is sys.__stderr__ and isinstance(sys.stderr, io.TextIOWrapper):
        # Text that cannot be written would stay in a buffer, and a second try at exit would change the exit code.
        encoding, errors = sys.stderr.encoding, sys.stderr.errors
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding, errors, write_through=True)


@contextlib.contextmanager
def terminal_muted() -> Iterator[None]:
    """Connect file descriptors 1 and 2 to the null device during the block, because native code prints there.

    Several threads may be inside at once; the last thread to leave restores the descriptors.
    """
    global _muted
    with _LOCK:
        if not _muted:
            _mute()
        _muted += 1
    try:
        yield
    finally:
        with _LOCK:
            _muted -= 1
            if not _muted:
                _unmute()


def write_errors(data: bytes, write: Callable[[], None]) -> None:
    """Write to standard error, also while another thread has muted the terminal.

    Args:
        data: The text, for the terminal that is muted.
        write: Writes the text to ``sys.stderr``, where nothing is muted.

    Raises:
        OSError: It cannot be written.
    """
    with _LOCK:
        if not _muted:
            write()
        elif (copy := _saved[1]) is not None:
            while data:
                data = data[os.write(copy, data) :]


def standard_output() -> int:
    """Return a new descriptor of this process's standard output, also while it is muted.

    Raises:
        OSError: It is closed.
    """
    with _LOCK:
        return os.dup(1 if not _muted or _saved[0] is None else _saved[0])


def _mute() -> None:
    for stream in (sys.stdout, sys.stderr):
        # A stream that is None, closed or a broken pipe has nothing to flush.
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
    null = os.open(os.devnull, os.O_WRONLY)
    for number in _NUMBERS:
        try:
            _saved.append(os.dup(number))
        except OSError:
            _saved.append(None)
        os.dup2(null, number)
    if null not in _NUMBERS:
        os.close(null)


def _unmute() -> None:
    ctypes.CDLL(None).fflush(None)
    for number, copy in zip(_NUMBERS, _saved, strict=True):
        if copy is None:
            os.close(number)
        else:
            os.dup2(copy, number)
            os.close(copy)
    _saved.clear()


@contextlib.contextmanager
def signals_kept() -> Iterator[Callable[[], None]]:
    """Restore the handlers of SIGINT and SIGTERM after the block: BMF installs its own, with which Ctrl-C deadlocks.

    Yields:
        A function that restores the handlers at once, before the block ends.
    """
    libc = ctypes.CDLL(None)
    saved = []
    for number in (signal.SIGINT, signal.SIGTERM):
        # The buffer is larger than struct sigaction on any platform.
        action = ctypes.create_string_buffer(256)
        libc.sigaction(int(number), None, action)
        saved.append((number, action))

    def restore() -> None:
        for number, action in saved:
            libc.sigaction(int(number), action, None)

    try:
        yield restore
    finally:
        restore()
