"""Compare whole pipelines on a CPU with a loop written by hand, and with the engine alone.

    python benchmarks/cpu.py --clip clip.mp4 --seconds 4 --face ultraface_rfb_640.onnx

The loop is a simple script: PyAV decodes, torch makes the model's input, ONNX Runtime runs the model with its default
options, PyAV encodes or the boxes are written; one frame after the other. The pipeline, in a process of its own, does
the same work: the same codec, preset and quality, the same thresholds. Speed is in frames per second, from the end of
the first frame to the end of the last; each figure is the best of three, and all are measured in one run. On a CPU all
parts share its cores, so no pipeline reaches the speed of the engine alone.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray

from bmfgraph import Job, Plan, compose
from bmfgraph.sweep.engine_speed import engine_alone

# isort: split
# Behind bmfgraph, which turns its telemetry off.
import onnxruntime

ROUNDS = 3
PRESET, CRF = "medium", "18"
Array = NDArray[Any]


def images(clip: Path, seconds: float) -> Iterator[Array]:
    """Decode the first seconds of a clip; each image is RGB, uint8 [height, width, 3]."""
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            if frame.time is not None and frame.time >= seconds:
                return
            yield frame.to_ndarray(format="rgb24")


def session_of(onnx: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # ONNX Runtime warns of weights without a use.
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])


def upscaling_by_hand(onnx: str, clip: Path, seconds: float, folder: Path) -> float:
    """Upscale a clip with the loop, and return frames per second."""
    session = session_of(onnx)
    name = session.get_inputs()[0].name
    done: list[float] = []
    with av.open(str(folder / "loop.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": PRESET, "crf": CRF})
        for image in images(clip, seconds):
            tensor = torch.from_numpy(image).permute(2, 0, 1)[None].contiguous().numpy()
            (upscaled,) = session.run(None, {name: tensor})
            large = np.ascontiguousarray(upscaled[0].transpose(1, 2, 0))
            if not done:
                stream.height, stream.width = large.shape[:2]
                stream.pix_fmt = "yuv420p"
            out.mux(stream.encode(av.VideoFrame.from_ndarray(large, format="rgb24")))
            done.append(time.perf_counter())
        out.mux(stream.encode(None))
    done[-1] = time.perf_counter()
    return (len(done) - 1) / (done[-1] - done[0])


def faces_by_hand(onnx: str, clip: Path, seconds: float, folder: Path) -> float:
    """Detect faces with the loop, and return frames per second."""
    session = session_of(onnx)
    name, (_, _, height, width) = session.get_inputs()[0].name, session.get_inputs()[0].shape
    done: list[float] = []
    with (folder / "loop.jsonl").open("w") as table:
        for number, image in enumerate(images(clip, seconds)):
            tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
            tensor = torch.nn.functional.interpolate(tensor, (height, width), mode="bilinear", antialias=True)
            scores, boxes = session.run(["scores", "boxes"], {name: ((tensor - 127) / 128).numpy()})
            faces = best_boxes(scores[0, :, 1], boxes[0], 0.7, 0.3)
            table.write(json.dumps({"frame": number, "boxes": faces}) + "\n")
            done.append(time.perf_counter())
    return (len(done) - 1) / (done[-1] - done[0])


def best_boxes(scores: Array, boxes: Array, threshold: float, iou: float) -> list[list[float]]:
    """Suppress boxes that overlap a better one; boxes are [count, 4] as left, top, right, bottom."""
    order = [place for place in np.argsort(-scores) if scores[place] >= threshold]
    kept: list[Array] = []
    for place in order:
        box = boxes[place]
        if all(overlap(box, other) <= iou for other in kept):
            kept.append(box)
    return [[float(side) for side in box] for box in kept]


def overlap(box: Array, other: Array) -> float:
    """Return the intersection over union of two boxes."""
    low, high = np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    whole = float(np.prod(box[2:] - box[:2]) + np.prod(other[2:] - other[:2])) - shared
    return shared / whole if whole > 0 else 0.0


def best(measure: Callable[[], float]) -> float:
    return max(measure() for _ in range(ROUNDS))


def row(name: str, job: Job, by_hand: Callable[[str], float]) -> str:
    onnx, alone = engine_of(job.plan())
    loop = best(lambda: by_hand(onnx))
    pipeline = best(lambda: job.run(isolated=True, overwrite=True).steady_fps)
    engine = best(alone)
    return f"| {name} | {engine:.1f} | {loop:.1f} | {pipeline:.1f} | {pipeline / loop:.2f} | {pipeline / engine:.2f} |"


def engine_of(plan: Plan) -> tuple[str, Callable[[], float]]:
    """Return the model's file, and a function that measures its engine alone."""
    node, engine = plan.engines()[0]
    return engine.onnx, lambda: engine_alone(node.name, engine)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of the part to read")
    parser.add_argument("--face", type=Path, help="UltraFace RFB-640's ONNX file")
    parser.add_argument("overrides", nargs="*", help="for all pipelines")
    options = parser.parse_args()
    clip, seconds = options.clip, options.seconds
    common = [f"decoder.end={seconds}", "device=cpu", *options.overrides]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        overrides = [f"encoder.preset={PRESET}", *common]
        job = compose("super_resolution", *overrides, input=clip, output=folder / "x2.mp4")
        rows = [row("super resolution → mp4", job, lambda onnx: upscaling_by_hand(onnx, clip, seconds, folder))]
        if options.face:
            overrides = ["model=ultraface_rfb_640", "~pipeline.nodes.draw", "~pipeline.nodes.sink", *common]
            overrides.append(f"model.file={options.face}")
            job = compose("face_detection", *overrides, input=clip, records=folder / "faces.jsonl")
            rows.append(row("faces → JSON lines", job, lambda onnx: faces_by_hand(onnx, clip, seconds, folder)))
    print("| pipeline | engine alone | loop by hand | bmfgraph | of the loop | of the engine |")
    print("|---|---:|---:|---:|---:|---:|", *rows, sep="\n")


if __name__ == "__main__":
    main()
