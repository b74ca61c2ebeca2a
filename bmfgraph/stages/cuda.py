"""The GPU's streams, and results that are fetched from it while it goes on working.

All stages of a run enqueue their work on one stream, from whatever thread they run on: what a stage
enqueues before it hands an item on is done before what the next one enqueues, without any waiting.
Only what crosses to the CPU is waited for, a few items late, so that the GPU never is.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Generic, TypeVar

import torch

__all__ = ["AsyncDownload", "GraphedFunction", "constant", "recorded", "stream", "use_stream"]

_LATE = 3
"""Items that may be on their way from the GPU while the next one is enqueued."""
_SMALL = 1 << 20
"""Bytes; less is copied sooner than another stream is set up for it."""

Made = TypeVar("Made")


@lru_cache(maxsize=1)
def stream() -> torch.cuda.Stream:
    """The stream that all stages of this process share."""
    return torch.cuda.Stream()


@lru_cache(maxsize=1)
def _copies() -> torch.cuda.Stream:
    """The stream for copies to the CPU, so that the work behind them need not wait."""
    return torch.cuda.Stream()


def use_stream() -> None:
    """Make the shared stream the current one of this thread."""
    torch.cuda.set_stream(stream())


@lru_cache(maxsize=1)
def _recording() -> tuple[torch.cuda.Stream, threading.Lock]:
    """The stream on which kernels are recorded, one function at a time. Of torch's other set of streams: it hands out
    the same few again and again, and what somebody else enqueued on this one would be recorded, too."""
    return torch.cuda.Stream(priority=-1), threading.Lock()


@lru_cache(maxsize=64)
def constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """A small tensor that is uploaded once."""
    return torch.tensor(values, dtype=dtype, device=device)


def recorded(function: Callable[..., Any], device: torch.device | str) -> Callable[..., Any]:
    """The function :class:`GraphedFunction` where it works on the GPU, else as it is."""
    return GraphedFunction(function) if torch.device(device).type == "cuda" else function


class GraphedFunction:
    """A function of tensors whose kernels are recorded at the first call, and from then on launched all at once.

    For functions of many small kernels, whose launches cost more than their work. They take and give tensors of the
    same shapes at every call, do not look at the data, and give a tensor or a tuple of tensors.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: tuple[torch.Tensor, ...] = ()
        self._outputs: Any = None

    def __call__(self, *inputs: torch.Tensor) -> Any:
        """What the function gives, in tensors of the caller's own."""
        if self._graph is None:
            self._graph = self._record(inputs)
        for kept, given in zip(self._inputs, inputs, strict=True):
            kept.copy_(given)
        self._graph.replay()
        if isinstance(self._outputs, torch.Tensor):
            return self._outputs.clone()
        return tuple(tensor.clone() for tensor in self._outputs)

    def _record(self, inputs: tuple[torch.Tensor, ...]) -> torch.cuda.CUDAGraph:
        self._inputs = tuple(torch.empty_like(given).copy_(given) for given in inputs)
        graph = torch.cuda.CUDAGraph()
        own, alone = _recording()
        with alone:
            own.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(own), _no_collection():
                # The first call sets things up that cannot be recorded.
                self._function(*self._inputs)
                # torch.cuda.graph() would first wait for the whole GPU and give all cached memory back.
                graph.capture_begin(capture_error_mode="thread_local")
                try:
                    self._outputs = self._function(*self._inputs)
                finally:
                    graph.capture_end()
            torch.cuda.current_stream().wait_stream(own)
        return graph


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """What the garbage collector would free on the GPU just now would break the recording."""
    wanted = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if wanted:
            gc.enable()


class AsyncDownload(Generic[Made]):
    """Items made from tensors that are still being computed, given back in order once their tensors have arrived."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[torch.cuda.Event, list[torch.Tensor], Callable[[list[torch.Tensor]], Made]]] = (
            deque()
        )

    def put(self, tensors: Sequence[torch.Tensor], make: Callable[[list[torch.Tensor]], Made]) -> Iterator[Made]:
        """Begin to fetch ``tensors`` into page-locked memory; gives what has become ready of all that was put.

        ``make`` gets the copies, on the CPU, in the order of ``tensors``.
        """
        small = sum(tensor.nbytes for tensor in tensors) < _SMALL
        here = torch.cuda.current_stream()
        way = here if small else _copies()
        if not small:
            way.wait_stream(here)
        copies = []
        with contextlib.nullcontext() if small else torch.cuda.stream(way):
            for tensor in tensors:
                copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
                copies.append(copy.copy_(tensor, non_blocking=True))
                if not small:
                    # Its memory is not to be used again before the copy is done.
                    tensor.record_stream(way)
        done = torch.cuda.Event()
        done.record(way)
        self._waiting.append((done, copies, make))
        while self._waiting and (len(self._waiting) > _LATE or self._waiting[0][0].query()):
            yield self._next()

    def rest(self) -> Iterator[Made]:
        """Everything that is still on its way."""
        while self._waiting:
            yield self._next()

    def _next(self) -> Made:
        done, copies, make = self._waiting.popleft()
        done.synchronize()
        return make(copies)
