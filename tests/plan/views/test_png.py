"""Check the PNG of a plan with Pillow."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import resvg_py
from PIL import Image, ImageColor, ImageFont

from bmfgraph.plan.plan import Plan
from bmfgraph.plan.views.drawing import INK, PALETTES, SIZES, Rect
from bmfgraph.plan.views.png import SCALE, font_files, plan_png
from bmfgraph.plan.views.scene import draw_plan
from bmfgraph.plan.views.svg import write_svg
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
        levels = np.asarray(cut(image, Rect(x + 2, y - 1, right - x - 14, 2)).convert("L")).min(axis=0)
        share = (levels < 200).mean()
        assert 0.2 < share < 0.7 if line.dashed else share == 1


def test_names_are_bold(plan: MakePlan) -> None:
    made = plan(COPY)
    image = opened(made)
    regular, _ = font_files()
    for card in draw_plan(made).cards:
        name = card.texts[0]
        written = 255 - np.asarray(cut(image, name.box).convert("L"), float)
        thin = np.asarray(ImageFont.truetype(regular, SIZES["name"] * SCALE).getmask(name.text), float)
        # On a card that is nearly white, in letters that are nearly black.
        assert written.sum() > 1.15 * thin.sum()


def test_letters_beyond_ascii(plan: MakePlan, clip: Callable[..., object]) -> None:
    clip("a-film-of-our-holidays-with-a-rather-long-name.mp4", audio="aac")
    assert plan_png(plan(LONG)) != plan_png(plan(LONG.replace("é", "e")))
    for file in font_files():
        font = ImageFont.truetype(file, 20)
        missing = bytes(font.getmask("\uffff"))
        assert all(bytes(font.getmask(letter)) != missing for letter in "→…·éßжΩ")


def test_it_needs_no_fonts_of_the_system(plan: MakePlan) -> None:
    svg = write_svg(draw_plan(plan(UPSCALE)), fonts="'Source Sans Pro'")
    alone = resvg_py.svg_to_bytes(svg_string=svg, zoom=SCALE, font_files=font_files(), skip_system_fonts=True)
    assert alone == plan_png(plan(UPSCALE))
