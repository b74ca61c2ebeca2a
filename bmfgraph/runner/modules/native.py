"""The host of one of BMF's own modules: decoder, filter or encoder."""

from __future__ import annotations

import json
import threading
import time
from fractions import Fraction
from typing import Any

from bmf import Packet, Task, Timestamp
from bmf.lib._bmf import engine

from bmfgraph.errors import RunError
from bmfgraph.runner.modules.base import HANDOVER, MICRO, BmfModule, ModuleConfig
from bmfgraph.stages.items import Frame

__all__ = ["NativeModule"]


class NativeModule(BmfModule):
    """Runs one of BMF's own modules."""

    def __init__(self, node: int, option: dict[str, Any]) -> None:
        job = HANDOVER.pop(option["job"])
        assert isinstance(job, ModuleConfig)
        self._begin(job.watch, job.meter.name)
        self.job, self.node = job, node
        self.made = 0
        self.module: Any = None
        self.busy = threading.Lock()
        self.broken = self.closed = False
        self.log_start = len(job.watch.ffmpeg_log)
        """How much of FFmpeg's log is older than the call that is going on."""
        try:
            self.module = engine.Module(job.spec.name, json.dumps(dict(job.spec.options)), "c++", "", "")
            self.module.init()
        except Exception as error:
            self._failed(error)

    def _work(self, task: Any) -> None:
        job, meter = self.job, self.job.meter
        inputs, outputs = task.get_inputs(), task.get_outputs()
        inner = Task(self.node, list(inputs), sorted({outlet.port for outlet in job.outlets}))
        inner.timestamp = task.timestamp
        before = meter.frames
        taken = self._move_in(inputs, inner.get_inputs())
        with self.busy:
            if self.module is None or self.closed:
                return self._end(task)
            began = time.perf_counter()
            self.log_start = len(self.watch.ffmpeg_log)
            code = self.module.process(inner)
            ended = time.perf_counter()
        if code:
            raise self._ffmpeg_error()
        made = self._move_out(inner.get_outputs(), outputs, source=not inputs)
        if taken or made:
            meter.add(began, ended, meter.frames - before)
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
                    meter.last_time = Fraction(packet.timestamp, MICRO)
        if queues:
            meter.frames += frames
            meter.queued.append(count)
        return count

    def _move_out(self, inner: Any, queues: Any, *, source: bool) -> int:
        """Hand packets on, as they are or as items, to every stream of their port."""
        meter, count = self.job.meter, 0
        for port, queue in inner.items():
            outlets = [number for number, outlet in enumerate(self.job.outlets) if outlet.port == port]
            while not queue.empty():
                packet = queue.get()
                end = packet.timestamp == Timestamp.EOF
                if port == 0 and not end:
                    if source:
                        meter.frames += 1
                        meter.last_time = Fraction(packet.timestamp, MICRO)
                    count += 1
                for number in outlets:
                    queues[number].put(
                        packet if end or self.job.outlets[number].payload == "video_frame" else self._item(packet)
                    )
                if port == 0 and not end:
                    self.made += 1
        return count

    def _item(self, packet: Any) -> Any:
        from bmf import VideoFrame

        wrapped = Packet(Frame(self.made, packet.get(VideoFrame), self.job.matrix))
        wrapped.timestamp = packet.timestamp
        return wrapped

    def _ffmpeg_error(self, doing: str = "") -> RunError:
        """The failure in FFmpeg's own words."""
        log = self.watch.ffmpeg_log
        # What it said during this call explains it best; a codec's threads may have spoken before.
        lines = [line.strip() for line in log[self.log_start :] or log if line.strip()]
        cause = lines[-1] if lines else "FFmpeg gave up without saying why"
        meter = self.job.meter
        if doing:
            return RunError(meter.name, meter.kind, f"{doing}: {cause}", hint=self.job.spec.hint, code="E801")
        return RunError(
            meter.name,
            meter.kind,
            cause,
            frame=meter.frames,
            time=meter.last_time,
            hint=self.job.spec.hint,
            code="E801",
        )

    def _failed(self, error: BaseException, doing: str = "") -> None:
        self.broken = True
        meter = self.job.meter
        if not isinstance(error, RunError) and self.watch.ffmpeg_log:
            error = self._ffmpeg_error(doing)
        self.watch.fail(meter, error, doing=doing, frame=meter.frames, time=meter.last_time, hint=self.job.spec.hint)

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
