"""Upscale a clip by a BMF module written by hand in the style of BMF's demos, and print frames per second.

    python benchmarks/demo_style.py clip.mp4 model.onnx output.mp4 --seconds 3

BMF decodes and encodes; the module converts each frame to RGB by BMF's ``reformat``, runs the model in ONNX Runtime and
makes a frame of the result. The speed is from the end of the first frame to the end of the last.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bmfgraph.system import ffmpeg4

os.environ["BMF_LOG_LEVEL"] = "ERROR"
ffmpeg4.prepare()

# isort: split
# They need the libraries of FFmpeg 4.
import bmf  # noqa: E402
import bmf.hmp as mp  # noqa: E402
import onnxruntime  # noqa: E402
from bmf import Module, Packet, ProcessResult, Timestamp, VideoFrame  # noqa: E402

DONE: list[float] = []
"""Clock after each frame; BMF creates the module itself and gives no other way to it."""


class Upscale(Module):  # type: ignore[misc]
    """Upscale each frame."""

    def __init__(self, node: object, option: dict[str, Any]) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(option["model"], options, providers=["CPUExecutionProvider"])
        self._rgb = mp.PixelInfo(mp.kPF_RGB24)
        self._yuv = mp.PixelInfo(mp.kPF_YUV420P)

    def process(self, task: Any) -> Any:
        queue, output = task.get_inputs()[0], task.get_outputs()[0]
        while not queue.empty():
            packet = queue.get()
            if packet.timestamp == Timestamp.EOF:
                output.put(Packet.generate_eof_packet())
                task.timestamp = Timestamp.DONE
            elif packet.is_(VideoFrame):
                output.put(self._upscaled(packet.get(VideoFrame)))
                DONE.append(time.perf_counter())
        return ProcessResult.OK

    def _upscaled(self, frame: Any) -> Any:
        image = frame.reformat(self._rgb).frame().data()[0].numpy()
        name = self._session.get_inputs()[0].name
        (large,) = self._session.run(None, {name: np.ascontiguousarray(image.transpose(2, 0, 1)[None])})
        picture = np.ascontiguousarray(large[0].transpose(1, 2, 0))
        result = VideoFrame(mp.Frame([mp.from_numpy(picture)], self._rgb)).reformat(self._yuv)
        result.pts, result.time_base = frame.pts, frame.time_base
        packet = Packet(result)
        packet.timestamp = frame.pts
        return packet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--preset", default="medium")
    parser.add_argument("--crf", default=18)
    options = parser.parse_args()
    source = {"input_path": str(options.clip), "end_time": options.seconds}
    video = bmf.graph().decode(source)["video"]
    upscaled = bmf.module(
        [video], "upscale", {"model": str(options.model)}, str(Path(__file__).parent), "demo_style.Upscale"
    )
    settings = {"codec": "h264", "preset": options.preset, "crf": int(options.crf)}
    bmf.encode(upscaled, None, {"output_path": str(options.output), "video_params": settings}).run()
    done = sys.modules["demo_style"].DONE
    print((len(done) - 1) / (time.perf_counter() - done[0]))


if __name__ == "__main__":
    main()
