"""Render short texts, and find places for them in a picture."""

from __future__ import annotations

from functools import lru_cache
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bmfgraph.nodes.palette import Color

__all__ = ["Places", "contrast", "label_picture", "spacing", "text_picture"]

_LONGEST = 80
"""Characters of a part of a label; the rest is left out."""


def contrast(color: Color) -> Color:
    """Return black or white, whichever is easier to read on a colour, by its luma (ITU-R BT.601)."""
    luma = sum(level * weight for level, weight in zip(color, (0.299, 0.587, 0.114), strict=True))
    return (255, 255, 255) if luma < 128 else (0, 0, 0)


@lru_cache(maxsize=1024)
def label_picture(parts: tuple[str, ...], size: int, color: Color) -> NDArray[np.uint8]:
    """Return a text in black or white on a colour.

    Args:
        parts: Words of the text. Each is rendered once: a label and a score together are often new.
        size: Of the font, in pixels.
        color: Colour of the background, RGB.

    Returns:
        uint8 [height, width, 3]. All texts of a size are equally high.
    """
    pictures = [text_picture(part, size) for part in parts]
    edge, gap = (np.zeros((pictures[0].shape[0], width), np.uint8) for width in spacing(size))
    row = [part for picture in pictures for part in (gap, picture)][1:]
    return _mixtures(color).take(np.concatenate([edge, *row, edge], axis=1), axis=0)


def spacing(size: int) -> tuple[int, int]:
    """Return the pixels at both ends of a label, and between its words, by the size of the font."""
    return max(1, size // 5), max(3, size // 4)


@lru_cache(maxsize=2048)
def text_picture(text: str, size: int) -> NDArray[np.uint8]:
    """Return how much of each pixel is covered by a word of a label, uint8 [height, width].

    Args:
        text: The word, of which the first 80 characters are rendered.
        size: Of the font, in pixels.
    """
    text = "".join(character if character.isprintable() else " " for character in text[:_LONGEST])
    font = _font(size)
    _, top, _, bottom = font.getbbox("Äg|")
    margin = max(1, size // 5)
    area = (max(1, ceil(font.getlength(text))), round(bottom - top) + 2 * margin)
    picture = Image.new("L", area)
    ImageDraw.Draw(picture).text((0, margin - top), text, font=font, fill=255)
    return np.array(picture)


@lru_cache(maxsize=64)
def _mixtures(color: Color) -> NDArray[np.uint8]:
    """Return the colour of a pixel for each coverage, from the background to the text, uint8 [256, 3]."""
    share = np.arange(256)[:, None] / 255
    return np.rint(np.array(color) * (1 - share) + np.array(contrast(color)) * share).astype(np.uint8)


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


class Places:
    """The places of labels in a picture, so that no two lie on each other where there is room.

    Args:
        width: Of the picture.
        height: Of the picture.
        line: Height of a label.
    """

    def __init__(self, width: int, height: int, line: int) -> None:
        self._width, self._height, self._line = width, height, line
        self._rows: dict[int, list[tuple[int, int, int]]] = {}
        """Left, right and top of the labels by the row that their top lies in, in rows of a label's height."""

    def find(self, left: int, tops: list[int], width: int) -> tuple[int, int]:
        """Return left and top of a label, inside of the picture where it fits in.

        Args:
            left: Wanted left edge.
            tops: Wanted top edges, the best first.
            width: Of the label.
        """
        left = max(0, min(left, self._width - width))
        inside = [top for top in tops if 0 <= top <= self._height - self._line]
        top = next((top for top in inside if self._free(left, top, left + width)), None)
        if top is None:
            top = inside[0] if inside else max(0, min(tops[0], self._height - self._line))
        self._rows.setdefault(top // self._line, []).append((left, left + width, top))
        return left, top

    def _free(self, left: int, top: int, right: int) -> bool:
        row = top // self._line
        return not any(
            left < other_right and other_left < right and abs(top - other_top) < self._line
            for near in (row - 1, row, row + 1)
            for other_left, other_right, other_top in self._rows.get(near, ())
        )
