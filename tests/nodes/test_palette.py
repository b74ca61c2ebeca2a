"""Test that the colours of classes differ, and are neither dark nor grey."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from bmfgraph.nodes.palette import COLORS, color_of


def oklab(color: tuple[int, int, int]) -> NDArray[np.float64]:
    """Lightness, a and b (Björn Ottosson, A perceptual color space for image processing)."""
    level = np.array(color) / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    cones = [
        (0.4122214708, 0.5363325363, 0.0514459929),
        (0.2119034982, 0.6806995451, 0.1073969566),
        (0.0883024619, 0.2817188376, 0.6299787005),
    ]
    lab = [
        (0.2104542553, 0.7936177850, -0.0040720468),
        (1.9779984951, -2.4285922050, 0.4505937099),
        (0.0259040371, 0.7827717662, -0.8086757660),
    ]
    result: NDArray[np.float64] = np.array(lab) @ np.cbrt(np.array(cones) @ linear)
    return result


def test_no_two_colours_are_alike() -> None:
    assert len(COLORS) == 20
    points = [oklab(color) for color in COLORS]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(points, 2)) > 0.13


@pytest.mark.parametrize("color", COLORS, ids=str)
def test_colours_are_bright_and_saturated(color: tuple[int, int, int]) -> None:
    lightness, a, b = oklab(color)
    assert 0.57 < lightness < 0.94
    assert np.hypot(a, b) > 0.1


def test_colours_repeat() -> None:
    assert color_of(0) == (0, 230, 118)
    assert [color_of(number) for number in range(20, 40)] == list(COLORS)
