"""Run a chain of stages inside one BMF node."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bmf import Timestamp

from bmfgraph.errors import short_repr
from bmfgraph.plan.types import FrameSpec
from bmfgraph.runner.modules.base import HANDOVER, BmfModule, OutputStream
from bmfgraph.runner.monitor import NodeTimings, RunMonitor
from bmfgraph.stages.base import Stage
from bmfgraph.stages.items import Frame, Result, Sample

__all__ = ["StageChainConfig", "StageChainModule"]

_ITEMS_PER_CALL = 4
"""Items of a source for each call of BMF: fewer cost time, more cost memory."""


@dataclass
class StageChainConfig:
    """Configure a :class:`StageChainModule`.

    Attributes:
        stages: Opened stages with their timings; each one processes the items of the one before.
        monitor: Monitor of the run.
        arity: Number of input streams of the BMF node.
        input_order: Number of the input stream for each input of the first stage. BMF allows one edge between two
            ports, so a stage may use one stream for several inputs.
        outputs: Streams that leave the node.
        expected: Frame type that the last stage's spec promises; None where the stage produces no frames.
        waiting: For each input stream, the items whose partners on the other streams have not arrived, by frame index.
        ready: Called on BMF's thread before the stages work; it makes the GPU's shared stream the current one.
    """

    stages: list[tuple[Stage, NodeTimings]]
    monitor: RunMonitor
    arity: int
    input_order: tuple[int, ...] = (0,)
    outputs: tuple[OutputStream, ...] = ()
    expected: FrameSpec | None = None
    waiting: list[dict[int, Any]] = field(default_factory=list)
    ready: Callable[[], None] = lambda: None


class StageChainModule(BmfModule):
    """Run a chain of stages.

    ``process`` of a source stage is called once, without items; its iterator is read a few items at a time.
    """

    def __init__(self, node: int, option: dict[str, Any]) -> None:
        config = HANDOVER.pop(option["job"])
        assert isinstance(config, StageChainConfig)
        self._register(config.monitor, config.stages[0][1].name)
        self.config = config
        self.ended = [False] * config.arity
        self.newest = [-1] * config.arity
        """Index of the newest item of each input stream."""
        self.last_index = -1
        """Index of the last item that left."""
        self.active: NodeTimings = config.stages[0][1]
        """Timings of the stage at work."""
        self.item: Any = None
        """First item that this stage works on; None after the last one."""
        self.source: Iterator[Any] | None = None
        """The items of a source stage."""

    def _work(self, task: Any) -> None:
        inputs, outputs = task.get_inputs(), task.get_outputs()
        self.config.ready()
        if not self.config.arity:
            return self._produce(task, outputs)
        timings = self.config.stages[0][1]
        packets = [(port, packet) for port, queue in inputs.items() for packet in _drain(queue)]
        timings.queued.append(len(packets))
        for port, packet in packets:
            if packet.timestamp == Timestamp.EOF:
                self.ended[port] = True
                continue
            self.active, self.item = timings, packet.get(None)
            for items in self._join(port, self.item):
                self._push(0, tuple(items[stream] for stream in self.config.input_order), outputs)
                if self.monitor.stopped:
                    return self._end(task)
        if all(self.ended):
            self._finish(outputs)
            self._end(task)
        return None

    def _produce(self, task: Any, outputs: Any) -> None:
        """Pass on a few items of a source stage; BMF calls again as long as the next nodes have room."""
        stage, timings = self.config.stages[0]
        for _ in range(_ITEMS_PER_CALL):
            self.active, self.item = timings, None
            started = time.perf_counter()
            if self.source is None:
                self.source = _iterator(stage.process(), "process")
            item = next(self.source, None)
            if item is None:
                self._finish(outputs)
                return self._end(task)
            _check_item(item, "process")
            timings.add(started, time.perf_counter())
            timings.frames += 1
            timings.last_time = item.time
            self._push(1, (item,), outputs)
            if self.monitor.stopped:
                return self._end(task)
        return None

    def _join(self, port: int, item: Any) -> Iterator[tuple[Any, ...]]:
        """Yield the items of all input streams with the same frame index, once the last of them has arrived."""
        if self.config.arity == 1:
            yield (item,)
            return
        waiting = self.config.waiting
        waiting[port][item.index] = item
        self.newest[port] = item.index
        if all(item.index in queue for queue in waiting):
            yield tuple(queue.pop(item.index) for queue in waiting)
        # Streams are ordered: an index that a stream has skipped never arrives.
        for stream, queue in enumerate(waiting):
            oldest = min(queue, default=None)
            for other, newest in enumerate(self.newest):
                if oldest is not None and oldest < newest and oldest not in waiting[other]:
                    raise LookupError(f"input {stream} has frame {oldest}, but input {other} skipped it")

    def _push(self, position: int, items: tuple[Any, ...], outputs: Any) -> None:
        """Process items by the stage at that position and by all later ones, depth first."""
        if position == len(self.config.stages):
            return self._emit(items[0], outputs)
        stage, timings = self.config.stages[position]
        self.active, self.item = timings, items[0]
        started = time.perf_counter()
        results = _checked(stage.process(*items), "process")
        timings.add(started, time.perf_counter())
        timings.frames += 1
        timings.last_time = items[0].time
        for item in results:
            self._push(position + 1, (item,), outputs)
        return None

    def _finish(self, outputs: Any) -> None:
        """Push the items that the stages still hold back."""
        self.active, self.item = self.config.stages[0][1], None
        for port, queue in enumerate(self.config.waiting):
            if queue:
                raise RuntimeError(f"input {port} has {len(queue)} frame(s) that the other inputs do not have")
        for position, (stage, timings) in enumerate(self.config.stages):
            self.active, self.item = timings, None
            for item in _checked(stage.finish(), "finish"):
                self._push(position + 1, (item,), outputs)
            timings.last_done = time.perf_counter()

    def _emit(self, item: Any, outputs: Any) -> None:
        """Put an item of the last stage on every output stream."""
        self._check_output(item)
        last = self.config.stages[-1][1]
        last.sent = (last.sent or 0) + 1
        self._put(outputs, range(len(self.config.outputs)), item, item.time)

    def _check_output(self, item: Frame | Sample | Result) -> None:
        """Check the order of the items, and the size of a frame against the spec."""
        if item.index <= self.last_index:
            raise ValueError(
                f"it produced frame {item.index} after frame {self.last_index}: "
                "a stage may produce at most one item for each frame, in order"
            )
        self.last_index = item.index
        expected = self.config.expected
        if not expected or not isinstance(item, Frame):
            return
        if item.size != (expected.width, expected.height):
            raise ValueError(
                f"it produced a frame of {item.size[0]}x{item.size[1]}, "
                f"but its spec promises {expected.width}x{expected.height}"
            )

    def _report(self, error: BaseException) -> None:
        source = not self.config.arity
        if self.item is None and source and self.active.frames and self.active is self.config.stages[0][1]:
            self.monitor.fail(self.active, error, frame=self.active.frames, time=self.active.last_time)
        elif self.item is None:
            self.monitor.fail(self.active, error, doing="" if source else "after the last frame")
        else:
            self.monitor.fail(self.active, error, frame=self.item.index, time=self.item.time)

    def _end(self, task: Any) -> None:
        super()._end(task)
        for queue in self.config.waiting:
            queue.clear()


def _drain(queue: Any) -> Iterator[Any]:
    while not queue.empty():
        yield queue.get()


def _checked(results: Any, method: str) -> list[Frame | Sample | Result]:
    """Return the result of a stage's method as a list of items; raise where it is anything else."""
    items = list(_iterator(results, method))
    for item in items:
        _check_item(item, method)
    return items


def _iterator(results: Any, method: str) -> Iterator[Any]:
    try:
        return iter(results)
    except TypeError:
        if isinstance(results, Iterable):
            raise
        raise TypeError(f"{method} returned {short_repr(results)}, not an iterable of items") from None


def _check_item(item: Any, method: str) -> None:
    if not isinstance(item, Frame | Sample | Result):
        raise TypeError(f"{method} produced {short_repr(item)}, which is not a Frame, Sample or Result")
    if isinstance(item, Sample) and not item.frames:
        raise ValueError(f"{method} produced a Sample without frames")
