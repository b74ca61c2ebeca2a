"""Run one of BMF's own C++ modules: its decoder or its encoder."""

from __future__ import annotations

import json
import threading
import time
from fractions import Fraction
from typing import Any

from bmf import Packet, Task, Timestamp
from bmf.lib._bmf import engine

from bmfgraph import error_codes as codes
from bmfgraph.errors import RunError
from bmfgraph.runner.modules.base import MICRO, BmfModule
from bmfgraph.runner.modules.native_frames import frame_of, video_frame_of
from bmfgraph.stages.items import Batch, Frame

__all__ = ["NativeModule"]


class NativeModule(BmfModule):
    """Run one of BMF's own modules."""

    def __init__(self, node: int, option: dict[str, Any]) -> None:
        config = self.config = self._taken(option)
        self.node = node
        self.frames_out = 0
        self.module: Any = None
        self.module_lock = threading.Lock()
        self.failed = self.closed = False
        try:
            self.module = engine.Module(config.spec.name, json.dumps(dict(config.spec.options)), "c++", "", "")
            self.module.init()
        except Exception as error:
            self._report(error)

    def _work(self, task: Any) -> None:
        timings = self.config.timings
        inputs, outputs = task.get_inputs(), task.get_outputs()
        inner = Task(self.node, list(inputs), sorted({stream.port for stream in self.config.outputs}))
        inner.timestamp = task.timestamp
        frames_before = timings.frames
        packets_in = self._move_in(inputs, inner.get_inputs())
        with self.module_lock:
            if self.module is None or self.closed:
                return self._end(task)
            started = time.perf_counter()
            code = self.module.process(inner)
            ended = time.perf_counter()
        if code:
            raise self._failed()
        frames_out = self._move_out(inner.get_outputs(), outputs, source=not inputs)
        if packets_in or frames_out:
            timings.add(started, ended, timings.frames - frames_before)
        task.timestamp = inner.timestamp
        return None

    def _move_in(self, queues: Any, inner: Any) -> int:
        """Pass all packets to the module's inputs; return their number."""
        timings, packets, frames = self.config.timings, 0, 0
        for port, queue in queues.items():
            while not queue.empty():
                packet = queue.get()
                packets += 1
                if port != 0 or packet.timestamp == Timestamp.EOF:
                    inner[port].put(packet)
                    continue
                for frame in packet.get(None).items:
                    frames += 1
                    timings.last_time = frame.time
                    inner[port].put(self._native(frame))
        if queues:
            timings.frames += frames
            timings.queued.add(packets)
        return packets

    def _move_out(self, inner: Any, queues: Any, *, source: bool) -> int:
        """Put the module's packets on every stream of their port, video as items; return the number of frames."""
        timings, outputs, frames_before = self.config.timings, self.config.outputs, self.frames_out
        for port, queue in inner.items():
            streams = [number for number, stream in enumerate(outputs) if stream.port == port]
            while not queue.empty():
                packet = queue.get()
                end = packet.timestamp == Timestamp.EOF
                is_frame = port == 0 and not end
                sent = self._item(packet) if is_frame and streams else packet
                if sent is None:
                    continue
                if is_frame and source:
                    timings.frames += 1
                    timings.last_time = Fraction(packet.timestamp, MICRO)
                for number in streams:
                    queues[number].put(sent)
                self.frames_out += is_frame
        return self.frames_out - frames_before

    def _item(self, packet: Any) -> Any:
        """Return a packet with BMF's VideoFrame as a batch of one Frame; None where it is left out."""
        from bmf import VideoFrame

        assert self.config.frames is not None
        wrapped = Packet(Batch((frame_of(packet.get(VideoFrame), self.frames_out, self.config.frames),)))
        wrapped.timestamp = packet.timestamp
        return wrapped

    def _native(self, frame: Frame) -> Any:
        """Return a packet with a Frame as BMF's VideoFrame."""
        assert self.config.frames is not None
        wrapped = Packet(video_frame_of(frame, self.config.frames))
        wrapped.timestamp = round(frame.time * MICRO)
        return wrapped

    def _failed(self, doing: str = "") -> RunError:
        timings = self.config.timings
        return RunError(
            timings.name,
            timings.kind,
            f"{doing}: BMF's module failed" if doing else "BMF's module failed",
            frame=None if doing else timings.frames,
            time=None if doing else timings.last_time,
            hint=self.config.spec.hint,
            code=codes.NODE_FAILURE,
        )

    def _report(self, error: BaseException, doing: str = "") -> None:
        self.failed = True
        timings = self.config.timings
        self.monitor.fail(
            timings, error, doing=doing, frame=timings.frames, time=timings.last_time, hint=self.config.spec.hint
        )

    def close(self) -> None:
        """Close BMF's module, once no call of it is going on."""
        # BMF closes a node from another thread as soon as all later nodes have ended, even while it works.
        with self.module_lock:
            super().close()
            # Keep the module until the graph is destroyed: BMF looks modules up in a table without a lock.
            self.closed = True
            # A failed encoder would write its trailer again, and fail again inside BMF.
            if self.module is None or self.failed:
                return
            try:
                self.module.close()
            except Exception as error:
                # BMF would ignore the error and report success for a file without its trailer.
                self._report(error, doing="cannot be closed")
