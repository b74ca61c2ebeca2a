"""The host of a chain of stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from bmf import Packet, Timestamp

from bmfgraph.errors import short_repr
from bmfgraph.plan.types import FrameSpec
from bmfgraph.runner.modules.base import HANDOVER, MICRO, BmfModule, OutputStream
from bmfgraph.runner.monitor import NodeTimings, RunMonitor
from bmfgraph.stages.base import Stage
from bmfgraph.stages.items import Detections, Frame, Sample

__all__ = ["StageChainConfig", "StageChainModule"]

_ITEMS = 4
"""Items of a source per call of BMF: fewer cost time, more cost memory."""


@dataclass
class StageChainConfig:
    """A chain of stages: what one gives, the next takes."""

    stages: list[tuple[Stage, NodeTimings]]
    watch: RunMonitor
    arity: int
    order: tuple[int, ...] = (0,)
    """Which of the streams that arrive each input takes from."""
    outlets: tuple[OutputStream, ...] = ()
    promised: FrameSpec | None = None
    """The frames that the last stage's spec says it makes."""
    waiting: list[dict[int, Any]] = field(default_factory=list)
    ready: Callable[[], None] = lambda: None
    """Called on the host's thread before its stages work: makes the GPU's stream the current one."""


class StageChainModule(BmfModule):
    """Runs a chain of stages. A source's ``process`` is called once, without items, and read a few items at a time."""

    def __init__(self, node: int, option: dict[str, Any]) -> None:
        job = HANDOVER.pop(option["job"])
        assert isinstance(job, StageChainConfig)
        self._begin(job.watch, job.stages[0][1].name)
        self.job = job
        self.ended = [False] * job.arity
        self.newest = [-1] * job.arity
        self.emitted = -1
        """Index of the newest item that left."""
        self.active: NodeTimings = job.stages[0][1]
        self.item: Any = None
        """What the active stage works on."""
        self.source: Iterator[Any] | None = None
        """The items of a source stage."""

    def _work(self, task: Any) -> None:
        inputs, outputs = task.get_inputs(), task.get_outputs()
        self.job.ready()
        if not self.job.arity:
            return self._produce(task, outputs)
        meter = self.job.stages[0][1]
        arrived = [(port, packet) for port, queue in inputs.items() for packet in _drain(queue)]
        meter.queued.append(len(arrived))
        for port, packet in arrived:
            if packet.timestamp == Timestamp.EOF:
                self.ended[port] = True
                continue
            self.active, self.item = meter, packet.get(None)
            for items in self._joined(port, self.item):
                self._push(0, tuple(items[stream] for stream in self.job.order), outputs)
                if self.watch.stopped:
                    return self._end(task)
        if all(self.ended):
            self._finish(outputs)
            self._end(task)
        return None

    def _produce(self, task: Any, outputs: Any) -> None:
        """Pass on a few items of a source stage; BMF calls again as long as the next nodes have room."""
        stage, meter = self.job.stages[0]
        for _ in range(_ITEMS):
            self.active, self.item = meter, None
            began = time.perf_counter()
            if self.source is None:
                self.source = _iterator(stage.process(), "process")
            item = next(self.source, None)
            if item is None:
                self._finish(outputs)
                return self._end(task)
            _check_item(item, "process")
            meter.add(began, time.perf_counter())
            meter.frames += 1
            meter.last_time = _time_of(item)
            self._push(1, (item,), outputs)
            if self.watch.stopped:
                return self._end(task)
        return None

    def _joined(self, port: int, item: Any) -> Iterator[tuple[Any, ...]]:
        """Items of all inputs that belong to the same frame, once all are there."""
        if self.job.arity == 1:
            yield (item,)
            return
        waiting = self.job.waiting
        waiting[port][item.index] = item
        self.newest[port] = item.index
        if all(item.index in queue for queue in waiting):
            yield tuple(queue.pop(item.index) for queue in waiting)
        # Items come in order: what an input has passed by will not come any more.
        for one, held in enumerate(waiting):
            lonely = min(held, default=None)
            for other, newest in enumerate(self.newest):
                if lonely is not None and lonely < newest and lonely not in waiting[other]:
                    raise LookupError(f"input {one} has frame {lonely}, which input {other} has left out")

    def _push(self, place: int, items: tuple[Any, ...], outputs: Any) -> None:
        if place == len(self.job.stages):
            return self._emit(items[0], outputs)
        stage, meter = self.job.stages[place]
        self.active, self.item = meter, items[0]
        began = time.perf_counter()
        made = _checked(stage.process(*items), "process")
        meter.add(began, time.perf_counter())
        meter.frames += 1
        meter.last_time = _time_of(items[0])
        for item in made:
            self._push(place + 1, (item,), outputs)
        return None

    def _finish(self, outputs: Any) -> None:
        self.active, self.item = self.job.stages[0][1], None
        for port, queue in enumerate(self.job.waiting):
            if queue:
                raise RuntimeError(f"input {port} has {len(queue)} frame(s) that the other inputs do not have")
        for place, (stage, meter) in enumerate(self.job.stages):
            self.active, self.item = meter, None
            for item in _checked(stage.finish(), "finish"):
                self._push(place + 1, (item,), outputs)
            meter.last_done = time.perf_counter()

    def _emit(self, item: Any, outputs: Any) -> None:
        self._check_promise(item)
        for number, outlet in enumerate(self.job.outlets):
            if outlet.payload == "video_frame" and not isinstance(item, Frame):
                raise TypeError(f"it gives {type(item).__name__}, where the next node takes Frame")
            if outlet.payload == "video_frame" and item.image is not None:
                raise TypeError("it gives a frame on the GPU, where the next node works on the CPU")
            packet = Packet(item.video if outlet.payload == "video_frame" else item)
            packet.timestamp = round(_time_of(item) * MICRO)
            outputs[number].put(packet)

    def _check_promise(self, item: Frame | Sample | Detections) -> None:
        if item.index <= self.emitted:
            raise ValueError(
                f"it gives frame {item.index} after frame {self.emitted}: in the place of a frame, at most one may come"
            )
        self.emitted = item.index
        promised = self.job.promised
        if not promised or not isinstance(item, Frame):
            return
        if item.size != (promised.width, promised.height):
            raise ValueError(
                f"it gives frames of {item.size[0]}x{item.size[1]}, "
                f"but its spec promises {promised.width}x{promised.height}"
            )

    def _failed(self, error: BaseException) -> None:
        if self.item is None and self.active.frames and not self.job.arity and self.active is self.job.stages[0][1]:
            self.watch.fail(self.active, error, frame=self.active.frames, time=self.active.last_time)
        elif self.item is None:
            self.watch.fail(self.active, error, doing="after the last frame" if self.job.arity else "")
        else:
            self.watch.fail(self.active, error, frame=self.item.index, time=_time_of(self.item))

    def _end(self, task: Any) -> None:
        super()._end(task)
        for queue in self.job.waiting:
            queue.clear()


def _drain(queue: Any) -> Iterator[Any]:
    while not queue.empty():
        yield queue.get()


def _checked(made: Any, method: str) -> list[Frame | Sample | Detections]:
    """The outputs of a stage as a list; nothing but items may travel on."""
    items = list(_iterator(made, method))
    for item in items:
        _check_item(item, method)
    return items


def _iterator(made: Any, method: str) -> Iterator[Any]:
    try:
        return iter(made)
    except TypeError:
        if isinstance(made, Iterable):
            raise
        raise TypeError(f"{method} gives {short_repr(made)}, not an iterable of items") from None


def _check_item(item: Any, method: str) -> None:
    if not isinstance(item, Frame | Sample | Detections):
        raise TypeError(f"{method} gives {short_repr(item)}, which is no Frame, Sample or Detections")
    if isinstance(item, Sample) and not item.frames:
        raise ValueError(f"{method} gives a Sample that answers for no frame")


def _time_of(item: Frame | Sample | Detections) -> Fraction:
    if isinstance(item, Frame):
        return item.time
    return item.frames[0].time if isinstance(item, Sample) else item.frame.time
