"""The PNG, as Pillow sees it."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageColor, ImageFont

from bmfgraph.plan.plan import Plan
from bmfgraph.plan.views.drawing import INK, PALETTES, SIZES, Rect
from bmfgraph.plan.views.png import SCALE, plan_png
from bmfgraph.plan.views.scene import draw_plan
from tests.compile.machines import HOPPER_TRT
from tests.compile.pipelines import COPY, DETECT, UPSCALE, MakePlan
from tests.plan.views.pipelines import LONG


def opened(plan: Plan) -> Image.Image:
    image = Image.open(io.BytesIO(plan_png(plan)))
    image.load()
    return image


def color_at(image: Image.Image, x: float, y: float) -> object:
    return image.getpixel((round(x * SCALE), round(y * SCALE)))


def rgba(color: str) -> tuple[int, ...]:
    return ImageColor.getcolor(color, "RGBA")  # type: ignore[return-value]


def cut(image: Image.Image, box: Rect) -> Image.Image:
    place = (box.x * SCALE, box.y * SCALE, box.right * SCALE, box.bottom * SCALE)
    return image.crop(tuple(map(round, place)))  # type: ignore[arg-type]


def darkest(image: Image.Image, box: Rect) -> int:
    low, _ = cut(image, box).convert("L").getextrema()
    assert isinstance(low, (int, float))
    return int(low)


@pytest.mark.parametrize("text", [COPY, UPSCALE, DETECT])
def test_what_is_drawn(plan: MakePlan, text: str) -> None:
    made = plan(text, machine=HOPPER_TRT)
    picture, image = draw_plan(made), opened(made)
    assert (image.format, image.mode) == ("PNG", "RGBA")
    assert image.size == (picture.width * 2, picture.height * 2)
    assert color_at(image, picture.width / 2, 8) == rgba(INK["page"])
    assert color_at(image, 0, 0)[3] == 0  # type: ignore[index]
    for card in picture.cards:
        tint, box = PALETTES[card.device], card.box
        assert color_at(image, box.right - 6, box.bottom - 6) == rgba(tint.fill)
        assert color_at(image, box.x + 7.5, box.y + box.height / 2) == rgba(tint.strong)
        assert all(darkest(image, word.box) < 140 for word in card.texts)
    for group in picture.groups:
        assert color_at(image, group.box.x + 6, group.box.y + 40) == rgba(INK["group"])
        assert darkest(image, group.caption.box) < 160
    for line in picture.lines:
        (x, y), before = line.points[-1], line.points[-2]
        back = (x - 4, y) if before[1] == y else (x, y - 4)
        assert color_at(image, *back) == rgba(INK["line"])
        assert all(darkest(image, label.box) < 160 for label in line.labels)
    for note in picture.notes:
        assert darkest(image, note.box) < 160


def test_lines_are_drawn_all_the_way_and_sound_in_dots(plan: MakePlan) -> None:
    made = plan(COPY)
    image, lines = opened(made), draw_plan(made).lines
    for line in lines:
        (x, y), (right, _) = line.points[:2]
        row = [color_at(image, at, y) for at in range(round(x) + 2, round(right) - 12)]
        share = sum(pixel == rgba(INK["line"]) for pixel in row) / len(row)
        assert 0.2 < share < 0.6 if line.dashed else share == 1


def test_names_are_bold(plan: MakePlan) -> None:
    made = plan(COPY)
    image = opened(made)
    for card in draw_plan(made).cards:
        name = card.texts[0]
        written = 255 - np.asarray(cut(image, name.box).convert("L"), float)
        thin = np.asarray(ImageFont.load_default(SIZES["name"] * SCALE).getmask(name.text), float)
        # On a card that is nearly white, in letters that are nearly black.
        assert written.sum() > 1.25 * thin.sum()


def test_letters_that_the_font_lacks(plan: MakePlan, clip: Callable[..., object]) -> None:
    clip("a-film-of-our-holidays-with-a-rather-long-name.mp4", audio="aac")
    accented, plain, other = (plan_png(plan(LONG.replace("é", letter))) for letter in ("é", "e", "ß"))
    assert accented == plain
    assert other == plan_png(plan(LONG.replace("é", "?")))


def test_an_arrow_is_drawn_between_words(plan: MakePlan) -> None:
    made = plan(UPSCALE)
    convert = next(card for card in draw_plan(made).cards if card.name == "source-rgb24")
    fact = next(text for text in convert.texts if "→" in text.text)
    ink = [column < 140 for column in _columns(cut(opened(made), fact.box))]
    # The shaft joins what would be a gap of two spaces and a question mark.
    assert _longest_run(ink) > 14


def _columns(image: Image.Image) -> list[int]:
    """The darkest level of each column."""
    levels = np.asarray(image.convert("L"))
    return [int(level) for level in levels.min(axis=0)]


def _longest_run(values: list[bool]) -> int:
    longest = run = 0
    for value in values:
        run = run + 1 if value else 0
        longest = max(longest, run)
    return longest
