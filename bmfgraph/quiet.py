"""Keeping BMF's and FFmpeg's chatter off the user's terminal."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator

__all__ = ["signals_kept", "terminal_muted"]


@contextlib.contextmanager
def terminal_muted() -> Iterator[None]:
    """File descriptors 1 and 2 lead nowhere inside the block: native code prints there and knows no switch."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)
        for number, kept in zip((1, 2), saved, strict=True):
            os.dup2(kept, number)
            os.close(kept)
        os.close(nowhere)


@contextlib.contextmanager
def signals_kept() -> Iterator[None]:
    """BMF installs its own handlers for SIGINT and SIGTERM, after which Ctrl-C deadlocks: put back what was there."""
    libc = ctypes.CDLL(None)
    saved = []
    for number in (signal.SIGINT, signal.SIGTERM):
        # Larger than any platform's struct sigaction.
        action = ctypes.create_string_buffer(256)
        libc.sigaction(int(number), None, action)
        saved.append((number, action))
    try:
        yield
    finally:
        for number, action in saved:
            libc.sigaction(int(number), action, None)
