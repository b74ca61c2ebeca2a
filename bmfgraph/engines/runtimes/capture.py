"""Capture kernels in CUDA graphs, also while other runs of this process use the GPU."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch

from bmfgraph.system import heap

__all__ = ["NO_CAPTURE", "captured"]

NO_CAPTURE = threading.RLock()
"""Held for each capture, and for work that waits for the whole GPU, which breaks the capture of another thread: loading
and closing engines and hardware decoders."""


@lru_cache(maxsize=1)
def _capture_stream() -> torch.cuda.Stream:
    """Return the stream for the capture of graphs.

    It has high priority because torch takes such streams from a second pool: torch reuses pooled streams, and foreign
    work on this one would be captured too.
    """
    return torch.cuda.Stream(priority=-1)


def captured(function: Callable[[], Any]) -> tuple[torch.cuda.CUDAGraph, Any]:
    """Call a function twice, and capture the kernels of the second call.

    The first call initialises libraries and allocates memory, which cannot be captured. Work of the current stream is
    done before the first call, and the calls before later work.

    Args:
        function: It enqueues work on the current stream only, and reads no values on the CPU.

    Returns:
        The graph, and what the second call returned: tensors that each replay fills.
    """
    graph = torch.cuda.CUDAGraph()
    stream = _capture_stream()
    with NO_CAPTURE:
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream), heap.collection_paused():
            # An object that the collector frees on the GPU during a capture would break the capture.
            function()
            # torch.cuda.graph() would first wait for the whole GPU, which fails beside the capture of another run.
            graph.capture_begin(capture_error_mode="thread_local")
            try:
                result = function()
            finally:
                graph.capture_end()
        torch.cuda.current_stream().wait_stream(stream)
    return graph, result
