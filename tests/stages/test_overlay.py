"""Test what is drawn for each kind of result, and where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bmfgraph.nodes.overlay import OverlayParams
from bmfgraph.nodes.palette import color_of
from bmfgraph.plan.types import Placement
from bmfgraph.stages.canvas import Canvas
from bmfgraph.stages.items import Result
from bmfgraph.stages.labels import label_picture
from bmfgraph.stages.overlay import Draw, draw_results, draw_segments, segment_table, with_segments
from bmfgraph.stages.results import Box, Classes, Detections, Masks, Segments, Texts
from tests.conftest import FrameMaker
from tests.tools import picture

GREEN = (0, 230, 118)
NO_FRAME: Any = None
NAN, INF = float("nan"), float("inf")

Pixels = NDArray[np.uint8]


def style(**options: Any) -> OverlayParams:
    settings: dict[str, Any] = {
        "color": GREEN,
        "thickness": 2,
        "label": False,
        "font_size": 10,
        "opacity": 0.5,
        "keypoint_score": 0.3,
        "skeletons": ((),),
        "backgrounds": (-1,),
    }
    return OverlayParams(**(settings | options))


def box(x1: float, y1: float, x2: float, y2: float, **options: Any) -> Box:
    return Box("face", 0.875, x1, y1, x2, y2, **options)


def drawing(result: Result, size: tuple[int, int] = (64, 48), **options: Any) -> Pixels:
    pixels = np.full((size[1], size[0], 3), 7, np.uint8)
    draw_results(Canvas(pixels), [result], style(**options))
    return pixels


def drawn(boxes: list[Box], size: tuple[int, int] = (64, 48), **options: Any) -> Pixels:
    return drawing(Detections.of(NO_FRAME, *boxes), size, **options)


def painted(pixels: Pixels, color: tuple[int, ...] = GREEN) -> NDArray[np.bool_]:
    return np.asarray((pixels == np.array(color)).all(axis=2))


def holds(pixels: Pixels, left: int, top: int, text: NDArray[np.uint8]) -> bool:
    return np.array_equal(pixels[top : top + text.shape[0], left : left + text.shape[1]], text)


@pytest.mark.parametrize("thickness", [1, 2, 5])
def test_a_box_is_a_frame_of_that_thickness(thickness: int) -> None:
    actual = painted(drawn([box(10.2, 11.6, 40.4, 30.0)], thickness=thickness))
    expected = np.zeros((48, 64), bool)
    expected[12:30, 10:40] = True
    expected[12 + thickness : 30 - thickness, 10 + thickness : 40 - thickness] = False
    assert np.array_equal(actual, expected)


@pytest.mark.parametrize("corners", [(10, 12, 13, 15), (10, 12, 40, 15), (10, 12, 13, 40), (10, 12, 11, 13)])
def test_thick_lines_stay_inside_a_small_box(corners: tuple[int, int, int, int]) -> None:
    x1, y1, x2, y2 = corners
    expected = np.zeros((48, 64), bool)
    expected[y1:y2, x1:x2] = True
    assert np.array_equal(painted(drawn([box(*corners)], thickness=9)), expected)


@pytest.mark.parametrize(
    "corners",
    [(-20, -20, 30, 30), (40, 30, 90, 90), (-9, -9, 99, 99), (-50, -50, -10, -10), (70, 50, 90, 60), (5, 5, 5, 5)],
)
def test_boxes_beyond_the_frame_do_no_harm(corners: tuple[int, int, int, int]) -> None:
    inside = painted(drawn([box(*corners)], thickness=1))
    wide = painted(drawn([box(*(value + 100 for value in corners))], (264, 248), thickness=1))
    assert np.array_equal(inside, wide[100:148, 100:164])


@pytest.mark.parametrize("value", [NAN, INF, -INF, 1e6, -1e6, 3e38])
@pytest.mark.parametrize("place", range(4))
def test_coordinates_that_cannot_be_drawn(value: float, place: int) -> None:
    corners = np.array([[5, 20, 30, 40]], np.float32)
    corners[0, place] = value
    values = np.ones((1, 4, 4), np.float32)
    result = Detections(
        NO_FRAME,
        corners,
        np.array([0.5], np.float32),
        np.array([0]),
        ("face",),
        keypoints=np.array([[(value, 5, 1), (9, value, 1)]], np.float32),
        masks=Masks(values, 0.5, Placement(64, 48, 4, 4, 1 / 16, 1 / 12, 0, 0)),
    )
    for angles in (None, np.array([0.4], np.float32), np.array([value], np.float32)):
        options = {"angles": angles}
        turned = Detections(**{name: getattr(result, name) for name in Detections.__slots__} | options, frame=NO_FRAME)
        pixels = drawing(turned, label=True, skeletons=(((0, 1),),))
        assert pixels.shape == (48, 64, 3)


def test_no_boxes_change_nothing() -> None:
    assert (drawn([], label=True) == 7).all()


def test_each_class_has_its_colour() -> None:
    pixels = drawn([Box("a", 1, 2, 2, 9, 9), Box("b", 1, 12, 2, 19, 9)], color=None)
    assert (pixels[2, 2].tolist(), pixels[2, 12].tolist()) == (list(GREEN), list(color_of(1)))


# ------------------------------------------------------------------------------------------------------- labels


def test_the_label_stands_above_the_box_or_inside_it() -> None:
    text = label_picture(("face", "0.88"), 10, GREEN)
    line = text.shape[0]
    assert holds(drawn([box(10, 30, 40, 45)], label=True, size=(120, 60)), 10, 30 - line, text)
    assert holds(drawn([box(10, line, 40, 45)], label=True, size=(120, 60)), 10, 0, text)
    assert holds(drawn([box(10, line - 1, 40, 45)], label=True, size=(120, 60)), 10, line - 1, text)
    assert holds(drawn([box(10, -5, 40, 45)], label=True, size=(120, 60)), 10, 0, text)


def test_the_label_is_moved_into_the_frame() -> None:
    text = label_picture(("face", "0.88"), 10, GREEN)
    width = text.shape[1]
    assert holds(drawn([box(110, 30, 118, 45)], label=True, size=(120, 60)), 120 - width, 30 - text.shape[0], text)
    assert holds(drawn([box(-9, 30, 28, 45)], label=True, size=(120, 60)), 0, 30 - text.shape[0], text)


def test_labels_avoid_each_other() -> None:
    text = label_picture(("face", "0.88"), 10, GREEN)
    line = text.shape[0]
    pixels = drawn([box(10, 30, 40, 52)] * 3, label=True, size=(120, 80))
    assert [holds(pixels, 10, top, text) for top in (30 - line, 30, 52)] == [True] * 3
    beside = drawn([box(10, 30, 40, 52), box(10 + text.shape[1], 30, 90, 52)], label=True, size=(120, 80))
    assert holds(beside, 10, 30 - line, text)
    assert holds(beside, 10 + text.shape[1], 30 - line, text)


def test_the_number_of_an_object_is_in_its_label() -> None:
    faces = Detections.of(NO_FRAME, box(10, 30, 40, 45))
    numbered = Detections(faces.frame, faces.corners, faces.scores, faces.classes, faces.names, ids=np.array([12]))
    text = label_picture(("#12", "face", "0.88"), 10, GREEN)
    actual = drawing(numbered, label=True, size=(120, 60))
    assert painted(actual)[:30].any(axis=0).sum() == text.shape[1]


def test_text_is_readable_on_light_and_dark() -> None:
    for color, text in (((255, 255, 0), 0), ((0, 0, 90), 255)):
        actual = drawn([box(10, 40, 110, 58)], label=True, color=color, font_size=20, size=(200, 60))
        assert (actual[:40] == text).all(axis=2).sum() > 20


def test_labels_that_do_not_fit_are_cut() -> None:
    text = label_picture(("face", "0.88"), 40, GREEN)
    assert np.array_equal(drawn([box(0, 0, 8, 8)], label=True, font_size=40, size=(16, 12)), text[:12, :16])


def test_texts_that_no_font_can_write() -> None:
    line = label_picture(("a",), 10, GREEN).shape[0]
    for text in ("", "a\nb", "\ud800", "\x00", "字" * 1000):
        pixels = drawing(Texts(NO_FRAME, (text,), np.ones(1, np.float32), np.zeros((0, 4), np.float32)))
        assert painted(pixels)[0, 0]
        assert not painted(pixels)[line:].any()


def test_classes_are_lines_in_the_corner() -> None:
    names = ("cat", "dog", "fox")
    result = Classes(NO_FRAME, np.array([0.75, 0.25], np.float32), np.array([2, 0]), names)
    pixels = drawing(result, color=None, size=(120, 60))
    first, second = (label_picture((name, "0.75"), 10, color_of(2)).shape[0] for name in ("fox", "cat"))
    assert holds(pixels, 0, 0, label_picture(("fox", "0.75"), 10, color_of(2)))
    assert holds(pixels, 0, first, label_picture(("cat", "0.25"), 10, color_of(0)))
    assert (pixels[first + second :] == 7).all()


def test_texts_stand_at_their_boxes_or_in_the_corner() -> None:
    scores, text = np.ones(1, np.float32), label_picture(("stop",), 10, GREEN)
    boxed = drawing(Texts(NO_FRAME, ("stop",), scores, np.array([(20, 30, 60, 45)], np.float32)), size=(120, 60))
    assert holds(boxed, 20, 30 - text.shape[0], text)
    assert painted(boxed)[44, 20:60].all()
    for corners in (np.array([(0, 0, 120, 60)], np.float32), np.zeros((0, 4), np.float32)):
        whole = drawing(Texts(NO_FRAME, ("stop",), scores, corners), size=(120, 60))
        assert holds(whole, 0, 0, text)
        assert (whole[text.shape[0] :] == 7).all()


def test_a_label_leaves_room_for_the_lines_in_the_corner() -> None:
    classes = Classes(NO_FRAME, np.array([0.75], np.float32), np.array([0]), ("cat",))
    pixels = np.full((60, 120, 3), 7, np.uint8)
    results = [Detections.of(NO_FRAME, box(0, 0, 50, 50)), classes]
    draw_results(Canvas(pixels), results, style(label=True, skeletons=((), ()), backgrounds=(-1, -1)))
    assert holds(pixels, 0, 0, label_picture(("cat", "0.75"), 10, GREEN))
    assert holds(
        pixels, 0, 50 - label_picture(("face",), 10, GREEN).shape[0], label_picture(("face", "0.88"), 10, GREEN)
    )


# ------------------------------------------------------------------------------------- masks, polygons, keypoints


def test_a_mask_is_blended_inside_its_box() -> None:
    values = np.zeros((1, 12, 16), np.float32)
    values[0, 4:8, 5:9] = 1
    result = Detections(
        NO_FRAME,
        np.array([(18, 12, 40, 40)], np.float32),
        np.array([0.5], np.float32),
        np.array([1]),
        ("a", "b"),
        masks=Masks(values, 0.5, Placement(64, 48, 16, 12, 0.25, 0.25, 0, 0)),
    )
    pixels = drawing(result, thickness=1, color=None, opacity=0.25)
    left, top, patch = result.masks.patch(0, result.corners[0]) if result.masks else (0, 0, np.zeros(0))
    mixed = tuple(int(7 + (level - 7) * 0.25 + 0.5) for level in color_of(1))
    expected = np.zeros((48, 64), bool)
    expected[top : top + patch.shape[0], left : left + patch.shape[1]] = patch
    expected[painted(pixels, color_of(1))] = False
    assert expected[16:32, 20:36].mean() > 0.9
    assert np.array_equal(painted(pixels, mixed), expected)


def test_a_rotated_box_is_a_polygon() -> None:
    right_angle = drawn([box(20, 10, 40, 30, angle=np.pi / 2)], thickness=1)
    rows, columns = np.nonzero(painted(right_angle))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 30, 20, 40)
    assert painted(right_angle).sum() == 80
    diamond = painted(drawn([box(20, 10, 40, 30, angle=np.pi / 4)], thickness=1))
    rows, columns = np.nonzero(diamond)
    assert abs(np.abs(rows - 20) + np.abs(columns - 30) - 14.1).max() < 1.5
    assert len(rows) >= 56


def test_the_label_of_a_rotated_box_stands_above_its_highest_point() -> None:
    text = label_picture(("face", "0.88"), 10, GREEN)
    pixels = drawn([box(40, 30, 60, 50, angle=np.pi / 4)], label=True, size=(120, 80))
    assert holds(pixels, round(50 - 200**0.5), round(40 - 200**0.5) - text.shape[0], text)


def test_keypoints_and_their_lines() -> None:
    points = ((10.5, 10.5, 0.9), (30.5, 10.5, 0.3), (50.5, 10.5, 0.2), (10.5, 40.5, 1.0))
    result = Detections.of(NO_FRAME, box(2, 2, 60, 46, keypoints=points))
    pixels = drawing(result, thickness=1, skeletons=(((0, 1), (1, 2), (0, 3)),))
    inside = pixels[4:44, 4:58]
    green, black = painted(inside), painted(inside, (0, 0, 0))
    assert green[6, 10:23].all(), "the line of the first two points"
    assert not (green | black)[6, 30:].any(), "the third point's score is too low"
    assert green[10:33, 6].all()
    assert np.argwhere(black).tolist() == [[6, 6], [6, 26], [36, 6]]
    assert green[4:9, 4:9].tolist() == [
        [False, True, True, True, False],
        [True, True, True, True, True],
        [True, True, False, True, True],
        [True, True, True, True, True],
        [False, True, True, True, False],
    ]
    assert not painted(drawing(result, thickness=1, keypoint_score=1.0), (0, 0, 0))[5:39].any()


# ---------------------------------------------------------------------------------------------------- label maps


def test_a_label_map_is_stretched_and_blended() -> None:
    pixels = np.full((4, 6, 3), 100, np.uint8)
    classes = np.array([[0, 1, 255], [2, 0, 1]], np.uint8)
    draw_segments(pixels, classes, segment_table(style(color=None, opacity=0.5), 0))
    colors: dict[int, tuple[int, ...]] = {0: (100, 100, 100), 255: (100, 100, 100)}
    colors |= {number: tuple(int((100 + level) / 2 + 0.5) for level in color_of(number)) for number in (1, 2)}
    expected = np.array([[colors[number] for number in row] for row in classes.tolist()])
    assert np.array_equal(pixels, expected.repeat(2, axis=0).repeat(2, axis=1))


def test_sizes_of_maps_that_are_no_fraction_of_the_frame() -> None:
    pixels = np.zeros((5, 7, 3), np.uint8)
    draw_segments(pixels, np.array([[0, 1, 2]], np.uint8), segment_table(style(color=None, opacity=1), -1))
    # The centres of the seven pixels lie at 3/14, 9/14, 15/14 and so on of the map's three columns.
    assert pixels[4].tolist() == [list(color_of(number)) for number in (0, 0, 1, 1, 1, 2, 2)]


@pytest.mark.parametrize("size", [(12, 9), (5, 7), (30, 20)], ids=str)
def test_tensors_are_blended_as_arrays_are(size: tuple[int, int]) -> None:
    random = np.random.default_rng(2)
    pixels = random.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    classes = random.integers(0, 256, size[::-1], dtype=np.uint8)
    table = segment_table(style(color=None, opacity=0.3), 3)
    blended = with_segments(*(torch.from_numpy(array.copy()) for array in (pixels, classes, table)))
    draw_segments(pixels, classes, table)
    assert np.array_equal(blended.numpy(), pixels)


# ------------------------------------------------------------------------------------------------------ the stage


def stage(**options: Any) -> Draw:
    made = Draw("draw", style(**options))
    made.open()
    return made


def test_the_stage_draws_on_a_copy(video_frame: FrameMaker) -> None:
    source = video_frame(6)
    (result,) = stage().process(source, Detections.of(source, box(10, 10, 30, 30)))
    assert np.array_equal(source.pixels().numpy(), picture(6, 64, 48))
    assert (result.index, result.time) == (6, source.time)
    changed = (result.pixels().numpy() != picture(6, 64, 48)).any(axis=2)
    assert changed[10:30, 10:30].any()
    changed[10:30, 10:30] = False
    assert not changed.any()


def test_boxes_lie_on_label_maps_in_any_order(video_frame: FrameMaker) -> None:
    source = video_frame(0)
    parts: list[Result] = [
        Segments(source, torch.ones((3, 4), dtype=torch.uint8), ("a", "b")),
        Detections.of(source, box(10, 10, 30, 30)),
    ]
    made = stage(color=None, opacity=1, skeletons=((), ()), backgrounds=(-1, -1))
    for order in (parts, parts[::-1]):
        (result,) = made.process(source, *order)
        pixels = result.pixels().numpy()
        assert painted(pixels)[10, 10:30].all()
        assert painted(pixels, color_of(1)).sum() == 64 * 48 - painted(pixels).sum()
