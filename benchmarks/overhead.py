"""Measure what a pipeline itself costs for each frame, with a model that does nothing, and how its memory grows.

    python benchmarks/overhead.py                    # half a minute
    python benchmarks/overhead.py --frames 10000

A clip of 640x360 in RGB runs through decoder, tensor, model and tensor back to frames, which are dropped. The loop does
the same in one thread with PyAV and ONNX Runtime. The model returns its input. Each round runs both with a short and a
long clip, one after the other; times per frame are the differences of the two lengths, so that starts do not count, and
medians over the rounds. ``processor`` is the time of all threads together, which a second core does not hide: the
overhead is the difference of these times. ``growth`` compares resident memory with that at frame 500.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import numpy as np
import onnx
import onnxruntime
from memory import resident  # type: ignore[import-not-found]  # the script beside this one
from numpy.typing import NDArray
from onnx import TensorProto, helper

from bmfgraph import Job, compose
from bmfgraph.system.progress import Progress

WIDTH, HEIGHT, RATE = 640, 360, 25
LOOKED_AT = (500, 1000, 2000, 5000, 10_000)
"""Frames at which memory is looked at."""

Array = NDArray[np.float64]


def write_clip(path: Path, frames: int) -> Path:
    """Write a clip in RGB, so that no colours are converted, whose frames differ by a small square."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image = np.stack([x % 256, y % 256, (x + y) % 256], axis=2).astype(np.uint8)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("qtrle", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "rgb24"
        for index in range(frames):
            image[:16, :16] = index % 256
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode(None))
    return path


def write_model(path: Path) -> Path:
    """Write a model that returns its input, RGB levels in uint8."""
    shape = [1, HEIGHT, WIDTH, 3]
    ends = [helper.make_tensor_value_info(name, TensorProto.UINT8, shape) for name in ("input", "output")]
    graph = helper.make_graph([helper.make_node("Identity", ["input"], ["output"])], "null", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def by_hand(model: Path, clip: Path) -> int:
    """Run the loop, and return the number of frames. It copies no picture, because bmfgraph copies none either."""
    session = onnxruntime.InferenceSession(str(model))
    count = 0
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            plane = frame.planes[0]
            shape, steps = (1, frame.height, frame.width, 3), (0, plane.line_size, 3, 1)
            session.run(None, {"input": np.ndarray(shape, np.uint8, memoryview(plane), strides=steps)})
            count += 1
    return count


def job_of(model: Path, clip: Path) -> Job:
    meaning = "{layout: NHWC, channels: RGB}"
    options = [f"model.file={model}", f"model.inputs={{input: {meaning}}}", f"model.outputs={{output: {meaning}}}"]
    return compose(
        "super_resolution", *options, "encoder=measure", "device=cpu", "engine.runtime=onnxruntime", input=clip
    )


def timed(work: Callable[[], object]) -> Array:
    """Return seconds by the clock, and of the processor."""
    begun = np.array([time.perf_counter(), time.process_time()])
    work()
    taken: Array = np.array([time.perf_counter(), time.process_time()]) - begun
    return taken


def per_frame(work: Callable[[int], object], lengths: tuple[int, int]) -> Array:
    """Return microseconds per frame by the clock and of the processor, from the difference of two lengths."""
    short, long = (timed(partial(work, length)) for length in lengths)
    result: Array = 1e6 * (long - short) / (lengths[1] - lengths[0])
    return result


def memory(job: Job) -> dict[int, int]:
    """Return the resident memory in bytes near some frames of a run, and at its end."""
    seen: dict[int, int] = {}

    def look(progress: Progress) -> None:
        seen[progress.done] = resident()

    job.run(progress=look)
    last = max(seen)
    wanted = [frame for frame in LOOKED_AT if frame < last]
    return {frame: seen[min(later for later in seen if later >= frame)] for frame in [*wanted, last]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=2500, help="length of the long clip")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    lengths = (500, options.frames)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = write_model(folder / "null.onnx")
        clips = {length: write_clip(folder / f"{length}.mov", length) for length in lengths}
        jobs = {length: job_of(model, clip) for length, clip in clips.items()}
        loops, pipelines = [], []
        for _ in range(options.rounds):
            loops.append(per_frame(lambda length: by_hand(model, clips[length]), lengths))
            pipelines.append(per_frame(lambda length: jobs[length].run(), lengths))
        growth = memory(jobs[options.frames])
    print("| per frame of 640x360 | by the clock, µs | processor, µs |\n|---|---:|---:|")
    for title, rows in (("loop by hand", loops), ("bmfgraph", pipelines)):
        clock, processor = np.median(rows, axis=0)
        print(f"| {title} | {clock:.0f} | {processor:.0f} |")
    overhead = np.median(np.array(pipelines) - np.array(loops), axis=0)[1]
    print(f"\noverhead {overhead:.0f} µs of processor time per frame")
    first = next(iter(growth.values()))
    print("\n| frame | resident memory, MB | growth |\n|---:|---:|---:|")
    for frame, memory_then in growth.items():
        print(f"| {frame:,} | {memory_then / 1e6:.0f} | {memory_then / first - 1:.1%} |")


if __name__ == "__main__":
    main()
