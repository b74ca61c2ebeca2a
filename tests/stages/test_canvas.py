"""Test the drawing of lines, boxes, dots and masks, pixel by pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bmfgraph.stages.canvas import Canvas, Layer, composite

RED = (200, 10, 20)
COLORS = np.array([RED], np.uint8)
FAR = 3e38
NAN, INF = float("nan"), float("inf")


def blank(width: int = 12, height: int = 8) -> Canvas:
    return Canvas(np.full((height, width, 3), 7, np.uint8))


def shown(canvas: Canvas) -> list[str]:
    """Rows of the image: # for red pixels, . for untouched ones."""
    red, old = (canvas.pixels == RED).all(axis=2), (canvas.pixels == 7).all(axis=2)
    assert (red | old).all()
    return ["".join("#" if pixel else "." for pixel in row) for row in red.tolist()]


def line(*ends: float, thickness: int = 1, **size: int) -> list[str]:
    canvas = blank(**size)
    canvas.lines(np.array([ends], np.float32), thickness, COLORS)
    return shown(canvas)


def test_lines_go_through_the_pixels_of_both_ends() -> None:
    assert line(1.5, 1.5, 4.5, 1.5, width=6, height=3) == ["......", ".####.", "......"]
    assert line(4.5, 1.5, 1.5, 1.5, width=6, height=3) == ["......", ".####.", "......"]
    assert line(2.5, 0.5, 2.5, 2.5, width=4, height=3) == ["..#.", "..#.", "..#."]
    assert line(0.5, 0.5, 3.5, 3.5, width=4, height=4) == ["#...", ".#..", "..#.", "...#"]
    assert line(0.5, 0.5, 5.5, 2.5, width=6, height=3) == ["##....", "..##..", "....##"]


def test_thick_lines_are_as_thick_in_every_direction() -> None:
    assert line(0.5, 2.5, 4.5, 2.5, thickness=3, width=5, height=5) == [".....", "#####", "#####", "#####", "....."]
    assert line(2.5, 0.5, 2.5, 4.5, thickness=3, width=5, height=5) == [".###."] * 5
    # Four pixels in a row across a diagonal are 2.8 pixels at right angles.
    assert line(-9.5, -9.5, 20.5, 20.5, thickness=3, width=8, height=8)[4] == "...####."


def test_a_line_without_length_is_as_thick_as_it_is_wide() -> None:
    assert line(2.5, 1.5, 2.5, 1.5, thickness=3, width=5, height=3) == ["..#..", "..#..", "..#.."]


@pytest.mark.parametrize("far", [1e6, 1e30, FAR])
def test_lines_from_far_away_are_cut_where_they_leave_the_image(far: float) -> None:
    assert line(-far, 3.5, far, 3.5) == ["." * 12] * 3 + ["#" * 12] + ["." * 12] * 4
    assert line(5.5, -far, 5.5, far) == ["." * 5 + "#" + "." * 6] * 8
    assert line(far, far, far, -far) == ["." * 12] * 8


@pytest.mark.parametrize("wrong", [NAN, INF, -INF])
@pytest.mark.parametrize("place", range(4))
def test_lines_without_a_place_are_left_out(wrong: float, place: int) -> None:
    ends = [1.5, 1.5, 4.5, 1.5]
    ends[place] = wrong
    assert line(*ends) == ["." * 12] * 8


def test_later_lines_lie_on_earlier_ones() -> None:
    canvas = blank(5, 5)
    canvas.lines(
        np.array([(0.5, 2.5, 4.5, 2.5), (2.5, 0.5, 2.5, 4.5)], np.float32), 1, np.array([(1, 1, 1), RED], np.uint8)
    )
    assert (canvas.pixels[:, 2] == RED).all()
    assert (canvas.pixels[2, [0, 1, 3, 4]] == 1).all()


def test_more_lines_than_are_drawn_at_once() -> None:
    canvas = blank(4, 300)
    rows = np.arange(300) + 0.5
    canvas.lines(
        np.stack([np.full(300, 1.5), rows, np.full(300, 2.5), rows], axis=1).astype(np.float32),
        1,
        COLORS.repeat(300, axis=0),
    )
    assert shown(canvas) == [".##."] * 300


def test_dots_are_round() -> None:
    canvas = blank(7, 7)
    canvas.dots(np.array([(3.5, 3.5)], np.float32), 2.5, COLORS)
    assert shown(canvas) == [".......", "..###..", ".#####.", ".#####.", ".#####.", "..###..", "......."]


@pytest.mark.parametrize("point", [(NAN, 1), (1, INF), (-INF, 1), (1e6, 1), (1, -FAR)])
def test_dots_without_a_place_in_the_image_are_left_out(point: tuple[float, float]) -> None:
    canvas = blank()
    canvas.dots(np.array([point], np.float32), 2, COLORS)
    assert shown(canvas) == ["." * 12] * 8


def test_dots_are_cut_at_the_edge() -> None:
    canvas = blank(4, 3)
    canvas.dots(np.array([(0.5, -0.5)], np.float32), 1.5, COLORS)
    assert shown(canvas) == ["##..", "....", "...."]


@pytest.mark.parametrize(
    ("corners", "rows"),
    [
        ((1, 1, 5, 4), ["......", ".####.", ".#..#.", ".####."]),
        ((1.4, 0.6, 4.6, 4.4), ["......", ".####.", ".#..#.", ".####."]),
        ((-FAR, -FAR, 3, 2), ["..#...", "###...", "......", "......"]),
        ((-INF, 1, INF, INF), ["......", "######", "......", "......"]),
        ((2, 2, 2, 2), ["......"] * 4),
        ((4, 3, 1, 1), ["......"] * 4),
        ((NAN, 1, 5, 4), ["......"] * 4),
        ((1, 1, 5, NAN), ["......"] * 4),
        ((1, 3, 5, 1), ["......"] * 4),
    ],
)
def test_boxes(corners: Any, rows: list[str]) -> None:
    canvas = blank(6, 4)
    canvas.box(np.array(corners, np.float32), 1, RED)
    assert shown(canvas) == rows


def test_masks_are_mixed_with_the_image() -> None:
    canvas = Canvas(np.full((4, 5, 3), 100, np.uint8))
    mask = np.array([[True, False], [True, True]])
    canvas.blend(1, 2, mask, (200, 0, 101), 0.25)
    expected = np.full((4, 5, 3), 100)
    expected[2, 1] = expected[3, 1] = expected[3, 2] = (125, 75, 100)
    assert np.array_equal(canvas.pixels, expected)
    canvas.blend(0, 0, np.zeros((0, 0), bool), RED, 1)
    assert np.array_equal(canvas.pixels, expected)


@pytest.mark.parametrize(("left", "top"), [(1, 1), (-1, -1), (4, 3), (9, 9), (-9, 0)])
def test_pictures_are_cut_at_the_edges(left: int, top: int) -> None:
    canvas = blank(6, 5)
    patch = np.arange(4 * 3 * 3, dtype=np.uint8).reshape(3, 4, 3) + 100
    canvas.paste(left, top, patch)
    wide: NDArray[np.uint8] = np.full((40, 40, 3), 7, np.uint8)
    wide[top + 15 : top + 18, left + 15 : left + 19] = patch
    assert np.array_equal(canvas.pixels, wide[15:20, 15:21])


@pytest.mark.parametrize("size", [(64, 64), (70, 45), (31, 20)], ids=str)
def test_a_layer_over_a_frame_is_the_drawing_on_the_frame(size: tuple[int, int]) -> None:
    width, height = size
    random = np.random.default_rng(3)
    image = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    canvas, layer = Canvas(image.copy()), Layer(width, height)
    for _ in range(2):
        for target in (canvas, layer):
            target.blend(3, 2, np.ones((15, 25), bool), (0, 250, 90), 0.5)
            target.blend(10, 8, np.eye(12, dtype=bool), RED, 0.3)
            target.box(np.array([5, 5, 28, 60], np.float32), 2, RED)
            target.lines(np.array([(0, 0, 90, 50)], np.float32), 3, COLORS)
            target.dots(np.array([(width - 1, height - 1)], np.float32), 4, COLORS)
            target.paste(20, 12, np.full((3, 5, 3), 255, np.uint8))
        numbers, tiles = layer.take()
        # The second of two images gets the tiles, and the first none.
        images = [torch.from_numpy(image)] * 2
        first, combined = composite(images, torch.from_numpy(numbers + layer.tiles), torch.from_numpy(tiles)).numpy()
        assert np.array_equal(first, image)
        # Each of the two mixtures rounds on its own.
        assert np.abs(combined.astype(int) - canvas.pixels).max() <= 2
        canvas.pixels[:] = image
    assert [part.size for part in layer.take()] == [0, 0]


def test_only_used_tiles_leave_a_layer() -> None:
    layer = Layer(100, 70)
    layer.rectangle(40, 40, 50, 60, RED)
    numbers, tiles = layer.take()
    assert numbers.tolist() == [5]
    assert np.argwhere(tiles[0, ..., 3] == 255).min(axis=0).tolist() == [8, 8]
