"""Test the drawing of boxes and labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bmfgraph.nodes.overlay import OverlayParams
from bmfgraph.stages.overlay import Draw, draw_boxes
from bmfgraph.stages.results import Box, Detections
from tests.conftest import FrameMaker
from tests.tools import picture

GREEN = (0, 230, 118)


def work(**options: Any) -> OverlayParams:
    settings: dict[str, Any] = {
        "color": GREEN,
        "thickness": 2,
        "label": False,
        "font_size": 10,
    }
    return OverlayParams(**(settings | options))


def box(x1: float, y1: float, x2: float, y2: float) -> Box:
    return Box("face", 0.875, x1, y1, x2, y2)


def drawn(boxes: list[Box], size: tuple[int, int] = (64, 48), **options: Any) -> np.ndarray:
    pixels = torch.full((size[1], size[0], 3), 7, dtype=torch.uint8)
    draw_boxes(pixels, boxes, work(**options))
    return pixels.numpy()


def painted(pixels: np.ndarray) -> np.ndarray:
    return np.asarray((pixels == np.array(GREEN)).all(axis=2))


@pytest.mark.parametrize("thickness", [1, 2, 5])
def test_a_box_is_a_frame_of_that_thickness(thickness: int) -> None:
    actual = painted(drawn([box(10.2, 11.6, 40.4, 30.0)], thickness=thickness))
    expected = np.zeros((48, 64), bool)
    expected[12:30, 10:40] = True
    expected[12 + thickness : 30 - thickness, 10 + thickness : 40 - thickness] = False
    assert np.array_equal(actual, expected)


@pytest.mark.parametrize(
    "corners",
    [(-20, -20, 30, 30), (40, 30, 90, 90), (-9, -9, 99, 99), (-50, -50, -10, -10), (70, 50, 90, 60), (5, 5, 5, 5)],
)
def test_boxes_beyond_the_frame_do_no_harm(corners: tuple[int, int, int, int]) -> None:
    for label in (False, True):
        actual = drawn([box(*corners)], label=label)
        assert actual.shape == (48, 64, 3)
    inside = painted(drawn([box(*corners)], thickness=1))
    x1, y1, x2, y2 = corners
    for row, column in zip(*np.nonzero(inside), strict=True):
        assert y1 <= row < max(y2, y1 + 1)
        assert x1 <= column < max(x2, x1 + 1)


def test_no_boxes_change_nothing() -> None:
    assert (drawn([]) == 7).all()


def test_the_label_stands_above_the_box_or_inside_it() -> None:
    above = drawn([box(10, 30, 40, 45)], label=True, size=(120, 60))
    changed = (above != 7).any(axis=2)
    assert changed[:30].any()
    inside = drawn([box(10, 2, 110, 50)], label=True, size=(120, 60))
    assert not (inside[:2] != 7).any()
    assert (inside[2:14, 10:60] != 7).any(axis=2).mean() > 0.5


def test_the_label_is_moved_into_the_frame() -> None:
    right = drawn([box(110, 30, 118, 45)], label=True, size=(120, 60))
    left = drawn([box(20, 30, 28, 45)], label=True, size=(120, 60))
    assert (right[:30] != 7).any(axis=2).sum() == (left[:30] != 7).any(axis=2).sum()


def test_text_is_readable_on_light_and_dark() -> None:
    for color, text in (((255, 255, 0), 0), ((0, 0, 90), 255)):
        actual = drawn([box(10, 40, 110, 58)], label=True, color=color, font_size=20, size=(200, 60))
        assert (actual[:40] == text).all(axis=2).sum() > 20


def test_labels_that_do_not_fit_are_cut() -> None:
    assert drawn([box(0, 0, 8, 8)], label=True, font_size=40, size=(16, 12)).shape == (12, 16, 3)


def test_the_stage_draws_on_a_copy(video_frame: FrameMaker) -> None:
    source = video_frame(6)
    (result,) = Draw("draw", work()).process(source, Detections.of(source, box(10, 10, 30, 30)))
    assert np.array_equal(source.pixels().numpy(), picture(6, 64, 48))
    assert (result.index, result.time) == (6, source.time)
    changed = (result.pixels().numpy() != picture(6, 64, 48)).any(axis=2)
    assert changed[10:30, 10:30].any()
    changed[10:30, 10:30] = False
    assert not changed.any()


@pytest.mark.parametrize("corners", [(10, 12, 13, 15), (10, 12, 40, 15), (10, 12, 13, 40), (10, 12, 11, 13)])
def test_thick_lines_stay_inside_a_small_box(corners: tuple[int, int, int, int]) -> None:
    x1, y1, x2, y2 = corners
    expected = np.zeros((48, 64), bool)
    expected[y1:y2, x1:x2] = True
    assert np.array_equal(painted(drawn([box(*corners)], thickness=9)), expected)
