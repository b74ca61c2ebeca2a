"""Draws the project's own training pages: text in many sizes, lines, boxes, circles and hatching."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

_DRAWN_SIDE = 2400  # px; shrunk by two afterwards, so that edges are antialiased
_SHAPES = 40
_TEXT_SIZES = (16, 20, 24, 28, 34, 44, 60, 96)  # px
_WORDS = (
    "video frame graph filter decode encode module pixel stream super resolution The quick brown fox jumps "
    "over lazy dog 0123456789 (a+b)=c; {x} [y] <z> # $ % & @"
)


def draw_page(seed: int, fonts: Sequence[Path] = ()) -> Image.Image:
    """Draws one page; the same seed and fonts give the same page.

    Args:
        seed: even seeds give light paper, odd ones a random paper colour.
        fonts: TrueType files to set most of the text in; Pillow's own font is used besides, or alone when
            empty.

    Returns:
        An RGB picture of 1200x1200 pixels.
    """
    random = np.random.RandomState(seed)
    grey = int(random.randint(225, 256)) if seed % 2 == 0 else None
    paper = _colour(random) if grey is None else (grey, grey, grey)
    page = Image.new("RGB", (_DRAWN_SIDE, _DRAWN_SIDE), paper)
    draw = ImageDraw.Draw(page)
    dark = sum(paper) < 380
    for _ in range(_SHAPES):
        _draw_shape(draw, random, (235, 235, 235) if dark else (20, 20, 20))
    _draw_text(draw, random, (240, 240, 240) if dark else (10, 10, 10), fonts)
    return page.resize((_DRAWN_SIDE // 2, _DRAWN_SIDE // 2), Image.Resampling.LANCZOS)


def _colour(random: np.random.RandomState) -> Colour:
    red, green, blue = (int(value) for value in random.randint(0, 256, 3))
    return red, green, blue


def _draw_shape(draw: ImageDraw.ImageDraw, random: np.random.RandomState, ink: Colour) -> None:
    """One rectangle, ellipse, bent line or hatching at a random place."""
    x, y = int(random.randint(0, _DRAWN_SIDE)), int(random.randint(0, _DRAWN_SIDE))
    width, height = int(random.randint(20, 500)), int(random.randint(20, 400))
    box = (x, y, x + width, y + height)
    kind = random.randint(4)
    if kind == 0:
        fill, outline = _colour(random), _colour(random)
        draw.rectangle(box, fill=fill, outline=outline, width=int(random.randint(1, 8)))
    elif kind == 1:
        inside = _colour(random) if random.rand() < 0.6 else None
        outline = _colour(random)
        draw.ellipse(box, fill=inside, outline=outline, width=int(random.randint(1, 10)))
    elif kind == 2:
        points = [(int(px), int(py)) for px, py in (random.randint(0, _DRAWN_SIDE, 2) for _ in range(3))]
        colour = _colour(random)
        draw.line(points, fill=colour, width=int(random.randint(1, 9)), joint="curve")
    else:
        lines, spacing = int(random.randint(4, 40)), int(random.randint(4, 20))
        for i in range(lines):
            top = x + i * spacing
            slant = int(random.randint(-1, 2)) * 40
            colour = _colour(random) if random.rand() < 0.05 else ink
            draw.line((top, y, top + slant, y + height), fill=colour, width=max(1, spacing // 3))


def _draw_text(draw: ImageDraw.ImageDraw, random: np.random.RandomState, ink: Colour, fonts: Sequence[Path]) -> None:
    """Lines of words from the top to the bottom of the page."""
    names, words = [str(font) for font in fonts], _WORDS.split()
    y = 20
    while y < _DRAWN_SIDE - 60:
        size = int(random.choice(_TEXT_SIZES))
        font: ImageFont.FreeTypeFont | ImageFont.ImageFont
        if names and random.rand() < 0.8:
            font = ImageFont.truetype(str(random.choice(names)), size)
        else:
            font = ImageFont.load_default(size)
        colour = _colour(random) if random.rand() < 0.4 else ink
        left = int(random.randint(0, 300))
        draw.text((left, y), " ".join(random.choice(words, 60)), fill=colour, font=font)
        y += int(size * 1.35) + int(random.randint(0, 20))
        if random.rand() < 0.25:
            y += int(random.randint(40, 260))
