"""Check before a run that the limits on memory and threads leave enough."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from bmfgraph import error_codes as codes
from bmfgraph.errors import BmfgraphError
from bmfgraph.plan.plan import Plan
from bmfgraph.plan.types import FrameSpec
from bmfgraph.system.limits import Limit, memory_limits, thread_limits
from bmfgraph.system.obstacles import LESS_MEMORY, MORE_THREADS
from bmfgraph.system.text import size_text

__all__ = ["crash_under_limits", "needs_watching", "resource_errors"]

_LEAST_MEMORY = {"address space": 850e6, "data": 250e6, "resident": 200e6}
"""Bytes that torch, BMF and ONNX Runtime take before the first frame, by kind of limit; less is never enough."""
_FRAME = 1.5
"""Least bytes per pixel of a frame."""
_LEAST_THREADS = 8
"""Threads of a run whose codecs and runtimes have one thread each."""
_DECODER_THREADS = 16
"""Threads that FFmpeg starts for a decoder at most, if it chooses their number."""
_MANY_THREADS = 64


def resource_errors(plan: Plan, limits: Iterable[Limit] | None = None) -> list[BmfgraphError]:
    """Return an error for each limit with which the run cannot succeed.

    Args:
        plan: The plan.
        limits: The limits; None for those of this process.
    """
    frames = sum(
        port.type.width * port.type.height * _FRAME
        for node in plan
        for port in node.outputs
        if isinstance(port.type, FrameSpec)
    )
    errors: list[BmfgraphError] = []
    for limit in (*memory_limits(), *thread_limits()) if limits is None else limits:
        if limit.kind == "threads":
            if limit.left < (need := _least_threads(plan)):
                message = (
                    f"{limit.name}: {limit.value:,} threads are allowed, and {limit.used:,} run already; "
                    f"this run needs {need} more"
                )
                errors.append(_error(message, MORE_THREADS, codes.THREADS_SHORT))
            continue
        least = _LEAST_MEMORY[limit.kind] + frames
        if limit.value < least:
            message = (
                f"{limit.name}: {size_text(limit.value)} of memory are allowed; this run needs more than "
                f"{size_text(least)}"
            )
            errors.append(_error(message, LESS_MEMORY, codes.MEMORY_SHORT))
    return errors


def _least_threads(plan: Plan) -> int:
    """Return the number of threads without which a run fails."""
    cores = len(os.sched_getaffinity(0))
    count = _LEAST_THREADS + sum((engine.threads or cores) - 1 for _, engine in plan.engines())
    for node in plan:
        if hasattr(node.params, "threads"):
            # FFmpeg starts no thread for 1, and at most 16 for a decoder; x264 starts more than one per core.
            usual = min(cores + cores // 2 + 1, 2 * _DECODER_THREADS) if node.written else min(cores, _DECODER_THREADS)
            threads = node.params.threads or usual
            count += threads if threads > 1 else 0
    return count


def needs_watching() -> bool:
    """Return whether native code may crash for want of memory or threads, so that another process must watch it."""
    return (_memory_limited() or _threads_limited()) and os.access(sys.executable, os.X_OK)


def crash_under_limits(cause: str, *, memory: int | None) -> BmfgraphError | None:
    """Return the error for the crash of a run that had too little memory or too few threads; None without limits.

    Args:
        cause: Description of the crash.
        memory: Limit on the run's own memory in bytes; None without one.
    """
    if _threads_limited():
        return _error(f"{cause}, and threads are short", MORE_THREADS, codes.THREADS_SHORT)
    if memory is not None:
        return _error(f"isolated.memory: {cause} with {size_text(memory)}", LESS_MEMORY, codes.MEMORY_SHORT)
    if _memory_limited():
        limits = ", ".join(f"{limit.name} is {size_text(limit.value)}" for limit in memory_limits())
        return _error(f"{cause}, and memory is short ({limits})", LESS_MEMORY, codes.MEMORY_SHORT)
    return None


def _memory_limited() -> bool:
    return any(limit.kind != "resident" for limit in memory_limits())


def _threads_limited() -> bool:
    # Each library starts about one thread per core.
    usual = _MANY_THREADS + 8 * len(os.sched_getaffinity(0))
    return any(limit.left < usual for limit in thread_limits())


def _error(message: str, hint: str, code: str) -> BmfgraphError:
    return BmfgraphError(message, hint=hint, code=code)
