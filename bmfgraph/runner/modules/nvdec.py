"""Run NVIDIA's hardware decoder as a source of frames on the GPU."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

from bmfgraph.media.frame_selection import Timed, selection_of
from bmfgraph.runner.modules.base import BmfModule
from bmfgraph.runner.modules.gpu_decoder import HINT, GpuDecoder
from bmfgraph.stages.items import Frame

__all__ = ["NvdecModule"]


class NvdecModule(BmfModule):
    """Run the hardware decoder: a source with one output, RGB frames on the GPU."""

    def __init__(self, node: int, option: dict[str, Any]) -> None:
        config = self.config = self._taken(option)
        self.frames_out = 0
        self.waiting: list[Frame] = []
        """Frames of a batch that is not full."""
        params = config.params
        self.selection = selection_of(params.every, params.fps, params.time_base, params.rate)
        self.decoder_lock = threading.Lock()
        self.decoder: GpuDecoder | None = None
        try:
            self.decoder = GpuDecoder(
                config.timings.name, config.timings.kind, config.params, config.stream, config.batch
            )
        except Exception as error:
            self._report(error, doing="cannot start")

    def _work(self, task: Any) -> None:
        config, timings = self.config, self.config.timings
        with self.decoder_lock:
            if self.decoder is None:
                return self._end(task)
            started = time.perf_counter()
            frames = self.decoder.read()
            timings.add(started, time.perf_counter(), len(frames))
            ended = self.decoder.ended
        base = config.params.time_base if config.params.fps is None else 1 / config.params.fps
        for pts, image in self._selected(frames, ended):
            self.waiting.append(Frame(config.params.first + self.frames_out, pts, base, image))
            self.frames_out += 1
        full = len(self.waiting) if ended else len(self.waiting) // config.batch * config.batch
        passed, self.waiting = self.waiting[:full], self.waiting[full:]
        if passed:
            self._put_frames(task.get_outputs(), range(len(config.outputs)), passed, config.batch)
            timings.frames += len(passed)
            timings.last_time = passed[-1].time
        if ended:
            self._end(task)
        return None

    def _selected(self, frames: list[tuple[int, Any]], ended: bool) -> Iterator[tuple[int, Any]]:
        """Yield the frames that are passed on."""
        if self.selection is None:
            yield from frames
            return
        for pts, image in frames:
            for timed in self.selection.push(Timed(image, pts, 0)):
                yield timed.pts, timed.picture
        if ended:
            for timed in self.selection.finish():
                yield timed.pts, timed.picture
            self.monitor.selected[self.name] = self.selection.selected

    def _report(self, error: BaseException, doing: str = "") -> None:
        timings = self.config.timings
        if doing:
            self.monitor.fail(timings, error, doing=doing, hint=HINT)
        else:
            self.monitor.fail(timings, error, frame=timings.frames, time=timings.last_time, hint=HINT)

    def close(self) -> None:
        """Schedule the end of the decoder for after the graph's end."""
        # BMF closes a node from another thread as soon as all later nodes have ended, even while it works.
        with self.decoder_lock:
            super().close()
            decoder, self.decoder = self.decoder, None
            if decoder is not None:
                # An abandoned run never destroys it, but its thread must end.
                decoder.stop()
                # Destroying the decoder blocks the GPU for 0.2 s, while later nodes still process frames.
                self.monitor.on_shutdown.append(decoder.close)
