"""Run a chain of stages inside one BMF node."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bmf import Timestamp

from bmfgraph.errors import short_repr
from bmfgraph.plan.types import FrameSpec
from bmfgraph.runner.modules.base import HANDOVER, BmfModule, OutputStream
from bmfgraph.runner.monitor import NodeTimings, RunMonitor
from bmfgraph.stages.base import Stage
from bmfgraph.stages.items import Batch, Frame, Result, Sample, is_kept
from bmfgraph.stages.recording import Recording

__all__ = ["StageChainConfig", "StageChainModule", "Step"]

Item = Frame | Sample | Result
_ITEMS = (Frame, Sample, Result)


@dataclass
class Step:
    """One step of a chain: a stage, or a recording of several.

    Attributes:
        stage: The opened stage.
        timings: Timings of each node that the step runs.
        kept: Of a sink, where the run is one part of a clip: numbers of the first frame that is written, and of the
            first one behind them.
    """

    stage: Stage
    timings: tuple[NodeTimings, ...]
    kept: tuple[int, int] | None = None

    def process(self, rows: Sequence[tuple[Item, ...]], note: Callable[[Item], None]) -> list[Item]:
        """Process the items of consecutive frames; ``note`` is called with the first item of each piece of work."""
        if self.kept is not None:
            inside = [row for row in rows if is_kept(row[0].index, self.kept)]
            self.timings[0].left_out += len(rows) - len(inside)
            if not (rows := inside):
                return []
        started = time.perf_counter()
        if type(self.stage).process_batch is not Stage.process_batch:
            note(rows[0][0])
            results = _checked(self.stage.process_batch(rows), "process")
            ended = time.perf_counter()
            if isinstance(self.stage, Recording):
                self._add_marks(self.stage.marks, len(rows))
            else:
                self.timings[0].add(started, ended, len(rows))
        else:
            results = []
            for items in rows:
                note(items[0])
                results += _checked(self.stage.process(*items), "process")
                ended = time.perf_counter()
                self.timings[0].add(started, ended)
                started = ended
        for timings in self.timings:
            timings.frames += len(rows)
            timings.last_time = rows[-1][0].time
        return results

    def _add_marks(self, marks: tuple[float, float, float, float], frames: int) -> None:
        """Add the times of a recording: the first node copies the inputs, the last one makes the items."""
        begun, copied, launched, done = marks
        if len(self.timings) == 1:
            self.timings[0].add(begun, done, frames)
            return
        first, *others, last = self.timings
        first.add(begun, copied, frames)
        for timings in others:
            timings.add(copied, launched, frames)
        last.add(launched if others else copied, done, frames)


@dataclass
class StageChainConfig:
    """Configure a :class:`StageChainModule`.

    Attributes:
        steps: Each one processes the items of the one before.
        monitor: Monitor of the run.
        batch: Largest number of frames that travel together.
        arity: Number of input streams of the BMF node.
        input_order: Number of the input stream for each input of the first stage. BMF allows one edge between two
            ports, so a stage may use one stream for several inputs.
        outputs: Streams that leave the node.
        expected: Frame type that the last stage's spec promises; None where the stage produces no frames.
        waiting: For each input stream, the items whose partners on the other streams have not arrived, by frame index.
        ready: Called on BMF's thread before the stages work; it makes the GPU's shared stream the current one.
    """

    steps: list[Step]
    monitor: RunMonitor
    arity: int
    batch: int = 1
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
        self._register(config.monitor, config.steps[0].timings[0].name)
        self.config = config
        self.ended = [False] * config.arity
        self.newest = [-1] * config.arity
        """Index of the newest item of each input stream."""
        self.last_index = -1
        """Index of the last item that left."""
        self.active: NodeTimings = config.steps[0].timings[0]
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
        timings = self.config.steps[0].timings[0]
        packets = [(port, packet) for port, queue in inputs.items() for packet in _drain(queue)]
        timings.queued.add(len(packets))
        for port, packet in packets:
            if packet.timestamp == Timestamp.EOF:
                self.ended[port] = True
                continue
            batch: Batch = packet.get(None)
            self.active, self.item = timings, batch.items[0]
            if joined := self._join(port, batch):
                order = self.config.input_order
                self._push(0, [tuple(items[stream] for stream in order) for items in joined], outputs)
                if self.monitor.stopped:
                    return self._end(task)
        if all(self.ended):
            self._finish(outputs)
            self._end(task)
        return None

    def _produce(self, task: Any, outputs: Any) -> None:
        """Pass on a batch of a source stage; BMF calls again as long as the next nodes have room."""
        step = self.config.steps[0]
        timings, items = step.timings[0], []
        for _ in range(self.config.batch):
            self.active, self.item = timings, None
            started = time.perf_counter()
            if self.source is None:
                self.source = _iterator(step.stage.process(), "process")
            item = next(self.source, None)
            if item is None:
                break
            _check_item(item, "process")
            timings.add(started, time.perf_counter())
            timings.frames += 1
            timings.last_time = item.time
            items.append((item,))
        self._push(1, items, outputs)
        if len(items) < self.config.batch:
            self._finish(outputs)
            self._end(task)
        elif self.monitor.stopped:
            self._end(task)

    def _join(self, port: int, batch: Batch) -> list[tuple[Item, ...]]:
        """Return the items of all input streams with the same frame index, as far as all of them have arrived."""
        if self.config.arity == 1:
            return [(item,) for item in batch.items]
        waiting, joined = self.config.waiting, []
        for item in batch.items:
            waiting[port][item.index] = item
            if all(item.index in queue for queue in waiting):
                joined.append(tuple(queue.pop(item.index) for queue in waiting))
        self.newest[port] = batch.items[-1].index
        # Streams are ordered: an index that a stream has skipped never arrives.
        for stream, queue in enumerate(waiting):
            oldest = min(queue, default=None)
            for other, newest in enumerate(self.newest):
                if oldest is not None and oldest < newest and oldest not in waiting[other]:
                    raise LookupError(f"input {stream} has frame {oldest}, but input {other} skipped it")
        return joined

    def _push(self, position: int, rows: Sequence[tuple[Item, ...]], outputs: Any) -> None:
        """Process items by the step at that position and by all later ones."""
        for start in range(0, len(rows), self.config.batch):
            part = rows[start : start + self.config.batch]
            if position == len(self.config.steps):
                self._emit([items[0] for items in part], outputs)
                continue
            step = self.config.steps[position]
            self.active = step.timings[-1]
            results = step.process(part, self._note)
            self._push(position + 1, [(item,) for item in results], outputs)

    def _note(self, item: Item) -> None:
        self.item = item

    def _finish(self, outputs: Any) -> None:
        """Push the items that the stages still hold back."""
        self.active, self.item = self.config.steps[0].timings[0], None
        for port, queue in enumerate(self.config.waiting):
            if queue:
                raise RuntimeError(f"input {port} has {len(queue)} frame(s) that the other inputs do not have")
        for position, step in enumerate(self.config.steps):
            self.active, self.item = step.timings[-1], None
            results = _checked(step.stage.finish(), "finish")
            self._push(position + 1, [(item,) for item in results], outputs)
            for timings in step.timings:
                timings.last_done = time.perf_counter()

    def _emit(self, items: Sequence[Item], outputs: Any) -> None:
        """Put a batch of the last stage on every output stream."""
        for item in items:
            self.item = item
            self._check_output(item)
        last = self.config.steps[-1].timings[-1]
        last.sent = (last.sent or 0) + len(items)
        self._put(outputs, range(len(self.config.outputs)), Batch(tuple(items)), items[0].time)

    def _check_output(self, item: Item) -> None:
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
        self.item = getattr(error, "item", self.item)
        if self.item is None and source and self.active.frames and self.active is self.config.steps[0].timings[0]:
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


def _checked(results: Any, method: str) -> list[Item]:
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
    if not isinstance(item, _ITEMS):
        raise TypeError(f"{method} produced {short_repr(item)}, which is not a Frame, Sample or Result")
    if isinstance(item, Sample) and not item.frames:
        raise ValueError(f"{method} produced a Sample without frames")
