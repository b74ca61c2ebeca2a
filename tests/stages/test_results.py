"""Results as arrays: turned boxes, masks inside their boxes, and parts of a result."""

from __future__ import annotations

import numpy as np

from bmfgraph.plan.types import Placement
from bmfgraph.stages.items import Frame
from bmfgraph.stages.results import Box, Detections, Masks

FRAME = Frame(0)


def test_boxes_and_arrays_are_two_views_of_the_same() -> None:
    boxes = (
        Box("a", 0.75, 10, 10, 30, 20, 0.5, ((11, 12, 0.5),)),
        Box("b", 0.5, 1, 2, 3, 4, 0.0, ((2, 3, 1.0),)),
    )
    detections = Detections.of(FRAME, *boxes)
    assert detections.boxes == boxes
    assert detections.labels == ("a", "b")


def test_a_turned_box_has_its_corners_clockwise() -> None:
    detections = Detections.of(FRAME, Box("a", 0.9, 10, 10, 30, 20, np.pi / 2))
    assert np.allclose(detections.quads(), [[(25, 5), (25, 25), (15, 25), (15, 5)]], atol=1e-5)


def test_a_box_without_an_angle_has_the_corners_of_its_edges() -> None:
    detections = Detections.of(FRAME, Box("a", 0.9, 10, 11, 30, 20))
    assert detections.quads().tolist() == [[[10, 11], [30, 11], [30, 20], [10, 20]]]


def test_some_objects_keep_all_their_values() -> None:
    detections = Detections.of(FRAME, Box("a", 0.9, 0, 0, 4, 4, 0.5), Box("b", 0.5, 1, 1, 2, 2, 0.25))
    masks = Masks(np.arange(8, dtype=np.float32).reshape(2, 2, 2), 0.5, Placement(4, 4, 2, 2, 0.5, 0.5, 0, 0))
    whole = Detections(
        FRAME,
        detections.corners,
        detections.scores,
        detections.classes,
        detections.names,
        ids=np.array([7, 8]),
        angles=detections.angles,
        masks=masks,
        attributes={"colour": np.array(["red", "blue"])},
    )
    part = whole.select(np.array([1]))
    assert (part.labels, part.scores.tolist(), part.corners.tolist()) == (("b",), [0.5], [[1, 1, 2, 2]])
    assert part.ids is not None
    assert part.angles is not None
    assert part.masks is not None
    assert (part.ids.tolist(), part.angles.tolist()) == ([8], [0.25])
    assert part.masks.values.tolist() == [[[4, 5], [6, 7]]]
    assert part.attributes["colour"].tolist() == ["blue"]


def test_a_mask_is_interpolated_between_the_centres_of_the_grid() -> None:
    # The right half of the frame belongs to the object; its grid has a quarter of the pixels.
    masks = Masks(np.array([[[0, 1], [0, 1]]], np.float32), 0.5, Placement(4, 4, 2, 2, 0.5, 0.5, 0, 0))
    left, top, pixels = masks.patch(0, np.array([0.5, 1.2, 9, 3.5], np.float32))
    assert (left, top) == (0, 1)
    assert pixels.tolist() == [[False, False, True, True]] * 3


def test_a_mask_follows_the_letterbox() -> None:
    # The frame fills the middle two of four rows of the grid.
    values = np.array([[[0, 0], [1, 1], [0, 0], [0, 0]]], np.float32)
    masks = Masks(values, 0.5, Placement(2, 2, 2, 4, 1.0, 1.0, 0, 1))
    assert masks.patch(0, np.array([0, 0, 2, 2], np.float32))[2].tolist() == [[True, True], [False, False]]


def test_a_mask_of_a_box_covers_it() -> None:
    # Its left half belongs to the object. The size of the frame is all that its placement says.
    place = Placement(20, 10, 320, 320, 16.0, 16.0, 0.0, 80.0)
    masks = Masks(np.array([[[1, 0]]], np.float32), 0.5, place, by_box=True)
    left, top, pixels = masks.patch(0, np.array([2, 4, 10, 6], np.float32))
    assert (left, top, pixels.tolist()) == (2, 4, [[True] * 4 + [False] * 4] * 2)
    # A box that leaves the frame keeps the scale of its mask.
    left, top, pixels = masks.patch(0, np.array([16, 8, 24, 12], np.float32))
    assert (left, top, pixels.tolist()) == (16, 8, [[True] * 4] * 2)


def test_a_mask_of_planes_is_their_mixture() -> None:
    planes = np.random.default_rng(3).normal(size=(4, 6, 8)).astype(np.float32)
    weights = np.random.default_rng(4).normal(size=(3, 4)).astype(np.float32)
    place = Placement(64, 48, 8, 6, 1 / 8, 1 / 8, 0, 0)
    mixed = Masks(planes, 0.0, place, weights=weights)
    values = np.tensordot(weights, planes, 1).astype(np.float32)
    for corners in ([0, 0, 64, 48], [9.5, 3, 30, 40.2], [60, 44, 90, 90], [5, 5, 5.5, 5.5]):
        for number in range(3):
            box = np.array(corners, np.float32)
            left, top, pixels = mixed.patch(number, box)
            assert (left, top, pixels.tolist()) == (
                *(other := Masks(values, 0.0, place).patch(number, box))[:2],
                other[2].tolist(),
            )
    assert (
        mixed.select(np.array([2])).whole(0, np.array([0, 0, 64, 48])).tolist()
        == mixed.whole(2, np.array([0, 0, 64, 48])).tolist()
    )


def test_a_box_outside_of_the_frame_has_no_pixels() -> None:
    masks = Masks(np.ones((1, 2, 2), np.float32), 0.5, Placement(4, 4, 2, 2, 0.5, 0.5, 0, 0))
    assert masks.patch(0, np.array([9, 9, 12, 12], np.float32))[2].size == 0


def test_records_round_as_python_does() -> None:
    random = np.random.default_rng(3)
    halves = (np.arange(400) / 8 + 0.125).astype(np.float32)
    values = np.concatenate([random.uniform(-3000, 3000, 4000).astype(np.float32), halves, [np.inf, 1e30, -0.004, 0]])
    count = len(values)
    found = Detections(
        Frame(0),
        np.repeat(values[:, None], 4, axis=1).astype(np.float32),
        values.astype(np.float32),
        np.zeros(count, np.int64),
        ("a",),
        ids=np.arange(count),
        keypoints=np.repeat(values[:, None, None], 3, axis=2).astype(np.float32),
    )
    for number, (row, value) in enumerate(zip(found.record()["detections"], found.scores.tolist(), strict=True)):
        two, four = round(value, 2), round(value, 4)
        expected = {"id": number, "label": "a", "score": four, "box": [two] * 4, "keypoints": [[two, two, four]]}
        assert row == expected
        assert list(row) == list(expected)
