"""Test which pixels are replaced, and by what."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import bmfgraph as bg
from bmfgraph.nodes.redact import RedactParams
from bmfgraph.plan.types import Placement
from bmfgraph.stages.redact import Redact, areas_of, redact
from bmfgraph.stages.results import Box, Detections, Masks
from tests.conftest import FrameMaker, Samples

BASE = RedactParams("fill", "box", 0.0, 8, (1, 2, 3), None, 0.0, 0)
NO_FRAME: Any = None
NOISE = np.random.default_rng(5).integers(10, 256, (48, 64, 3), dtype=np.uint8)


def found(*corners: tuple[float, ...], **options: Any) -> Detections:
    boxes = [Box("face", 0.5, *four, **options) for four in corners]  # type: ignore[arg-type]
    return Detections.of(NO_FRAME, *boxes)


def redacted(result: Detections, image: NDArray[np.uint8] = NOISE, **options: Any) -> NDArray[np.uint8]:
    params = replace(BASE, **options)
    pixels = torch.from_numpy(image.copy())
    redact(pixels, torch.from_numpy(image), areas_of(result, 64, 48, params), params)
    return pixels.numpy()


def changed(*corners: tuple[float, ...], angle: float = 0.0, **options: Any) -> NDArray[np.bool_]:
    pixels = redacted(found(*corners, angle=angle), **options)
    filled = np.asarray((pixels == BASE.color).all(axis=2))
    assert np.array_equal(pixels[~filled], NOISE[~filled])
    return filled


def rectangle(left: int, top: int, right: int, bottom: int) -> NDArray[np.bool_]:
    mask = np.zeros((48, 64), bool)
    mask[max(top, 0) : bottom, max(left, 0) : right] = True
    return mask


def test_every_pixel_that_the_box_touches_is_replaced() -> None:
    assert np.array_equal(changed((10.2, 5.9, 20.1, 15.0)), rectangle(10, 5, 21, 15))
    assert np.array_equal(changed((10, 10, 30, 20), margin=0.1), rectangle(8, 9, 32, 21))
    assert np.array_equal(changed((-9, -9, 5, 5), (60, 40, 99, 99)), rectangle(0, 0, 5, 5) | rectangle(60, 40, 64, 48))


@pytest.mark.parametrize("corners", [(-30, -30, -5, -5), (70, 5, 90, 9), (5, 60, 9, 70), (float("nan"), 1, 9, 9)])
def test_boxes_outside_change_nothing(corners: tuple[float, ...]) -> None:
    assert not changed(corners).any()


@pytest.mark.parametrize("far", [1e6, 3e38, float("inf")])
def test_boxes_that_reach_far_outside(far: float) -> None:
    assert np.array_equal(changed((-far, 10, far, 20)), rectangle(0, 10, 64, 20))


def test_an_ellipse_touches_the_sides_of_the_box() -> None:
    mask = changed((12, 14, 52, 34), shape="ellipse")
    y, x = np.mgrid[:48, :64] + 0.5
    distance = np.hypot((x - 32) / 20, (y - 24) / 10)
    assert mask[distance < 1].all()
    assert not mask[distance > 1.1].any()
    assert mask[14:34, 32].all()
    assert not (mask & ~rectangle(12, 14, 52, 34)).any()


def test_a_rotated_box_is_replaced_inside_its_polygon() -> None:
    assert np.array_equal(changed((22, 19, 42, 29), angle=np.pi / 2)[:, 28:36], rectangle(27, 14, 37, 34)[:, 28:36])
    mask = changed((22, 14, 42, 34), angle=np.pi / 4)
    y, x = np.mgrid[:48, :64] + 0.5
    distance = abs(x - 32) + abs(y - 24)
    assert mask[distance < 14].all()
    assert not mask[distance > 15.1].any()


def test_a_mask_grows_by_the_margin() -> None:
    values = np.zeros((1, 48, 64), np.float32)
    values[0, 20:30, 20:25] = 1
    masks = Masks(values, 0.5, Placement(64, 48, 64, 48, 1, 1, 0, 0))
    result = replace(found((18, 18, 38, 32)), masks=masks)
    pixels = redacted(result, shape="mask")
    assert np.array_equal((pixels == BASE.color).all(axis=2), rectangle(20, 20, 25, 30))
    pixels = redacted(result, shape="mask", margin=0.1)
    assert np.array_equal((pixels == BASE.color).all(axis=2), rectangle(18, 18, 27, 32))
    pixels = redacted(replace(result, corners=np.array([(20.4, 20.4, 24.6, 29.6)], np.float32)), shape="mask")
    assert np.array_equal((pixels == BASE.color).all(axis=2), rectangle(20, 20, 25, 30))


def test_labels_and_scores_choose_the_objects() -> None:
    result = Detections.of(
        NO_FRAME, Box("face", 0.9, 0, 0, 5, 5), Box("dog", 0.8, 10, 0, 15, 5), Box("face", 0.2, 20, 0, 25, 5)
    )
    pixels = redacted(result, labels=("face", "cat"), threshold=0.5)
    assert np.array_equal((pixels == BASE.color).all(axis=2), rectangle(0, 0, 5, 5))


def test_pixelate_leaves_the_mean_of_each_block() -> None:
    pixels = redacted(found((8, 4, 48, 24)), style="pixelate", blocks=4)
    blocks = NOISE[4:24, 8:48].reshape(2, 10, 4, 10, 3).mean(axis=(1, 3))
    expected = blocks.repeat(10, axis=0).repeat(10, axis=1)
    assert np.abs(pixels[4:24, 8:48] - expected).max() <= 0.51
    assert np.array_equal(pixels[:, 48:], NOISE[:, 48:])


def test_blocks_of_small_objects_are_at_least_four_pixels_wide() -> None:
    pixels = redacted(found((8, 8, 20, 16)), style="pixelate", blocks=64)
    assert len(np.unique(pixels[8:16, 8:20].reshape(-1, 3), axis=0)) == 6
    assert len(np.unique(redacted(found((8, 8, 11, 10)), style="pixelate")[8:10, 8:11].reshape(-1, 3), axis=0)) == 1


def test_blur_depends_on_the_means_only() -> None:
    shuffled = NOISE.copy()
    inside = shuffled[4:24, 8:48].reshape(2, 10, 4, 10, 3)
    inside[:] = inside[:, ::-1, :, ::-1]
    first, second = (redacted(found((8, 4, 48, 24)), image, style="blur", blocks=4) for image in (NOISE, shuffled))
    assert np.array_equal(first[4:24, 8:48], second[4:24, 8:48])
    assert not np.array_equal(NOISE[4:24, 8:48], shuffled[4:24, 8:48])
    assert first[4:24, 8:48].std() < NOISE.std() / 4


def test_the_coarser_blocks_count_where_objects_overlap() -> None:
    large, small = (4, 4, 60, 44), (20, 16, 36, 28)
    for order in ((large, small), (small, large)):
        assert np.array_equal(redacted(found(*order), style="pixelate"), redacted(found(large), style="pixelate"))


def stage(**options: Any) -> Redact:
    made = Redact("hide", replace(BASE, **options))
    made.open()
    return made


def boxes_left(video_frame: FrameMaker, hold: int, *faces: tuple[tuple[float, ...], ...]) -> list[list[int]]:
    """Left edges of the filled boxes of each frame."""
    made, edges = stage(hold=hold), []
    for index, corners in enumerate(faces):
        source = video_frame(index, NOISE)
        (result,) = made.process(source, found(*corners))
        assert np.array_equal(source.pixels().numpy(), NOISE)
        row = (result.pixels().numpy()[12] == BASE.color).all(axis=1).astype(int)
        edges.append(np.flatnonzero(np.diff(row, prepend=0) == 1).tolist())
    return edges


def test_the_area_of_a_lost_object_is_held(video_frame: FrameMaker) -> None:
    face, other = (10, 10, 20, 20), (40, 10, 50, 20)
    assert boxes_left(video_frame, 2, (face,), (), (), ()) == [[10], [10], [10], []]
    assert boxes_left(video_frame, 0, (face,), ()) == [[10], []]
    assert boxes_left(video_frame, 1, (face,), (other,), ()) == [[10], [10, 40], [40]]
    assert boxes_left(video_frame, 1, (face,), ((12, 10, 22, 20),)) == [[10], [12]], "it moved and was not lost"


def test_several_detectors(video_frame: FrameMaker) -> None:
    (result,) = stage().process(video_frame(0, NOISE), found((1, 10, 9, 20)), found((30, 10, 40, 20)))
    filled = (result.pixels().numpy() == BASE.color).all(axis=2)
    assert np.array_equal(filled, rectangle(1, 10, 9, 20) | rectangle(30, 10, 40, 20))


@pytest.mark.parametrize("style", ["blur", "pixelate", "fill"])
def test_a_redacted_face_is_no_longer_detected(samples: Samples, style: str) -> None:
    again = {
        "again_prepare": "{kind: preprocess, inputs: [hide]}",
        "again_detect": '{kind: inference, inputs: [again_prepare], model: "${model}", engine: "${engine}"}',
        "again": "{kind: detections, inputs: [again_detect], threshold: 0.05}",
        "table": "{kind: records, inputs: [again], path: unused.jsonl}",
    }
    words = [f"+pipeline.nodes.{name}={text}" for name, text in again.items()]
    job = bg.compose(
        "redaction",
        f"+pipeline.nodes.hide.style={style}",
        "decoder.end=0.4",
        *words,
        input=samples["carphone"],
        device="cpu",
        encoder="measure",
    )
    seen = 0
    with contextlib.closing(job.stream("source", "faces", "hide", "again")) as stream:
        for source, faces, hidden, left in stream:
            seen += 1
            assert len(faces.boxes) == 1
            assert faces.scores[0] > 0.7
            assert left.scores.max(initial=0) < 0.3
            x1, y1, x2, y2 = np.rint(faces.boxes[0]).astype(int).tolist()
            before, after = source.numpy().astype(int), hidden.numpy().astype(int)
            assert np.abs(before - after)[y1:y2, x1:x2].mean() > 8
            outside = np.ones(before.shape[:2], bool)
            outside[y1 - 10 : y2 + 10, x1 - 10 : x2 + 10] = False
            assert np.array_equal(before[outside], after[outside])
    assert seen > 5
