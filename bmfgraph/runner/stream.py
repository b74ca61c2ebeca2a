"""Iterate over the items of a node while its plan runs."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bmfgraph.errors import RunError
from bmfgraph.plan.plan import Plan
from bmfgraph.runner.monitor import RunMonitor
from bmfgraph.runner.run import run_plan

if TYPE_CHECKING:
    import torch

__all__ = ["DetectionsItem", "FrameItem", "Item", "TensorsItem", "refuse_in_open_stream", "stream_plan"]

_LIMIT = 8
"""Items that wait for the consumer; then the pipeline waits."""
_POLL = 0.05
"""Seconds between two looks whether the run was stopped."""
_HERE = threading.local()
"""``open``: the node that an unfinished stream of this thread iterates over."""


@dataclass(frozen=True)
class FrameItem:
    """A decoded or computed frame."""

    index: int
    """Position in presentation order, from 0."""
    pts: Fraction
    """Presentation time in seconds, exact."""
    tensor: torch.Tensor = field(repr=False)
    """RGB, uint8 [height, width, 3], read only. It shares its memory with the frame."""
    _frame: Any = field(repr=False)

    def numpy(self) -> NDArray[np.uint8]:
        """Return the pixels as uint8 [height, width, 3], RGB: without a copy from the CPU, with one from the GPU."""
        pixels: NDArray[np.uint8] = self.tensor.cpu().numpy()
        return pixels


@dataclass(frozen=True)
class DetectionsItem:
    """The objects found in one frame, best first."""

    index: int
    """Position of the frame in presentation order, from 0."""
    pts: Fraction
    """Presentation time of the frame in seconds, exact."""
    boxes: NDArray[np.float32]
    """float32 [n, 4]: x1, y1, x2, y2 in pixels of the source frame, y downwards."""
    scores: NDArray[np.float32]
    """float32 [n], 0..1."""
    labels: tuple[str, ...]
    """The label of each box."""


@dataclass(frozen=True)
class TensorsItem:
    """The tensors that a model takes or gives for one frame or window."""

    index: int
    """Position of the first frame that the tensors stand for."""
    pts: tuple[Fraction, ...]
    """Presentation times in seconds of all frames that they stand for."""
    tensors: dict[str, torch.Tensor] = field(repr=False)
    """By name, each with a batch dim of 1."""


Item = FrameItem | DetectionsItem | TensorsItem


def refuse_in_open_stream(work: str) -> None:
    """Raise RunError if this thread is in the middle of a stream: the run would wait for the stream's end for ever."""
    node = getattr(_HERE, "open", None)
    if node is not None:
        raise RunError(
            work,
            "stream",
            f"cannot begin: the stream of {node!r} is still open in this thread, and a process runs one plan at a time",
            hint="end or close that stream first, or use run(isolated=True)",
            code="E808",
        )


def stream_plan(plan: Plan, tap: str, node: str, device: str | None = None) -> Iterator[Item]:
    """Run a plan on a thread of its own and yield the items that reach a ``collect`` node.

    Closing the iterator cancels the run and waits for its end. If the consumer is slow, the pipeline waits.

    Args:
        plan: A plan that has the node ``tap``.
        tap: Name of the ``collect`` node.
        node: Name of the node that it collects from, for messages.
        device: Device of the tensors, such as ``cpu``; None leaves them where they are.

    Raises:
        BmfgraphError: The run failed; raised after the items before the failure.
    """
    items: queue.Queue[Any] = queue.Queue(_LIMIT)
    monitor = RunMonitor()
    failure: list[BaseException] = []

    def receive(item: Any) -> None:
        while not monitor.stopped:
            with contextlib.suppress(queue.Full):
                return items.put(item, timeout=_POLL)
        return None

    def run() -> None:
        try:
            run_plan(plan, taps={tap: receive}, monitor=monitor)
        except BaseException as error:
            failure.append(error)
        while True:
            with contextlib.suppress(queue.Full):
                return items.put(None, timeout=_POLL)
            if closing.is_set():
                return None

    closing = threading.Event()
    thread = threading.Thread(target=run, name=f"bmfgraph-stream-{node}", daemon=True)
    _HERE.open = node
    thread.start()
    try:
        while (item := items.get()) is not None:
            yield _public(item, device)
        if failure:
            raise failure[0]
    finally:
        _HERE.open = None
        closing.set()
        monitor.cancel("the stream was closed")
        thread.join()


def _public(item: Any, device: str | None) -> Item:
    from bmfgraph.stages.items import Detections, Frame

    if isinstance(item, Frame):
        pixels = item.pixels()
        return FrameItem(item.index, item.time, pixels if device is None else pixels.to(device), item)
    if isinstance(item, Detections):
        corners = [(box.x1, box.y1, box.x2, box.y2) for box in item.boxes]
        return DetectionsItem(
            item.index,
            item.frame.time,
            np.array(corners, np.float32).reshape(-1, 4),
            np.array([box.score for box in item.boxes], np.float32),
            tuple(box.label for box in item.boxes),
        )
    tensors = {name: tensor if device is None else tensor.to(device) for name, tensor in item.tensors.items()}
    return TensorsItem(item.index, tuple(frame.time for frame in item.frames), tensors)
