"""Define the base class of stages: the run-time part of a node kind, free of BMF."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from bmfgraph.errors import Problem
from bmfgraph.plan.types import Device

__all__ = ["Stage"]


class Stage:
    """Process the items of one node.

    A run calls ``open``, then ``process`` for each item, then ``finish``, and in every case ``close``. ``open`` and
    ``close`` run on the thread that runs the pipeline. ``process`` and ``finish`` run on a thread of BMF, never two of
    them at once. An exception in any of them ends the run with an error that names the node and the frame.

    **Order.** A stage returns at most one item for each frame, in the order of the frames. It may hold items back, to
    fill a batch or a window, and return them from a later ``process`` or from ``finish``.

    **Batches.** Items travel as batches of 1 to ``batch`` consecutive frames. ``process`` gets the items of one frame.
    A stage that is faster with several frames at once defines ``process_batch`` too.

    **GPU.** A stage whose spec lists ``cuda`` in ``devices`` checks ``device``. On ``cuda``, its tensors come and stay
    on the GPU. ``process`` enqueues work on the current stream, which all stages share, and returns without a wait:
    never call ``.cpu()``, ``.item()``, ``.tolist()`` or ``synchronize()`` there. To read a result on the CPU, pass it
    to :class:`bmfgraph.stages.cuda.AsyncDownload`, which delivers it some frames later.

    Attributes:
        name: Name of the node.
        params: Parameters that the node's spec inferred.
        device: ``cpu`` or ``cuda``, set before ``open``.
        batch: Largest number of frames that travel together, set before ``open``.
        receive_warning: Takes the warnings of :meth:`warn`, set before ``open``; None where nobody takes them.

    Example:
        >>> class Negative(Stage):
        ...     def process(self, frame):
        ...         result, pixels = new_frame(frame)
        ...         pixels.copy_(255 - frame.pixels())
        ...         yield result
    """

    device: Device = "cpu"
    batch: int = 1
    receive_warning: Callable[[Problem], None] | None = None

    def __init__(self, name: str, params: Any) -> None:
        self.name = name
        self.params = params
        self._warned: set[str] = set()

    def open(self) -> None:
        """Acquire what the whole run needs: engines, files, buffers."""

    def process(self, *items: Any) -> Iterable[Any]:
        """Process one item from each input, all with the same frame index.

        Args:
            items: A Frame, Sample or Result for each input, in the order of the node's ``inputs``. Read only; see
                :mod:`bmfgraph.stages.items` for shapes, dtypes and memory.

        A source is called once, without items; its iterator is read a few items at a time, as its consumers have room.

        Returns:
            Items for the next node: none, one or several, of these or of earlier frames. A generator is consumed
            before the next call.
        """
        raise NotImplementedError(f"{type(self).__name__}.process")

    def process_batch(self, rows: Sequence[tuple[Any, ...]]) -> Iterable[Any]:
        """Process the items of consecutive frames; by default one frame after the other.

        Args:
            rows: For each frame its items, as :meth:`process` takes them; at least one frame, at most ``batch``.

        Returns:
            Items for the next node, as :meth:`process` returns them.
        """
        for items in rows:
            yield from self.process(*items)

    def finish(self) -> Iterable[Any]:
        """Return the items that are held back; called once, after the last item."""
        return ()

    def warn(self, problem: Problem) -> None:
        """Report a warning about this node to the user, and in the run's result; each code once.

        Args:
            problem: The warning; the node becomes its path.
        """
        if self.receive_warning is not None and problem.code not in self._warned:
            self._warned.add(problem.code)
            self.receive_warning(replace(problem, path=f"pipeline.nodes.{self.name}"))

    def close(self) -> None:
        """Release everything. Called in every case, also after a failure, and also where ``open`` failed."""
