"""Test the overlap of rotated boxes against the clipping of polygons, and their suppression against the plain loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bmfgraph.plan.types import Placement
from bmfgraph.stages.nms import non_maximum_suppression, suppress_at_once
from bmfgraph.stages.rotated import extents, rotated_in_source, rotated_intersection
from tests.stages.detectors import Array
from tests.stages.object_detectors import FAMILIES, shared

SQUARE = (0.0, 0.0, 10.0, 10.0)


def area(box: Any, angle: float, other: Any, other_angle: float) -> float:
    """Return the area by the stage's function."""
    values = (torch.tensor(value, dtype=torch.float32) for value in (box, angle, other, other_angle))
    return float(rotated_intersection(*values))


@pytest.mark.parametrize(
    ("box", "angle", "other", "other_angle", "expected"),
    [
        (SQUARE, 0, SQUARE, 0, 100),
        (SQUARE, 0.7, SQUARE, 0.7, 100),
        (SQUARE, 0, SQUARE, np.pi / 2, 100),
        # The octagon of two squares, one of them turned by 45 degrees.
        (SQUARE, 0, SQUARE, np.pi / 4, 200 * (2**0.5 - 1)),
        # Half, by a common edge, by a corner, not at all, inside.
        (SQUARE, 0, (5, 0, 15, 10), 0, 50),
        (SQUARE, 0, (10, 0, 20, 10), 0, 0),
        (SQUARE, 0, (10, 10, 20, 20), 0, 0),
        (SQUARE, 0, (30, 0, 40, 10), 1.0, 0),
        (SQUARE, 0, (4, 4, 6, 6), 0.3, 4),
        ((4, 4, 6, 6), 0.3, SQUARE, 0, 4),
        # A flat bar across, turned upright: 10 long and 2 thick.
        (SQUARE, 0, (-5, 4, 15, 6), np.pi / 2, 20),
        # Without area.
        (SQUARE, 0, (5, 5, 5, 5), 0.5, 0),
    ],
)
def test_areas_that_geometry_gives(box: Any, angle: float, other: Any, other_angle: float, expected: float) -> None:
    assert area(box, angle, other, other_angle) == pytest.approx(expected, abs=1e-3)


def random_boxes(count: int, seed: int) -> tuple[Array, Array, Array, NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    corner = random.random((count, 2)) * 60
    boxes = np.concatenate([corner, corner + 5 + random.random((count, 2)) * 40], axis=1).astype(np.float32)
    angles = ((random.random(count) - 0.25) * np.pi).astype(np.float32)
    return boxes, angles, random.random(count).astype(np.float32), random.integers(0, 2, count)


def row(boxes: Array, angles: Array, at: int) -> tuple[Any, ...]:
    return (*boxes[at].tolist(), {"angle": float(angles[at])})


def overlap(boxes: Array, angles: Array, first: int, second: int) -> float:
    both = shared(row(boxes, angles, first), row(boxes, angles, second))
    sizes = boxes[[first, second], 2:] - boxes[[first, second], :2]
    return both / float(sizes.prod(axis=1).sum() - both)


def test_areas_are_those_of_clipped_polygons() -> None:
    boxes, angles, _, _ = random_boxes(60, 1)
    tensors = torch.from_numpy(boxes), torch.from_numpy(angles)
    actual = rotated_intersection(
        *(tensor[:, None] for tensor in tensors), *(tensor[None] for tensor in tensors)
    ).numpy()
    expected = [[shared(row(boxes, angles, a), row(boxes, angles, b)) for b in range(60)] for a in range(60)]
    assert np.allclose(actual, expected, atol=0.01)
    assert (np.array(expected) > 1).mean() > 0.2


@pytest.mark.parametrize("iou", [0.1, 0.5])
@pytest.mark.parametrize("count", [0, 1, 40, 700])
def test_suppression_is_the_plain_loop(count: int, iou: float) -> None:
    boxes, angles, scores, labels = random_boxes(count, count)
    boxes *= count**0.5
    expected: list[int] = []
    around = extents(boxes, angles)
    for at in np.argsort(-scores):
        for other in expected:
            apart = (around[at, 2:] < around[other, :2]).any() or (around[other, 2:] < around[at, :2]).any()
            if labels[at] == labels[other] and not apart and overlap(boxes, angles, at, other) > iou:
                break
        else:
            expected.append(int(at))
    actual = non_maximum_suppression(boxes, scores, labels, iou, angles)
    assert actual.tolist() == expected
    # The same in rounds, as on a GPU.
    order = np.argsort(-scores)
    ordered, classes, turns = (torch.from_numpy(array[order]) for array in (boxes, labels, angles))
    kept, settled = suppress_at_once(ordered, classes, torch.ones(count, dtype=torch.bool), iou, turns)
    assert not bool(settled) or order[kept.numpy()].tolist() == expected


def test_the_turn_decides_what_overlaps() -> None:
    # Two bars with one centre: as upright boxes around them they are the same, but they cross.
    boxes = np.array([[0, 45, 100, 55]] * 2, np.float32)
    angles, scores = np.array([np.pi / 4, -np.pi / 4], np.float32), np.array([0.9, 0.8], np.float32)
    assert np.allclose(*extents(boxes, angles))
    assert non_maximum_suppression(boxes, scores, np.array([0, 0]), 0.3, angles).tolist() == [0, 1]
    assert non_maximum_suppression(boxes, scores, np.array([0, 0]), 0.3).tolist() == [0]


def test_a_quarter_turn_survives_a_stretched_frame() -> None:
    # The input is half as wide as the source. A turned box keeps its long side upright there.
    place = Placement(200, 100, 100, 100, 0.5, 1.0, 0.0, 0.0)
    boxes, angles = rotated_in_source(
        np.array([[40, 45, 60, 55]], np.float32), np.array([np.pi / 2], np.float32), place
    )
    assert np.allclose(boxes, [[90, 40, 110, 60]])
    assert np.allclose(angles, [np.pi / 2])


def test_random_rotated_boxes_suppress_each_other() -> None:
    family = FAMILIES["yolov8_obb"]
    outputs = family.outputs(np.random.default_rng(3), 320, 256)
    before, after = family.decode(outputs, 320, 256, family.threshold), family.detect(outputs, 320, 256)
    assert 10 < len(after) < len(before) - 10
