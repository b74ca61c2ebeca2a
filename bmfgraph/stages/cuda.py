"""Record kernels, and read results from the GPU without stalling it.

All stages of a run enqueue their work on one stream, on whatever thread they run. Work that a stage enqueues before it
returns an item is therefore done before the work of the next stage, and no thread waits. Only a result that goes to
the CPU is waited for, a few items later, so that the GPU always has work.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Generic, TypeVar

import torch
from numpy.typing import NDArray

from bmfgraph.engines.runtimes.capture import captured

__all__ = ["AsyncDownload", "GraphedFunction", "constant", "graphed_on_cuda", "uploaded"]

_IN_FLIGHT = 3
"""Frames that may be on their way from the GPU while the next ones are enqueued; one batch at least."""
_SMALL = 1 << 20
"""Bytes below which a copy takes less time than the use of a second stream."""

Item = TypeVar("Item")


@lru_cache(maxsize=64)
def constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return a small tensor of these values, which is uploaded once and cached. Do not write into it."""
    return torch.tensor(values, dtype=dtype, device=device)


def uploaded(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """Return an array as a tensor on a device; the copy to a GPU is enqueued without a wait."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def graphed_on_cuda(function: Callable[..., Any], device: torch.device | str) -> Callable[..., Any]:
    """Return the function as a :class:`GraphedFunction` where the device is a GPU, else unchanged."""
    return GraphedFunction(function) if torch.device(device).type == "cuda" else function


class GraphedFunction:
    """Capture the kernels of a function in a CUDA graph at the first call, and replay the graph at all later ones.

    Use it for functions of many small kernels, whose launches cost more than their work.

    Args:
        function: A function of tensors that returns a tensor or a tuple of tensors. At every call, its inputs and
            outputs have the same shapes and dtypes, and it does not read their values on the CPU.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: tuple[torch.Tensor, ...] = ()
        self._outputs: Any = None

    def __call__(self, *inputs: torch.Tensor) -> Any:
        """Enqueue the function on the current stream; the results are new tensors of the caller."""
        if self._graph is None:
            self._inputs = tuple(torch.empty_like(tensor).copy_(tensor) for tensor in inputs)
            self._graph, self._outputs = captured(lambda: self._function(*self._inputs))
        for static, tensor in zip(self._inputs, inputs, strict=True):
            static.copy_(tensor)
        self._graph.replay()
        if isinstance(self._outputs, torch.Tensor):
            return self._outputs.clone()
        return tuple(tensor.clone() for tensor in self._outputs)


class AsyncDownload(Generic[Item]):
    """Build items on the CPU from tensors on the GPU, in order, once the tensors have been computed and copied.

    Args:
        batch: Number of frames whose tensors are copied at once.
    """

    def __init__(self, batch: int = 1) -> None:
        self._in_flight = max(1, _IN_FLIGHT // batch)
        self._stream: torch.cuda.Stream | None = None
        """The stream for large copies, so that later work does not queue behind them."""
        self._queue: deque[tuple[torch.cuda.Event, list[torch.Tensor], Callable[[list[torch.Tensor]], Item]]] = deque()

    def put(self, tensors: Sequence[torch.Tensor], build: Callable[[list[torch.Tensor]], Item]) -> Iterator[Item]:
        """Start a copy to page-locked memory, and yield the items whose copies are complete.

        Args:
            tensors: Tensors on the GPU, ready on the current stream.
            build: Function from the copies on the CPU, in the order of ``tensors``, to the item.

        Yields:
            Items of this and earlier calls. Consume all of them: the copy starts with the first one.
        """
        small = sum(tensor.nbytes for tensor in tensors) < _SMALL
        current = torch.cuda.current_stream()
        if not small and self._stream is None:
            self._stream = torch.cuda.Stream()
        copy_stream = self._stream if self._stream is not None and not small else current
        if not small:
            copy_stream.wait_stream(current)
        copies = []
        with contextlib.nullcontext() if small else torch.cuda.stream(copy_stream):
            for tensor in tensors:
                copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
                copies.append(copy.copy_(tensor, non_blocking=True))
                if not small:
                    # Torch must not reuse the tensor's memory before the copy is done.
                    tensor.record_stream(copy_stream)
        # A thread that spins while it waits takes a whole core, which the other clips of the process need.
        done = torch.cuda.Event(blocking=True)
        done.record(copy_stream)
        self._queue.append((done, copies, build))
        while self._queue and (len(self._queue) > self._in_flight or self._queue[0][0].query()):
            yield self._next()

    def drain(self) -> Iterator[Item]:
        """Wait for all remaining copies, and yield their items."""
        while self._queue:
            yield self._next()

    def _next(self) -> Item:
        done, copies, build = self._queue.popleft()
        done.synchronize()
        return build(copies)
