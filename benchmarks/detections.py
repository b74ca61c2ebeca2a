"""Time the decoding of a detector's outputs, and print a table.

    python benchmarks/detections.py             # one CPU core
    python benchmarks/detections.py --gpu       # the recorded graph, several frames in flight

Each row is a head of 8,400 candidates with 80 classes (one for poses), of which some are above the threshold, in
clusters. The masks of yolov8_seg are combined from 32 prototypes of 160x160.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
import time
from fractions import Fraction

import numpy as np
import torch

from bmfgraph.nodes.decode import DetectDecode, read_preset
from bmfgraph.nodes.detections import DetectionsNodeSpec
from bmfgraph.nodes.model import OutputMeaning
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import BundleSpec, ColorSpec, Device, Dim, FrameSpec, Placement, TensorSpec
from bmfgraph.stages.detections import Detect
from bmfgraph.stages.items import Frame, Sample

SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "yolov8": {"output0": (1, 84, 8400)},
    "yolov5": {"output0": (1, 8400, 85)},
    "yolox": {"output0": (1, 8400, 85)},
    "yolov8_seg": {"output0": (1, 116, 8400), "output1": (1, 32, 160, 160)},
    "yolov8_pose": {"output0": (1, 56, 8400)},
    "yolov8_obb": {"output0": (1, 85, 8400)},
}
REPEATS = 50


def detector(preset: str, device: Device) -> Detect:
    """Return the stage for a preset and an input of 640x640."""
    place = Placement(1280, 720, 640, 640, 0.5, 0.5, 0.0, 140.0)
    frame = FrameSpec(1280, 720, "yuv420p", ColorSpec("bt709", False), Fraction(25), Fraction(1, 25))
    tensors, meanings = [], []
    for (name, shape), meaning in zip(SHAPES[preset].items(), read_preset(preset)["outputs"], strict=True):
        dims = tuple(Dim(f"dim{axis}", size) for axis, size in enumerate(shape))
        tensors.append(TensorSpec(name, dims, "float32", placement=place, source=frame))
        meanings.append((name, OutputMeaning.model_validate(meaning)))
    labels = ["person"] if preset == "yolov8_pose" else "coco80"
    decode = DetectDecode.model_validate({"preset": preset, "labels": labels})
    spec = DetectionsNodeSpec(inputs=("net",))
    outputs = BundleSpec(tuple(tensors), decode, tuple(meanings))
    inferred = spec.infer(PlanNode("objects", spec, ()), (outputs,), None)
    stage = Detect("objects", inferred.params)
    stage.device = device
    stage.open()
    return stage


def output(preset: str, above: int) -> dict[str, torch.Tensor]:
    """Return outputs with ``above`` candidates over the threshold, in clusters of about ten boxes."""
    random = np.random.default_rng(7)
    table = np.zeros((8400, 84), np.float32)
    centres = random.random((above // 10 + 1, 2)) * 500 + 70
    cluster = random.integers(0, len(centres), 8400)
    table[:, :2] = centres[cluster] + random.normal(0, 3, (8400, 2))
    table[:, 2:4] = 40 + random.random((8400, 2)) * 60
    table[:, 4:] = random.random((8400, 80)) * 0.1
    chosen = random.choice(8400, above, replace=False)
    table[chosen, 4 + cluster[chosen] % 80] = 0.5 + 0.4 * random.random(above)
    if preset.startswith("yolov8"):
        if preset == "yolov8_pose":
            table = np.concatenate([table[:, :4], table[:, 4:].max(axis=1, keepdims=True)], axis=1)
        tensors = {name: random.standard_normal(shape, np.float32) for name, shape in SHAPES[preset].items()}
        tensors["output0"][0, : table.shape[1]] = table.T
        return {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
    if preset == "yolox":
        # Its boxes are in cells, and its sizes are logarithms.
        table[:, :4] = random.random((8400, 4))
    objectness = np.ones((8400, 1), np.float32)
    table = np.concatenate([table[:, :4], objectness, table[:, 4:]], axis=1)
    return {"output0": torch.from_numpy(table[None].copy())}


def measure(stage: Detect, sample: Sample) -> tuple[list[float], int]:
    """Return the time of each frame in ms, and the number of objects; on a GPU the mean time of many frames."""
    if stage.device == "cuda":
        found = [*stage.process(sample), *stage.finish()]
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(REPEATS * 20):
            found += stage.process(sample)
        found += stage.finish()
        torch.cuda.synchronize()
        return [(time.perf_counter() - began) * 1e3 / (REPEATS * 20)], len(found[-1].scores)
    times, objects = [], 0
    for _ in range(REPEATS):
        began = time.perf_counter()
        (detections,) = stage.process(sample)
        times.append((time.perf_counter() - began) * 1e3)
        objects = len(detections.scores)
    return times, objects


def main() -> None:
    """Print the median and the least time for each head."""
    device: Device = "cuda" if "--gpu" in sys.argv[1:] else "cpu"
    torch.set_num_threads(1)
    print(f"{'preset':12}{'above':>8}{'objects':>9}{'median ms':>11}{'least ms':>10}   ({device})")
    for preset in SHAPES:
        for above in (20, 300, 2000):
            tensors = {name: tensor.to(device) for name, tensor in output(preset, above).items()}
            sample = Sample(tensors, (Frame(0),))
            times, objects = measure(detector(preset, device), sample)
            print(f"{preset:12}{above:8}{objects:9}{np.median(times):11.2f}{min(times):10.2f}")


if __name__ == "__main__":
    main()
