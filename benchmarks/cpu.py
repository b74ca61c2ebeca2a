"""Compare whole pipelines on a CPU with a loop written by hand, and with the engine alone.

    python benchmarks/cpu.py --clip clip.mp4 --seconds 4 --face ultraface_rfb_640.onnx

The loop is a simple script: PyAV decodes, torch makes the model's input, ONNX Runtime runs the model with its default
options, PyAV encodes or the boxes are written; one frame after the other. With threads, one thread decodes, one runs
the model and one writes. The pipeline, in a process of its own, does
the same work: the same codec, preset and quality, the same thresholds. Speed is in frames per second, from the end of
the first frame to the end of the last; each figure is the best of three, and all are measured in one run. On a CPU all
parts share its cores, so no pipeline reaches the speed of the engine alone.
"""

from __future__ import annotations

import argparse
import json
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
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
Loop = Callable[[Iterable[Array], Callable[[Array], Any], Callable[[Any], None]], list[float]]


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


def in_turn(images: Iterable[Array], infer: Callable[[Array], Any], write: Callable[[Any], None]) -> list[float]:
    """Handle one image after the other; return the clock after each."""
    done = []
    for image in images:
        write(infer(image))
        done.append(time.perf_counter())
    return done


def in_threads(images: Iterable[Array], infer: Callable[[Array], Any], write: Callable[[Any], None]) -> list[float]:
    """Decode in one thread, infer in another, and write in this one; return the clock after each image."""
    decoded: queue.Queue[Any] = queue.Queue(4)
    inferred: queue.Queue[Any] = queue.Queue(4)

    def read() -> None:
        for image in images:
            decoded.put(image)
        decoded.put(None)

    def work() -> None:
        while (image := decoded.get()) is not None:
            inferred.put(infer(image))
        inferred.put(None)

    threads = [threading.Thread(target=target) for target in (read, work)]
    for thread in threads:
        thread.start()
    done = []
    while (result := inferred.get()) is not None:
        write(result)
        done.append(time.perf_counter())
    for thread in threads:
        thread.join()
    return done


def upscaling_by_hand(loop: Loop, onnx: str, clip: Path, seconds: float, folder: Path) -> float:
    """Upscale a clip with a loop, and return frames per second."""
    session = session_of(onnx)
    name = session.get_inputs()[0].name
    with av.open(str(folder / "loop.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": PRESET, "crf": CRF})
        stream.pix_fmt = "yuv420p"

        def infer(image: Array) -> Array:
            tensor = torch.from_numpy(image).permute(2, 0, 1)[None].contiguous().numpy()
            (upscaled,) = session.run(None, {name: tensor})
            return np.ascontiguousarray(upscaled[0].transpose(1, 2, 0))

        is_open = False

        def write(large: Array) -> None:
            nonlocal is_open
            if not is_open:
                is_open = True
                stream.height, stream.width = large.shape[:2]
            out.mux(stream.encode(av.VideoFrame.from_ndarray(large, format="rgb24")))

        done = loop(images(clip, seconds), infer, write)
        out.mux(stream.encode(None))
    done[-1] = time.perf_counter()
    return (len(done) - 1) / (done[-1] - done[0])


def faces_by_hand(loop: Loop, onnx: str, clip: Path, seconds: float, folder: Path) -> float:
    """Detect faces with a loop, and return frames per second."""
    session = session_of(onnx)
    name, (_, _, height, width) = session.get_inputs()[0].name, session.get_inputs()[0].shape

    def infer(image: Array) -> Any:
        tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
        tensor = torch.nn.functional.interpolate(tensor, (height, width), mode="bilinear", antialias=True)
        return session.run(["scores", "boxes"], {name: ((tensor - 127) / 128).numpy()})

    with (folder / "loop.jsonl").open("w") as table:

        def write(outputs: Any) -> None:
            scores, boxes = outputs
            faces = best_boxes(scores[0, :, 1], boxes[0], 0.7, 0.3)
            table.write(json.dumps({"boxes": faces}) + "\n")

        done = loop(images(clip, seconds), infer, write)
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


def row(name: str, job: Job, by_hand: Callable[[Loop, str], float]) -> str:
    onnx, alone = engine_of(job.plan())
    # In turn, so that a change of the machine's load meets all of them.
    rounds = [
        (by_hand(in_turn, onnx), by_hand(in_threads, onnx), job.run(isolated=True, overwrite=True).steady_fps, alone())
        for _ in range(ROUNDS)
    ]
    loop, threads, pipeline, engine = (max(column) for column in zip(*rounds, strict=True))
    ratios = f"{pipeline / loop:.2f} | {pipeline / threads:.2f} | {pipeline / engine:.2f}"
    return f"| {name} | {engine:.1f} | {loop:.1f} | {threads:.1f} | {pipeline:.1f} | {ratios} |"


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
        rows = [
            row("super resolution → mp4", job, lambda loop, onnx: upscaling_by_hand(loop, onnx, clip, seconds, folder))
        ]
        if options.face:
            overrides = ["model=ultraface_rfb_640", "~pipeline.nodes.draw", "~pipeline.nodes.sink", *common]
            overrides.append(f"model.file={options.face}")
            job = compose("face_detection", *overrides, input=clip, records=folder / "faces.jsonl")
            rows.append(
                row("faces → JSON lines", job, lambda loop, onnx: faces_by_hand(loop, onnx, clip, seconds, folder))
            )
    print(
        "| pipeline | engine alone | loop | loop with threads | bmfgraph | of the loop | with threads | of the engine |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|", *rows, sep="\n")


if __name__ == "__main__":
    main()
