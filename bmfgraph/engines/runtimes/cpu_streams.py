"""Run inferences of one CPU runtime side by side."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from bmfgraph.engines.runtimes import Pending

__all__ = ["CpuStreams", "Done", "stream_count"]

Tensors = dict[str, "torch.Tensor"]
_STREAMS = 2
"""Streams where their number is not chosen: each has the intermediate results of an inference in memory."""
_SHORT = 0.002
"""Seconds of an inference that is not worth a hand-over to another thread."""


@dataclass
class Done:
    """An inference that is finished, or enqueued on the current CUDA stream."""

    results: Tensors

    def outputs(self) -> Tensors:
        """Return the results; see :class:`bmfgraph.engines.runtimes.Pending`."""
        return self.results


@dataclass
class _Running:
    """An inference on another thread."""

    future: Future[Tensors]

    def outputs(self) -> Tensors:
        return self.future.result()


def stream_count(streams: int | None, threads: int) -> int:
    """Return the number of inferences that may run side by side.

    Args:
        streams: The number that the user has chosen; None for none.
        threads: CPU threads of all.
    """
    return min(streams or _STREAMS, threads)


class CpuStreams:
    """Share the threads of a runtime out among inferences that run side by side.

    Several inferences with one thread each do more than one inference with several threads, which wait for each other
    after every layer. Where the number of streams is not chosen, short inferences run one by one nevertheless. Clips
    that share a model share its streams.

    Attributes:
        count: Number of inferences that may run side by side.
        threads: Threads of each.
        depth: Inferences that should have begun before the oldest is waited for: one more than run, so that no thread
            is idle meanwhile.
    """

    def __init__(self, streams: int | None, threads: int) -> None:
        """Share threads out.

        Args:
            streams: The number of streams; None to choose it.
            threads: CPU threads of all.
        """
        self.count = stream_count(streams, threads)
        self.threads = threads // self.count
        self._chosen = streams is not None
        self._runs = 0
        self._pool = ThreadPoolExecutor(self.count, "inference") if self.count > 1 else None

    @property
    def description(self) -> str:
        """The threads, for the user and the report."""
        return f"{self.count} x {self.threads} thread(s)" if self.count > 1 else f"{self.threads} thread(s)"

    @property
    def depth(self) -> int:
        return 1 if self._pool is None else self.count + 1

    def begin(self, run: Callable[[Tensors], Tensors], inputs: Tensors) -> Pending:
        """Begin an inference; ``run`` may be called on another thread, beside other inferences."""
        # Another clip may end the pool meanwhile.
        pool = self._pool
        if pool is None:
            return Done(run(inputs))
        if self._runs > (0 if self._chosen else 1):
            return _Running(pool.submit(run, inputs))
        # The first inference prepares what the others use, too; the second one shows how long one takes.
        self._runs += 1
        began = time.perf_counter()
        done = Done(run(inputs))
        if self._runs > 1 and time.perf_counter() - began < _SHORT:
            self._pool = None
        return done
