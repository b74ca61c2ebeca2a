"""Time the drawing of results into a frame of 1280x720 on one CPU core, and print a table.

    python benchmarks/overlay.py

Every frame has new scores, so that no label is the one of the frame before.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from bmfgraph.nodes.overlay import OverlayParams
from bmfgraph.plan.types import Placement
from bmfgraph.stages.canvas import Canvas, Layer
from bmfgraph.stages.overlay import draw_results, draw_segments, segment_table
from bmfgraph.stages.results import Detections, Masks

WIDTH, HEIGHT = 1280, 720
OBJECTS, POINTS = 300, 17
REPEATS = 30
SKELETON = tuple((point, point + 1) for point in range(POINTS - 1))
RANDOM = np.random.default_rng(1)
NO_FRAME: Any = None


def objects() -> Detections:
    """Return boxes of 20 to 160 pixels."""
    left, sides = RANDOM.uniform(0, (WIDTH - 80, HEIGHT - 40), (OBJECTS, 2)), RANDOM.uniform(20, 160, (OBJECTS, 2))
    corners = np.concatenate([left, left + sides], axis=1).astype(np.float32)
    names = tuple(f"class {number}" for number in range(80))
    scores = RANDOM.uniform(0.3, 1, OBJECTS).astype(np.float32)
    return Detections(NO_FRAME, corners, scores, np.arange(OBJECTS) % 80, names)


def milliseconds(draw: Callable[[], object]) -> float:
    """Return the median time of a call."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        draw()
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1000


def main() -> None:
    """Print the table."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    boxes, layer = objects(), Layer(WIDTH, HEIGHT)
    plain = OverlayParams(None, 3, False, 22, 0.5, 0.3, ((),), (-1,))
    inside = RANDOM.uniform(0, 1, (OBJECTS, POINTS, 2)) * (boxes.corners[:, None, 2:] - boxes.corners[:, None, :2])
    points = np.concatenate([inside + boxes.corners[:, None, :2], np.ones((OBJECTS, POINTS, 1))], axis=2)
    masks = Masks(RANDOM.random((50, 90, 160), np.float32), 0.5, Placement(WIDTH, HEIGHT, 160, 90, 0.125, 0.125, 0, 0))
    classes, table = RANDOM.integers(0, 20, (180, 320), dtype=np.uint8), segment_table(plain, 0)

    def results(canvas: Canvas, params: OverlayParams, result: Detections) -> None:
        scores = RANDOM.uniform(0.3, 1, len(result.scores)).astype(np.float32)
        draw_results(canvas, [replace(result, scores=scores)], params)

    def on_layer() -> None:
        results(layer, replace(plain, label=True), boxes)
        layer.take()

    image = Canvas(pixels)
    turned = replace(boxes, angles=RANDOM.uniform(-1, 1, OBJECTS).astype(np.float32))
    posed = replace(boxes, keypoints=points.astype(np.float32))
    rows: dict[str, Callable[[], object]] = {
        "300 boxes": lambda: results(image, plain, boxes),
        "300 boxes with labels": lambda: results(image, replace(plain, label=True), boxes),
        "the same for a frame on the GPU (CPU part)": on_layer,
        "300 rotated boxes": lambda: results(image, plain, turned),
        "300 boxes with 17 joined points each": lambda: results(image, replace(plain, skeletons=(SKELETON,)), posed),
        "50 boxes with masks": lambda: results(image, plain, replace(boxes.select(np.arange(50)), masks=masks)),
        "a label map of 320x180": lambda: draw_segments(pixels, classes, table),
    }
    for name, draw in rows.items():
        print(f"| {name} | {milliseconds(draw):.1f} |")


if __name__ == "__main__":
    main()
