"""Keep the memory that glibc's allocator holds back small."""

from __future__ import annotations

import ctypes
import os

__all__ = ["limit_arenas", "trim"]

_M_ARENA_MAX = -8
_ARENAS = 2
"""Heaps for all threads together. The threads of codecs and runtimes, new ones for each run, would each keep a heap."""


def limit_arenas() -> None:
    """Let the threads of this process share two heaps, unless ``MALLOC_ARENA_MAX`` sets their number.

    Arenas that exist already stay.
    """
    libc = ctypes.CDLL(None)
    if "MALLOC_ARENA_MAX" not in os.environ and hasattr(libc, "mallopt"):
        libc.mallopt(_M_ARENA_MAX, _ARENAS)


def trim() -> None:
    """Give free memory of the heaps back to the system."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
