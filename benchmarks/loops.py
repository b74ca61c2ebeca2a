"""Loops written by hand, which pipelines are compared with: PyAV decodes, ONNX Runtime infers, PyAV encodes.

``in_turn`` handles one frame after the other. ``in_threads`` decodes in one thread, infers in another and writes in a
third. Speeds are in frames per second, from the end of the first frame to the end of the last.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray

from bmfgraph.engines.onnx.model import with_free_dims

# isort: split
# Behind bmfgraph, which turns its telemetry off.
import onnxruntime

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


def session_of(model: str | bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # ONNX Runtime warns of weights without a use.
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


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
    """Detect faces by CenterFace on frames shrunk to 640x384, and return frames per second."""
    free = with_free_dims(Path(onnx), {"input.1": ("batch", 3, "height", "width")})
    session = session_of(free.SerializeToString())
    size = np.array([640, 384], np.float32)

    def infer(image: Array) -> Any:
        tensor = torch.from_numpy(image).permute(2, 0, 1)[None]
        tensor = torch.nn.functional.interpolate(tensor, (384, 640), mode="bilinear", antialias=True)
        scale = np.array([image.shape[1], image.shape[0]], np.float32) / size
        return *session.run(None, {"input.1": tensor.float().numpy()})[:3], scale

    with (folder / "loop.jsonl").open("w") as table:

        def write(outputs: Any) -> None:
            heat, logs, shifts, scale = outputs
            y, x = np.nonzero(heat[0, 0] > 0.5)
            sides = np.exp(logs[0, ::-1, y, x])
            centres = np.stack([x, y], axis=1) + shifts[0, ::-1, y, x] + 0.5
            boxes = 4 * np.concatenate([centres - sides / 2, centres + sides / 2], axis=1) * np.tile(scale, 2)
            faces = best_boxes(heat[0, 0, y, x], boxes, 0.5, 0.3)
            table.write(json.dumps({"boxes": faces}) + "\n")

        done = loop(images(clip, seconds), infer, write)
    return (len(done) - 1) / (done[-1] - done[0])


def coded_again(clip: Path, seconds: float, folder: Path) -> float:
    """Decode a clip, double its size by a filter and encode it, without a model, and return frames per second."""
    done: list[float] = []
    with av.open(str(clip)) as source, av.open(str(folder / "loop.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": PRESET, "crf": CRF})
        source.streams.video[0].thread_type = "AUTO"
        for frame in source.decode(video=0):
            if frame.time is not None and frame.time >= seconds:
                break
            if not done:
                stream.width, stream.height, stream.pix_fmt = 2 * frame.width, 2 * frame.height, "yuv420p"
            large = frame.reformat(2 * frame.width, 2 * frame.height)
            out.mux(stream.encode(large))
            done.append(time.perf_counter())
        out.mux(stream.encode(None))
    return (len(done) - 1) / (time.perf_counter() - done[0])


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
