"""Choose the colour that a class is drawn in."""

from __future__ import annotations

__all__ = ["COLORS", "Color", "color_of"]

Color = tuple[int, int, int]

COLORS: tuple[Color, ...] = (
    (0, 230, 118),
    (170, 0, 255),
    (255, 85, 10),
    (0, 140, 180),
    (255, 190, 255),
    (255, 190, 35),
    (0, 150, 0),
    (255, 0, 175),
    (55, 210, 255),
    (165, 140, 255),
    (170, 95, 140),
    (160, 115, 0),
    (150, 255, 220),
    (210, 250, 0),
    (80, 100, 255),
    (240, 130, 175),
    (155, 175, 65),
    (225, 0, 85),
    (245, 105, 255),
    (0, 185, 165),
)
"""RGB, 0..255. After the first, each is the colour that is farthest from all earlier ones in OKLab, among those of
OKLCH lightness 0.58 to 0.93 and chroma above 0.11: neither dark nor grey, at least 0.13 from each other."""


def color_of(number: int) -> Color:
    """Return the colour of a class, RGB in 0..255. The colours repeat after the last one.

    Args:
        number: Number of the class, from 0.
    """
    return COLORS[number % len(COLORS)]
