"""Test masks as COCO's run lengths, against pycocotools."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as coco

from bmfgraph.media import rle

Mask = NDArray[np.bool_]


def masks() -> list[Mask]:
    random = np.random.default_rng(3)
    blocks = [np.kron(random.random((5, 4)) < share, np.ones((60, 90))).astype(bool) for share in (0.2, 0.5, 0.9)]
    noise = [random.random((7, 9)) < share for share in (0.1, 0.5, 0.9)]
    single = np.zeros((1200, 1600), bool)
    single[-1, -1] = True
    return [*noise, *blocks, np.zeros((3, 5), bool), np.ones((3, 5), bool), np.ones((1, 1), bool), single, ~single]


def as_coco(mask: Mask) -> dict[str, Any]:
    encoded = coco.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode()}


@pytest.mark.parametrize("mask", masks(), ids=lambda mask: "x".join(map(str, mask.shape)))
def test_a_mask_is_the_one_of_pycocotools(mask: Mask) -> None:
    encoded = rle.encode(mask)
    assert encoded == as_coco(mask)
    assert np.array_equal(rle.decode(encoded), mask)
    assert rle.area(encoded) == mask.sum()


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_of_any_layout(order: Any) -> None:
    mask = np.zeros((6, 10), bool, order=order)
    mask[1:4:2, ::3] = True
    assert rle.encode(mask[::-1, ::2]) == as_coco(np.ascontiguousarray(mask[::-1, ::2]))


def test_overlaps_are_those_of_pycocotools() -> None:
    random = np.random.default_rng(4)
    some = [np.kron(random.random((4, 6)) < share, np.ones((9, 5))).astype(bool) for share in (0.1, 0.4, 0.7, 1.0)]
    some += [random.random((36, 30)) < 0.5]
    expected = coco.iou([as_coco(mask) for mask in some], [as_coco(mask) for mask in some[::-1]], [0] * len(some))
    runs = [rle.read(rle.encode(mask)) for mask in some]
    assert np.allclose(rle.iou(runs, runs[::-1]), expected, rtol=0, atol=1e-12)


def test_overlaps_of_nothing() -> None:
    empty, full = (rle.read(rle.encode(np.full((3, 2), value))) for value in (False, True))
    assert rle.iou([empty, full], [empty, full]).tolist() == [[1, 0], [0, 1]]
    assert rle.iou([], [full]).shape == (0, 1)
    assert rle.iou([full], []).shape == (1, 0)


def test_counts_with_empty_runs() -> None:
    """Other writers may split a run: 1 background, 2 + 3 foreground, 0 background between them."""
    text = coco.frPyObjects({"size": [2, 3], "counts": [1, 2, 0, 3]}, 2, 3)["counts"].decode()
    assert rle.decode({"size": [2, 3], "counts": text}).ravel(order="F").tolist() == [False] + [True] * 5


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        ({"size": [10**9, 10**9], "counts": "0"}, "1000000000 x 1000000000 pixels is too large; at most 67,108,864"),
        ({"size": [0, 4], "counts": "0"}, "two whole numbers above 0"),
        ({"size": [2.0, 2.0], "counts": "4"}, "two whole numbers above 0"),
        ({"size": [True, 4], "counts": "4"}, "two whole numbers above 0"),
        ({"size": 4, "counts": "4"}, "two whole numbers above 0"),
        ({"counts": "4"}, "two whole numbers above 0"),
        ({"size": [2, 2], "counts": [4]}, "must be text"),
        ({"size": [2, 2], "counts": "5"}, "do not add up to its size, 2 x 2 pixels"),
        ({"size": [2, 2], "counts": ""}, "do not add up to its size"),
        ({"size": [2, 2], "counts": "5O"}, "do not add up to its size"),
        ({"size": [2, 2], "counts": "0" * (1 << 22) + "4"}, "have 4,194,305 characters; at most 4,194,304 are read"),
        ({"size": [2, 2], "counts": "4 "}, "a character that is not"),
        ({"size": [2, 2], "counts": "4é"}, "a character that is not"),
        ({"size": [2, 2], "counts": "4P"}, "end within a number"),
        ({"size": [2, 2], "counts": "PPPPPP0"}, "a number that is too large"),
    ],
)
def test_masks_of_another_form(mask: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        rle.read(mask)
