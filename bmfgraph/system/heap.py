"""Let glibc's allocator keep the memory of frames during a run, and little besides; pause Python's collector."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
from collections.abc import Iterator, Mapping

__all__ = ["collection_paused", "existing_objects_frozen", "keep_blocks", "limit_arenas", "trim"]

_M_ARENA_MAX = -8
_M_MMAP_THRESHOLD = -3
_M_TRIM_THRESHOLD = -1
_ARENAS = 2
"""Heaps for all threads together. The threads of codecs and runtimes, new ones for each run, would each keep a heap."""
_LARGEST_BLOCK = 256 << 20
"""Bytes."""
_FROZEN_BY_PYTHON = 2000
"""Objects that may be frozen though no caller froze them: from Python 3.12 on, collections freeze the immortal objects,
some hundreds. A caller freezes 4,000 or more, because even a program without an import has so many."""


@contextlib.contextmanager
def collection_paused() -> Iterator[None]:
    """Disable Python's garbage collector, which takes a sixth of the time of imports that make no garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Growth:
    """State of :func:`existing_objects_frozen`, which all threads share."""

    due = 0
    """Number of allocated blocks at which a full collection is due."""
    frozen = False
    """True if a thread has frozen the objects. ``gc.get_freeze_count`` would count them, which takes 20 to 70 ms."""


_GROWTH = _Growth()


@contextlib.contextmanager
def existing_objects_frozen() -> Iterator[None]:
    """Exclude the objects that exist from the collections during the block, because a full one stalls every node.

    Several threads may be inside at once; objects that begin to exist inside are collected as usual. Python does not
    count what was frozen as new, so that it would never collect it: afterwards, a full collection is made whenever
    a quarter more memory is allocated than after the last one.
    """
    # Objects that the caller froze must stay frozen.
    if _GROWTH.frozen or gc.get_freeze_count() > _FROZEN_BY_PYTHON:
        yield
        return
    gc.freeze()
    _GROWTH.frozen = True
    try:
        yield
    finally:
        _GROWTH.frozen = False
        gc.unfreeze()
        if sys.getallocatedblocks() > _GROWTH.due:
            if _GROWTH.due:
                gc.collect()
            _GROWTH.due = sys.getallocatedblocks() * 5 // 4


def limit_arenas() -> None:
    """Let the threads of this process share two heaps, unless ``MALLOC_ARENA_MAX`` sets their number.

    Arenas that exist already stay.
    """
    _set("MALLOC_ARENA_MAX", {_M_ARENA_MAX: _ARENAS})


def keep_blocks() -> None:
    """Let the heaps keep blocks of up to 256 MB for the next frame, unless ``MALLOC_MMAP_THRESHOLD_`` sets the size.

    By default glibc gives a block of more than 32 MB back at once. The system then clears each page of the next one,
    which takes five times as long as to write a picture into it. Older versions of glibc refuse the setting.
    """
    _set("MALLOC_MMAP_THRESHOLD_", {_M_MMAP_THRESHOLD: _LARGEST_BLOCK, _M_TRIM_THRESHOLD: 2 * _LARGEST_BLOCK})


def trim() -> None:
    """Give free memory of the heaps back to the system."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def _set(variable: str, settings: Mapping[int, int]) -> None:
    """Set the allocator's parameters, unless the user has set the environment variable; other libraries have none."""
    libc = ctypes.CDLL(None)
    if variable not in os.environ and hasattr(libc, "mallopt"):
        for parameter, value in settings.items():
            libc.mallopt(parameter, value)
