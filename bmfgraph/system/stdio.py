"""Keeping BMF's and FFmpeg's chatter off the user's terminal, and their hands off the process's signals."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

__all__ = ["open_standard_streams", "signals_kept", "terminal_muted"]

_NUMBERS = (1, 2)
_LOCK = threading.Lock()
_muted = 0
_saved: list[int | None] = []


def open_standard_streams() -> None:
    """Let descriptors 0, 1 and 2 lead nowhere where they are closed, lest the next file opened become one of them."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    # Python has None for a stream that was closed when it started; few libraries reckon with that.
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    if sys.stderr is sys.__stderr__ and isinstance(sys.stderr, io.TextIOWrapper):
        # Unbuffered: what nobody reads would otherwise be tried again at the end, and spoil the exit code.
        encoding, errors = sys.stderr.encoding, sys.stderr.errors
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding, errors, write_through=True)


@contextlib.contextmanager
def terminal_muted() -> Iterator[None]:
    """File descriptors 1 and 2 lead nowhere inside the block: native code prints there and knows no switch.

    Several threads may be inside at once; the last one out gives the terminal back.
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


def _mute() -> None:
    for stream in (sys.stdout, sys.stderr):
        # None, closed or a broken pipe: nothing to keep.
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in _NUMBERS:
        try:
            _saved.append(os.dup(number))
        except OSError:
            _saved.append(None)
        os.dup2(nowhere, number)
    if nowhere not in _NUMBERS:
        os.close(nowhere)


def _unmute() -> None:
    ctypes.CDLL(None).fflush(None)
    for number, kept in zip(_NUMBERS, _saved, strict=True):
        if kept is None:
            os.close(number)
        else:
            os.dup2(kept, number)
            os.close(kept)
    _saved.clear()


@contextlib.contextmanager
def signals_kept() -> Iterator[Callable[[], None]]:
    """BMF installs its own handlers for SIGINT and SIGTERM, after which Ctrl-C deadlocks: put back what was there.

    Yields a function that does so at once, for whoever gets a turn before the block ends.
    """
    libc = ctypes.CDLL(None)
    saved = []
    for number in (signal.SIGINT, signal.SIGTERM):
        # Larger than any platform's struct sigaction.
        action = ctypes.create_string_buffer(256)
        libc.sigaction(int(number), None, action)
        saved.append((number, action))

    def put_back() -> None:
        for number, action in saved:
            libc.sigaction(int(number), action, None)

    try:
        yield put_back
    finally:
        put_back()
