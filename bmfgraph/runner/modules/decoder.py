"""Run PyAV's decoder as a source of frames, and of the packets of the other streams."""

from __future__ import annotations

import threading
import time
from fractions import Fraction
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.errors import Problem, RunError
from bmfgraph.media.decoding import Decoder
from bmfgraph.media.frame_chain import FrameChangeError
from bmfgraph.media.tracks import TrackPackets, TrackReader
from bmfgraph.nodes.decoder import SKIP_HINT
from bmfgraph.runner.modules.base import BmfModule
from bmfgraph.stages.items import Frame

__all__ = ["DecoderModule", "TracksModule"]

_PACKETS_PER_CALL = 64


class TracksModule(BmfModule):
    """Read the packets of a file's streams without its video."""

    def __init__(self, node: int, option: dict[str, Any]) -> None:
        config = self.config = self._taken(option)
        self.frames_out = 0
        self.first = getattr(config.params, "first", 0)
        self.begun = False
        self.lock = threading.Lock()
        self.reader: TrackReader | None = None
        try:
            self.reader = self._opened(config.params)
        except Exception as error:
            self.monitor.fail(config.timings, error, doing="cannot start", hint=config.spec.hint)

    def _opened(self, params: Any) -> TrackReader:
        return TrackReader(params)

    def _work(self, task: Any) -> None:
        with self.lock:
            if self.reader is None:
                return self._end(task)
            if not self.begun:
                # An encoder needs the streams before it can write anything.
                self._give(task, 1, self.reader.tracks, Fraction(0))
                self.begun = True
            started = time.perf_counter()
            self._read(task, self.reader, started)
            ended = self.reader.ended
            if ended:
                self._finish(self.reader)
        if ended:
            self._end(task)
        return None

    def _read(self, task: Any, reader: Any, started: float) -> None:
        packets = reader.read(_PACKETS_PER_CALL)
        self.config.timings.add(started, time.perf_counter(), 0)
        self._put_packets(task, packets)

    def _finish(self, reader: Any) -> None:
        """Look back at the whole file."""

    def _put_packets(self, task: Any, packets: list[Any]) -> None:
        if packets:
            self._give(task, 1, TrackPackets(tuple(packets)), Fraction(0))

    def _give(self, task: Any, port: int, item: Any, at: Fraction) -> None:
        """Put an item on every stream of a port."""
        self._put(task.get_outputs(), self._streams(port), item, at)

    def _streams(self, port: int) -> list[int]:
        """Return the numbers of a port's streams."""
        return [number for number, stream in enumerate(self.config.outputs) if stream.port == port]

    def _report(self, error: BaseException) -> None:
        timings = self.config.timings
        self.monitor.fail(timings, error, frame=timings.frames, time=timings.last_time, hint=self.config.spec.hint)

    def close(self) -> None:
        """Close the file, once no call goes on: BMF closes a node from another thread."""
        with self.lock:
            super().close()
            reader, self.reader = self.reader, None
            if reader is not None:
                # Encoders may still need the streams.
                self.monitor.on_shutdown.append(reader.close)


class DecoderModule(TracksModule):
    """Decode a file: frames on port 0, packets of the other streams on port 1."""

    def _opened(self, params: Any) -> TrackReader:
        return Decoder(params)

    def _read(self, task: Any, reader: Any, started: float) -> None:
        timings, base = self.config.timings, reader.time_base
        try:
            frames, packets = reader.decode(self.config.batch)
        except FrameChangeError as error:
            raise RunError(
                timings.name,
                timings.kind,
                str(error),
                frame=error.frame,
                time=error.time,
                hint=error.hint,
                code=error.code,
            ) from None
        if reader.faults and self.config.params.on_error == "stop":
            raise self._lost("; ".join(reader.faults))
        if frames or packets:
            timings.add(started, time.perf_counter(), len(frames))
        self._put_packets(task, packets)
        items = [
            Frame(self.first + self.frames_out + number, decoded.pts, base, None, decoded.picture, decoded.duration)
            for number, decoded in enumerate(frames)
        ]
        self._put_frames(task.get_outputs(), self._streams(0), items, self.config.batch)
        self.frames_out += len(items)
        timings.frames = timings.sent = self.frames_out
        if items:
            timings.last_time = items[-1].time

    def _finish(self, reader: Any) -> None:
        loss, params = reader.loss(), self.config.params
        for change in reader.changes:
            self.monitor.warn(
                Problem(
                    f"pipeline.nodes.{self.name}",
                    f"{params.path!r}: {change}",
                    codes.CONVERTED_FRAMES,
                    "look at the output there, or cut the clip with decoder.start and decoder.end",
                )
            )
        if reader.selected is not None:
            self.monitor.selected[self.name] = reader.selected
        if loss.is_damage and params.on_error == "stop":
            raise self._lost(str(loss))
        if loss:
            self.monitor.losses[self.name] = loss
            damaged = loss.is_damage or loss.corrupt or loss.doubts
            code = codes.DAMAGED_MEDIA if damaged else codes.UNUSUAL_TIMES
            hint = "copy the file again, or look at the output there"
            self.monitor.warn(Problem(f"pipeline.nodes.{self.name}", f"{params.path!r}: {loss}", code, hint))

    def _lost(self, loss: str) -> RunError:
        timings = self.config.timings
        return RunError(
            timings.name,
            timings.kind,
            f"{self.config.params.path!r}: {loss}",
            frame=timings.frames,
            time=timings.last_time,
            hint=SKIP_HINT,
            code=codes.MISSING_FRAMES,
        )
