"""Run NVIDIA's hardware decoder as a source of frames on the GPU."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from bmf import Packet

from bmfgraph.nodes.nvdec import NvdecParams
from bmfgraph.runner.modules.base import HANDOVER, MICRO, BmfModule, ModuleConfig
from bmfgraph.runner.modules.gpu_decoder import HINT, GpuDecoder
from bmfgraph.stages.bmf_frames import pixel_info
from bmfgraph.stages.items import Frame

__all__ = ["NvdecModule"]

_FRAMES_PER_CALL = 4
"""Frames for each call of BMF: fewer cost time, more cost GPU memory."""


class NvdecModule(BmfModule):
    """Run the hardware decoder: a source with one output, RGB frames on the GPU."""

    def __init__(self, node: int, option: dict[str, Any]) -> None:
        from bmf import hmp as mp

        config = HANDOVER.pop(option["job"])
        assert isinstance(config, ModuleConfig)
        self._register(config.monitor, config.timings.name)
        self.config = config
        self.frames_out = 0
        self.decoder_lock = threading.Lock()
        self.decoder: GpuDecoder | None = None
        self.template: Any = None
        """A VideoFrame with the sample aspect ratio that all others copy."""
        params = config.params
        try:
            primaries = mp.ColorPrimaries(params.primaries)
            transfer = mp.ColorTransferCharacteristic(params.transfer)
            self.info = pixel_info("rgb24", config.matrix, primaries, transfer)
            self.template = _template(self.info, params)
            self.decoder = GpuDecoder(config.timings.name, config.timings.kind, params)
        except Exception as error:
            self._report(error, doing="cannot start")

    def _work(self, task: Any) -> None:
        config, timings = self.config, self.config.timings
        with self.decoder_lock:
            if self.decoder is None:
                return self._end(task)
            started = time.perf_counter()
            frames = self.decoder.read(_FRAMES_PER_CALL)
            timings.add(started, time.perf_counter(), len(frames))
            ended = self.decoder.ended
        outputs = task.get_outputs()
        for pts, image in frames:
            frame = Frame(self.frames_out, self._video_frame(pts), config.matrix, image)
            self.frames_out += 1
            timings.frames += 1
            timings.last_time = frame.time
            for number in range(len(config.outputs)):
                packet = Packet(frame)
                packet.timestamp = round(frame.time * MICRO)
                outputs[number].put(packet)
        if ended:
            self._end(task)
        return None

    def _video_frame(self, pts: int) -> Any:
        """Return a VideoFrame of 2x2 pixels that carries the frame's time and colour properties."""
        from bmf import VideoFrame, hmp as mp
        from bmf.lib._bmf.sdk import Rational

        base = self.config.params.time_base
        video = VideoFrame(mp.Frame(2, 2, self.info))
        if self.template is not None:
            video.copy_props(self.template)
            video.private_merge(self.template)
        video.pts = pts
        video.time_base = Rational(base.numerator, base.denominator)
        return video

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
                # Destroying the decoder blocks the GPU for 0.2 s, while later nodes still process frames.
                self.monitor.on_shutdown.append(decoder.close)


def _template(info: Any, params: NvdecParams) -> Any:
    """Return a VideoFrame with the file's sample aspect ratio, which only FFmpeg's filter can set; None for 1:1."""
    aspect, base = params.aspect, params.time_base
    if aspect == 1:
        return None
    from bmf import Task, VideoFrame, hmp as mp
    from bmf.lib._bmf import engine
    from bmf.lib._bmf.sdk import Rational

    end = [{"stream": 0, "pin": 0}]
    filters = [{"name": "setsar", "para": f"{aspect.numerator}/{aspect.denominator}", "inputs": end, "outputs": end}]
    module = engine.Module("c_ffmpeg_filter", json.dumps({"filters": filters}), "c++", "", "")
    module.init()
    task = Task(0, [0], [0])
    square = VideoFrame(mp.Frame(2, 2, info))
    # The filter stores the time base in the frame's private data, and the encoder uses that one.
    square.pts, square.time_base = 0, Rational(base.numerator, base.denominator)
    packet = Packet(square)
    packet.timestamp = 0
    task.get_inputs()[0].put(packet)
    module.process(task)
    template = task.get_outputs()[0].get().get(VideoFrame)
    module.close()
    return template
