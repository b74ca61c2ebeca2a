"""Iterate over the items of nodes while their plan runs."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bmfgraph import error_codes as codes
from bmfgraph.config.job import JobReading
from bmfgraph.errors import ConfigError, Problem, SpecError, did_you_mean, join_sorted
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.collect import collect
from bmfgraph.plan.plan import Plan, Ref
from bmfgraph.plan.types import AudioSpec
from bmfgraph.runner.monitor import RunMonitor
from bmfgraph.runner.run import run_plan

if TYPE_CHECKING:
    import torch

    from bmfgraph.stages.items import Result
    from bmfgraph.stages.results import Masks

__all__ = [
    "DetectionsItem",
    "FrameItem",
    "Item",
    "TensorsItem",
    "check_streamable",
    "stream_plan",
    "tapped",
]

_LIMIT = 8
"""Items that wait for the consumer; then the pipeline waits."""
_POLL = 0.05
"""Seconds between two checks whether the run was stopped."""


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
        """Return the pixels as uint8 [height, width, 3], RGB, read only: without a copy from the CPU."""
        pixels: NDArray[np.uint8] = self.tensor.cpu().numpy()
        # A decoder still refers to its frame.
        pixels.setflags(write=False)
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
    angles: NDArray[np.float32] | None = None
    """Radians by which each box is turned about its centre, clockwise on the screen, float32 [n]."""
    keypoints: NDArray[np.float32] | None = None
    """x and y in pixels of the source frame, and score, of each point, float32 [n, points, 3]."""
    masks: Masks | None = None
    """The pixels of each object: ``masks.patch(number, boxes[number])``."""


@dataclass(frozen=True)
class TensorsItem:
    """The tensors that a model reads or produces for one frame or window."""

    index: int
    """Position of the first frame that the tensors stand for."""
    pts: tuple[Fraction, ...]
    """Presentation times in seconds of all frames that they stand for."""
    tensors: dict[str, torch.Tensor] = field(repr=False)
    """By name, each with a batch dim of 1, or of as many as the picture has tiles."""


Item: TypeAlias = "FrameItem | DetectionsItem | TensorsItem | Result"


def tapped(reading: JobReading, outputs: Sequence[str]) -> tuple[JobReading, str]:
    """Cut the pipeline down to the nodes that some outputs need, and add a ``collect`` node that takes them.

    Args:
        reading: The job; one with problems is returned unchanged.
        outputs: Each ``node`` or ``node.port``.

    Returns:
        The job with the smaller pipeline, and the name of the ``collect`` node.

    Raises:
        SpecError: A node or a port does not exist.
    """
    pipeline, tap = reading.spec.pipeline, "stream"
    if pipeline is None or reading.problems:
        return reading, tap
    for output in outputs:
        _check_output(pipeline.nodes, output)
    needed, waiting = set[str](), [Ref.parse(output).node for output in outputs]
    while waiting:
        name = waiting.pop()
        if name in pipeline.nodes and name not in needed:
            needed.add(name)
            waiting += [Ref.parse(text).node for text in pipeline.nodes[name].inputs]
    nodes = {name: spec for name, spec in pipeline.nodes.items() if name in needed}
    while tap in nodes:
        tap += "_"
    nodes[tap] = collect(*outputs)
    spec = reading.spec.model_copy(update={"pipeline": pipeline.model_copy(update={"nodes": nodes})})
    return replace(reading, spec=spec), tap


def _check_output(nodes: Mapping[str, NodeSpec], output: str) -> None:
    ref = Ref.parse(output)
    if ref.node not in nodes:
        message = f"there is no node {ref.node!r}{did_you_mean(ref.node, nodes)}; nodes: {join_sorted(nodes)}"
        raise SpecError([Problem("stream", message, codes.UNKNOWN_NODE, "name one of the pipeline's nodes")])
    ports = nodes[ref.node].ports()
    if not ports:
        takes = " and ".join(map(repr, nodes[ref.node].inputs))
        message = f"node {ref.node!r} ({nodes[ref.node].kind}) has no output; it takes {takes}"
        raise SpecError([Problem("stream", message, codes.UNKNOWN_PORT, "stream a node before it")])
    if ref.port and ref.port not in ports:
        message = (
            f"node {ref.node!r} has no port {ref.port!r}{did_you_mean(ref.port, ports)}; ports: {join_sorted(ports)}"
        )
        raise SpecError([Problem("stream", message, codes.UNKNOWN_PORT, "name one of the node's ports")])


def check_streamable(plan: Plan, tap: str, device: str | None) -> None:
    """Refuse outputs and devices that cannot be streamed.

    Raises:
        SpecError: An output that the ``collect`` node takes is audio.
        ConfigError: The device is unknown, or this machine does not have it.
    """
    import torch

    if device not in (None, "cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        reason = "is not on this machine" if device == "cuda" else "is not a device; devices: cpu, cuda"
        raise ConfigError(
            f"{device!r} {reason}", path="device", hint="use cpu, or leave it out", code=codes.INVALID_DEVICE
        )
    for ref in plan.node(tap).inputs:
        if isinstance(plan.type_of(ref), AudioSpec):
            message = f"{str(ref)!r} carries audio; a stream takes frames, tensors and detections"
            raise SpecError(
                [Problem("stream", message, codes.EDGE_TYPE_MISMATCH, "let an encoder node write the audio to a file")]
            )


def stream_plan(plan: Plan, tap: str, name: str, device: str | None = None) -> Generator[Any, None, None]:
    """Run a plan on a thread of its own and yield the items that reach a ``collect`` node.

    Closing the generator cancels the run and waits for its end. If the consumer is slow, the pipeline waits. Any
    thread may use it, one at a time, and any thread may drop it.

    Args:
        plan: A plan that has the node ``tap``.
        tap: Name of the ``collect`` node. If it has several inputs, tuples are yielded.
        name: Name of the streamed nodes, for messages.
        device: Device of the tensors, such as ``cpu``; None leaves them where they are.

    Raises:
        BmfgraphError: The run failed; raised after the items that had arrived.
    """
    items: queue.Queue[tuple[Any, ...] | None] = queue.Queue(_LIMIT)
    monitor = RunMonitor()
    failure: list[BaseException] = []
    closing = threading.Event()

    def receive(*joined: Any) -> None:
        while not monitor.stopped:
            with contextlib.suppress(queue.Full):
                return items.put(joined, timeout=_POLL)
        return None

    def run() -> None:
        try:
            run_plan(plan, taps={tap: receive}, monitor=monitor)
        except BaseException as error:
            failure.append(error)
        while not closing.is_set():
            with contextlib.suppress(queue.Full):
                return items.put(None, timeout=_POLL)
        return None

    thread = threading.Thread(target=run, name=f"bmfgraph-stream-{name}", daemon=True)
    thread.start()
    try:
        while (joined := items.get()) is not None:
            public = tuple(_public(item, device) for item in joined)
            yield public if len(public) > 1 else public[0]
        if failure:
            raise failure[0]
    finally:
        closing.set()
        monitor.cancel("the stream was closed")
        # The garbage collector may close the generator on this very thread.
        if thread is not threading.current_thread():
            thread.join()


def _public(item: Any, device: str | None) -> Item:
    from bmfgraph.stages.items import Frame, Result
    from bmfgraph.stages.results import Detections

    if isinstance(item, Frame):
        pixels = item.pixels()
        return FrameItem(item.index, item.time, pixels if device is None else pixels.to(device), item)
    if isinstance(item, Detections):
        more = item.angles, item.keypoints, item.masks
        return DetectionsItem(item.index, item.frame.time, item.corners, item.scores, item.labels, *more)
    if isinstance(item, Result):
        return item
    tensors = {name: tensor if device is None else tensor.to(device) for name, tensor in item.tensors.items()}
    return TensorsItem(item.index, tuple(frame.time for frame in item.frames), tensors)
