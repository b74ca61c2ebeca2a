"""Run PyAV's encoder as a sink of frames, and of the packets of other streams."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from bmf import Timestamp

from bmfgraph import error_codes as codes
from bmfgraph.errors import Problem, RunError
from bmfgraph.media.tracks import TrackPackets, Tracks
from bmfgraph.media.two_passes import TwoPassWriter, open_writer
from bmfgraph.media.writing import FrameLoss, Writer
from bmfgraph.runner.modules.base import BmfModule
from bmfgraph.stages.items import Batch, is_kept

__all__ = ["EncoderModule"]


class EncoderModule(BmfModule):
    """Write frames, and the packets of other streams as they come. Frames wait until the other streams are known."""

    def __init__(self, node: int, option: dict[str, Any]) -> None:
        config = self.config = self._taken(option)
        self.open_inputs = set(range(config.arity))
        self.ready = config.arity == 1
        self.frames: deque[Any] = deque()
        self.writer: Writer | TwoPassWriter | None = None
        try:
            self.writer = open_writer(config.params)
        except Exception as error:
            self.monitor.fail(config.timings, error, doing="cannot start", hint=config.spec.hint)

    def _work(self, task: Any) -> None:
        timings = self.config.timings
        if self.writer is None:
            return self._end(task)
        count = 0
        for port, queue in task.get_inputs().items():
            while not queue.empty():
                packet = queue.get()
                count += 1
                if packet.timestamp == Timestamp.EOF:
                    self.open_inputs.discard(port)
                    self.ready = self.ready or port == 1
                else:
                    self._take(self.writer, packet.get(None))
        timings.queued.add(count)
        while self.ready and self.frames:
            frame = self.frames.popleft()
            started = time.perf_counter()
            self.writer.write(frame.as_picture(), frame.time, frame.duration)
            timings.frames += 1
            timings.last_time = frame.time
            timings.add(started, time.perf_counter())
        if not self.open_inputs:
            writer, self.writer = self.writer, None
            writer.close(lambda: self.monitor.stopped)
            self._tell_cut(float(writer.cut))
            self._tell_damage(writer.damaged)
            self._end(task)
        return None

    def _tell_damage(self, packets: int) -> None:
        if packets:
            count = f"{packets} packets" if packets > 1 else "1 packet"
            message = f"{count} of audio or subtitles could not be decoded; the file is written without"
            hint = "set audio=copy to keep them as they are"
            self.monitor.warn(Problem(f"pipeline.nodes.{self.name}", message, codes.DAMAGED_MEDIA, hint))

    def _take(self, writer: Writer | TwoPassWriter, item: Any) -> None:
        if isinstance(item, Batch):
            inside = [frame for frame in item.items if is_kept(frame.index, self.config.kept)]
            self.config.timings.left_out += len(item.items) - len(inside)
            self.frames.extend(inside)
        elif isinstance(item, Tracks):
            writer.set_tracks(item)
            self.ready = True
        elif isinstance(item, TrackPackets):
            writer.write_packets(item.packets)
        else:
            raise TypeError(f"expected frames or packets, not {type(item).__name__}")

    def _tell_cut(self, seconds: float) -> None:
        if seconds:
            container = self.config.params.container
            message = f"the source shows its last frame {seconds:.2f} s longer, which {container} cannot store"
            hint = "write .mp4, .mov or .mkv"
            self.monitor.warn(Problem(f"pipeline.nodes.{self.name}", message, codes.SHORTENED_LAST_FRAME, hint))

    def _report(self, error: BaseException) -> None:
        timings = self.config.timings
        if isinstance(error, FrameLoss):
            single = "update" in dict(self.config.params.mux_options)
            error = RunError(
                timings.name,
                timings.kind,
                str(error),
                frame=timings.frames,
                time=timings.last_time,
                hint="write a sequence, such as frame_%05d.png, or a video" if single else "write another container",
                code=codes.INVALID_SEQUENCE_NAME if single else codes.INCOMPLETE_OUTPUT,
            )
        self.monitor.fail(timings, error, frame=timings.frames, time=timings.last_time, hint=self.config.spec.hint)

    def close(self) -> None:
        """Mark the node as closed; a file that is not finished is given up."""
        super().close()
        writer, self.writer = self.writer, None
        if writer is not None:
            writer.abandon()
