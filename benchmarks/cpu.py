"""Whole pipelines on a CPU against a loop written by hand and against the engine alone.

    python benchmarks/cpu.py --clip clip.mp4 --seconds 4 --face ultraface_rfb_640.onnx

The loop is what people write first: PyAV decodes, torch makes the model's input, ONNX Runtime runs it as it comes, PyAV
encodes or the boxes are written down; one frame after the other. The pipeline, in a process of its own, does the same
work: the same codec, preset and quality, the same thresholds. Frames a second from the first frame's end to the last
one's, each the best of three, everything in one run. On a CPU all parts share its cores, so that the engine alone is a
bound that nobody reaches.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from bmfgraph.compile.job import compile_job
from bmfgraph.config.compose import composed
from bmfgraph.plan.plan import Plan
from bmfgraph.sweep.engine_speed import engine_alone

ROUNDS = 3
PRESET, CRF = "medium", "18"
Array = NDArray[Any]


def pictures(clip: Path, seconds: float) -> Iterator[Array]:
    """RGB [height, width, 3], uint8."""
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            if frame.time is not None and frame.time >= seconds:
                return
            yield frame.to_ndarray(format="rgb24")


def opened(onnx: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # Of weights that nobody uses.
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])


def upscaling_by_hand(onnx: str, clip: Path, seconds: float, folder: Path) -> float:
    """Frames a second."""
    session = opened(onnx)
    name = session.get_inputs()[0].name
    done: list[float] = []
    with av.open(str(folder / "loop.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": PRESET, "crf": CRF})
        for picture in pictures(clip, seconds):
            given = torch.from_numpy(picture).permute(2, 0, 1)[None].contiguous().numpy()
            (made,) = session.run(None, {name: given})
            large = np.ascontiguousarray(made[0].transpose(1, 2, 0))
            if not done:
                stream.height, stream.width = large.shape[:2]
                stream.pix_fmt = "yuv420p"
            out.mux(stream.encode(av.VideoFrame.from_ndarray(large, format="rgb24")))
            done.append(time.perf_counter())
        out.mux(stream.encode(None))
    done[-1] = time.perf_counter()
    return (len(done) - 1) / (done[-1] - done[0])


def faces_by_hand(onnx: str, clip: Path, seconds: float, folder: Path) -> float:
    """Frames a second."""
    session = opened(onnx)
    name, (_, _, height, width) = session.get_inputs()[0].name, session.get_inputs()[0].shape
    done: list[float] = []
    with (folder / "loop.jsonl").open("w") as table:
        for number, picture in enumerate(pictures(clip, seconds)):
            given = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
            given = torch.nn.functional.interpolate(given, (height, width), mode="bilinear", antialias=True)
            scores, boxes = session.run(["scores", "boxes"], {name: ((given - 127) / 128).numpy()})
            found = best_boxes(scores[0, :, 1], boxes[0], 0.7, 0.3)
            table.write(json.dumps({"frame": number, "boxes": found}) + "\n")
            done.append(time.perf_counter())
    return (len(done) - 1) / (done[-1] - done[0])


def best_boxes(scores: Array, boxes: Array, threshold: float, iou: float) -> list[list[float]]:
    """Non-maximum suppression."""
    order = [place for place in np.argsort(-scores) if scores[place] >= threshold]
    kept: list[Array] = []
    for place in order:
        box = boxes[place]
        if all(overlap(box, other) <= iou for other in kept):
            kept.append(box)
    return [[float(side) for side in box] for box in kept]


def overlap(one: Array, other: Array) -> float:
    """Intersection over union."""
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    whole = float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2])) - shared
    return shared / whole if whole > 0 else 0.0


def best(measure: Callable[[], float]) -> float:
    return max(measure() for _ in range(ROUNDS))


def by_pipeline(words: list[str]) -> float:
    """Frames a second."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [sys.executable, "-m", "bmfgraph", *words, f"report={report.name}", "progress=false"]
        subprocess.run(command, check=True, capture_output=True)
        return float(json.loads(Path(report.name).read_text())["steady_fps"])


def row(name: str, words: list[str], by_hand: Callable[[str], float]) -> str:
    plan = compile_job(composed(words))
    onnx, alone = engine_of(plan)
    loop = best(lambda: by_hand(onnx))
    ours = best(lambda: by_pipeline(words))
    engine = best(alone)
    return f"| {name} | {engine:.1f} | {loop:.1f} | {ours:.1f} | {ours / loop:.2f} | {ours / engine:.2f} |"


def engine_of(plan: Plan) -> tuple[str, Callable[[], float]]:
    """The model's file, and how to measure it alone."""
    node, engine = plan.engines()[0]
    return engine.onnx, lambda: engine_alone(node.name, engine)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=4.0, help="as much of it is used")
    parser.add_argument("--face", type=Path, help="UltraFace RFB-640's ONNX file")
    parser.add_argument("overrides", nargs="*", help="for all pipelines")
    options = parser.parse_args()
    clip, seconds = options.clip, options.seconds
    common = [f"input={clip}", f"decoder.end={seconds}", "device=cpu", *options.overrides]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = ["pipeline=super_resolution", f"output={folder}/x2.mp4", f"encoder.preset={PRESET}", *common]
        rows = [
            row("super resolution → mp4", words, lambda onnx: upscaling_by_hand(onnx, clip, seconds, folder)),
        ]
        if options.face:
            words = ["pipeline=face_detection", "model=ultraface_rfb_640", f"model.file={options.face}", *common]
            words += [f"records={folder}/faces.jsonl", "~pipeline.nodes.draw", "~pipeline.nodes.sink"]
            rows.append(row("faces → JSON lines", words, lambda onnx: faces_by_hand(onnx, clip, seconds, folder)))
    print("| pipeline | engine alone | loop by hand | bmfgraph | of the loop | of the engine |")
    print("|---|---:|---:|---:|---:|---:|", *rows, sep="\n")


if __name__ == "__main__":
    main()
