"""The two BMF modules that all nodes run in: one hosts stages, the other one of BMF's own modules.

Hosting the native decoder, filters and encoder too gives every node the same three things that BMF
lacks: a failure names its node, each call is timed, and any node can end the run. A run ends early by
every node passing an end of stream on instead of work, so that BMF takes the graph down as usual: an
exception thrown through BMF would leak its threads.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

from bmf import Module, Packet, ProcessResult, Task, Timestamp
from bmf.lib._bmf import engine

from bmfgraph.errors import RunError
from bmfgraph.nodes.modules.items import Detections, Frame, Sample
from bmfgraph.nodes.modules.stage import Stage
from bmfgraph.nodes.modules.watch import Meter, Watch
from bmfgraph.ports import FrameSpec, Matrix

__all__ = ["JOBS", "NativeHost", "NativeJob", "Outlet", "StageHost", "StageJob"]

_MICRO = 1_000_000


@dataclass(frozen=True)
class Outlet:
    """One outgoing stream. ``raw``: BMF's own packets, for native nodes; ``item``: our objects."""

    port: int
    form: Literal["raw", "item"]


@dataclass
class NativeJob:
    """A module of BMF's, by name and options."""

    meter: Meter
    watch: Watch
    module: str
    options: dict[str, Any]
    outlets: tuple[Outlet, ...] = ()
    matrix: Matrix = "bt709"
    """Of the frames that it makes."""
    hint: str = ""
    cut_sound: bool = False
    """Copied sound that lies before the first frame is left out: the decoder seeks frames, and not sound."""


@dataclass
class StageJob:
    """A chain of stages: what one gives, the next takes."""

    stages: list[tuple[Stage, Meter]]
    watch: Watch
    arity: int
    outlets: tuple[Outlet, ...] = ()
    promised: FrameSpec | None = None
    """The frames that the last stage's spec says it makes."""
    waiting: list[dict[int, Any]] = field(default_factory=list)


JOBS: dict[str, NativeJob | StageJob] = {}
"""Hand-over to the modules that BMF makes by name: it passes options as JSON only. Emptied as they start."""


class _Host(Module):  # type: ignore[misc]
    """What both hosts do alike: end the stream when the run is stopped, and never throw through BMF."""

    watch: Watch
    name: str

    def _begin(self, watch: Watch, name: str) -> None:
        self.watch, self.name = watch, name
        watch.started()
        watch.working.add(name)

    def process(self, task: Any) -> Any:
        try:
            if self.watch.stopped:
                self._end(task)
            else:
                self._work(task)
        except BaseException as error:
            try:
                self._failed(error)
            finally:
                # An item that a stage broke may break the telling, too.
                self.watch.fail(self.watch.meter(self.name, "node"), error)
                self._end(task)
        return ProcessResult.OK

    def close(self) -> None:
        self.watch.working.discard(self.name)

    def _work(self, task: Any) -> None:
        raise NotImplementedError

    def _failed(self, error: BaseException) -> None:
        raise NotImplementedError

    def _end(self, task: Any) -> None:
        for queue in task.get_inputs().values():
            while not queue.empty():
                queue.get()
        for queue in task.get_outputs().values():
            queue.put(Packet.generate_eof_packet())
        task.timestamp = Timestamp.DONE


class NativeHost(_Host):
    """Runs one of BMF's own modules."""

    def __init__(self, node: int, option: dict[str, Any]) -> None:
        job = JOBS.pop(option["job"])
        assert isinstance(job, NativeJob)
        self._begin(job.watch, job.meter.name)
        self.job, self.node = job, node
        self.made = 0
        self.module: Any = None
        self.busy = threading.Lock()
        self.broken = self.closed = False
        self.heard = len(job.watch.ffmpeg_log)
        """How much of FFmpeg's log is older than the call that is going on."""
        try:
            self.module = engine.Module(job.module, json.dumps(job.options), "c++", "", "")
            self.module.init()
        except Exception as error:
            self._failed(error)

    def _work(self, task: Any) -> None:
        job, meter = self.job, self.job.meter
        inputs, outputs = task.get_inputs(), task.get_outputs()
        inner = Task(self.node, list(inputs), sorted({outlet.port for outlet in job.outlets}))
        inner.timestamp = task.timestamp
        taken = self._move_in(inputs, inner.get_inputs())
        with self.busy:
            if self.module is None or self.closed:
                return self._end(task)
            began = time.perf_counter()
            self.heard = len(self.watch.ffmpeg_log)
            code = self.module.process(inner)
            spent = time.perf_counter() - began
        if code:
            raise self._told()
        made = self._move_out(inner.get_outputs(), outputs)
        if taken or made:
            meter.seconds.append(spent)
        task.timestamp = inner.timestamp
        return None

    def _move_in(self, queues: Any, inner: Any) -> int:
        meter, count, frames = self.job.meter, 0, 0
        for port, queue in queues.items():
            while not queue.empty():
                packet = queue.get()
                inner[port].put(packet)
                count += 1
                if port == 0 and packet.timestamp != Timestamp.EOF:
                    frames += 1
                    meter.last_time = Fraction(packet.timestamp, _MICRO)
        if queues:
            meter.frames += frames
            meter.queued.append(count)
        return count

    def _move_out(self, inner: Any, queues: Any) -> int:
        """Hand packets on, as they are or as items, to every stream of their port."""
        meter, count = self.job.meter, 0
        for port, queue in inner.items():
            outlets = [number for number, outlet in enumerate(self.job.outlets) if outlet.port == port]
            while not queue.empty():
                packet = queue.get()
                end = packet.timestamp == Timestamp.EOF
                if port == 0 and not end:
                    if meter.kind == "decoder":
                        meter.frames += 1
                        meter.last_time = Fraction(packet.timestamp, _MICRO)
                    count += 1
                for number in outlets:
                    queues[number].put(packet if end or self.job.outlets[number].form == "raw" else self._item(packet))
                if port == 0 and not end:
                    self.made += 1
        return count

    def _item(self, packet: Any) -> Any:
        from bmf import VideoFrame

        wrapped = Packet(Frame(self.made, packet.get(VideoFrame), self.job.matrix))
        wrapped.timestamp = packet.timestamp
        return wrapped

    def _told(self, doing: str = "") -> RunError:
        """The failure in FFmpeg's own words."""
        log = self.watch.ffmpeg_log
        # What it said during this call explains it best; a codec's threads may have spoken before.
        lines = [line.strip() for line in log[self.heard :] or log if line.strip()]
        cause = lines[-1] if lines else "FFmpeg gave up without saying why"
        meter = self.job.meter
        if doing:
            return RunError(meter.name, meter.kind, f"{doing}: {cause}", hint=self.job.hint)
        return RunError(meter.name, meter.kind, cause, frame=meter.frames, time=meter.last_time, hint=self.job.hint)

    def _failed(self, error: BaseException, doing: str = "") -> None:
        self.broken = True
        meter = self.job.meter
        if not isinstance(error, RunError) and self.watch.ffmpeg_log:
            error = self._told(doing)
        self.watch.fail(meter, error, doing=doing, frame=meter.frames, time=meter.last_time, hint=self.job.hint)

    def close(self) -> None:
        # BMF closes a node from another thread when those after it have ended, even while it is at work.
        # An encoder that failed would write its trailer again and fail again, this time inside BMF.
        with self.busy:
            super().close()
            # The module is kept until the graph is gone: BMF looks modules up in a table that has no lock.
            self.closed = True
            if self.module is None or self.broken:
                return
            try:
                self.module.close()
            except Exception as error:
                # BMF would swallow it, and call a file without its end a success.
                self._failed(error, doing="cannot be closed")


class StageHost(_Host):
    """Runs a chain of stages."""

    def __init__(self, node: int, option: dict[str, Any]) -> None:
        job = JOBS.pop(option["job"])
        assert isinstance(job, StageJob)
        self._begin(job.watch, job.stages[0][1].name)
        self.job = job
        self.ended = [False] * job.arity
        self.newest = [-1] * job.arity
        self.emitted = -1
        """Index of the newest item that left."""
        self.active: Meter = job.stages[0][1]
        self.item: Any = None
        """What the active stage works on."""

    def _work(self, task: Any) -> None:
        inputs, outputs = task.get_inputs(), task.get_outputs()
        meter = self.job.stages[0][1]
        arrived = [(port, packet) for port, queue in inputs.items() for packet in _drain(queue)]
        meter.queued.append(len(arrived))
        for port, packet in arrived:
            if packet.timestamp == Timestamp.EOF:
                self.ended[port] = True
                continue
            self.item = packet.get(None)
            for items in self._joined(port, self.item):
                self._push(0, items, outputs)
                if self.watch.stopped:
                    return self._end(task)
        if all(self.ended):
            self._finish(outputs)
            self._end(task)
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
        meter.seconds.append(time.perf_counter() - began)
        meter.frames += 1
        meter.last_time = _time_of(items[0])
        for item in made:
            self._push(place + 1, (item,), outputs)
        return None

    def _finish(self, outputs: Any) -> None:
        for port, queue in enumerate(self.job.waiting):
            if queue:
                raise RuntimeError(f"input {port} has {len(queue)} frame(s) that the other inputs do not have")
        for place, (stage, meter) in enumerate(self.job.stages):
            self.active, self.item = meter, None
            for item in _checked(stage.finish(), "finish"):
                self._push(place + 1, (item,), outputs)

    def _emit(self, item: Any, outputs: Any) -> None:
        self._check_promise(item)
        for number, outlet in enumerate(self.job.outlets):
            if outlet.form == "raw" and not isinstance(item, Frame):
                raise TypeError(f"it gives {type(item).__name__}, where the next node takes Frame")
            packet = Packet(item.video if outlet.form == "raw" else item)
            packet.timestamp = round(_time_of(item) * _MICRO)
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
        if (item.video.width, item.video.height) != (promised.width, promised.height):
            raise ValueError(
                f"it gives frames of {item.video.width}x{item.video.height}, "
                f"but its spec promises {promised.width}x{promised.height}"
            )

    def _failed(self, error: BaseException) -> None:
        if self.item is None:
            self.watch.fail(self.active, error, doing="after the last frame")
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
    """What a stage gave, as a list; nothing but items may travel on."""
    try:
        items = list(made)
    except TypeError:
        if isinstance(made, Iterable):
            raise
        raise TypeError(f"{method} gives {_shown(made)}, not an iterable of items") from None
    for item in items:
        if not isinstance(item, Frame | Sample | Detections):
            raise TypeError(f"{method} gives {_shown(item)}, which is no Frame, Sample or Detections")
        if isinstance(item, Sample) and not item.frames:
            raise ValueError(f"{method} gives a Sample that answers for no frame")
    return items


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _time_of(item: Frame | Sample | Detections) -> Fraction:
    if isinstance(item, Frame):
        return item.time
    return item.frames[0].time if isinstance(item, Sample) else item.frame.time
