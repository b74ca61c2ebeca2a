"""Check the picture of a plan: its contents, and that its texts cover nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
from PIL import ImageFont

from bmfgraph.plan.plan import Plan
from bmfgraph.plan.views.drawing import BOLD, SIZES, Picture, Rect, Text, arrow, rounded, straight, text_width
from bmfgraph.plan.views.png import font_files
from bmfgraph.plan.views.scene import draw_plan
from tests.compile.machines import HOPPER_TRT
from tests.compile.pipelines import COPY, DETECT, MIX, UPSCALE, MakePlan
from tests.plan.test_golden import PLANS
from tests.plan.views.pipelines import ON_GPU, SOURCES, STEPS, TWO_SINKS

SHORT = {
    "copy": COPY,
    "upscale": UPSCALE,
    "detect": DETECT,
    "mix": MIX,
    "steps": STEPS,
    "sources": SOURCES,
    "two sinks": TWO_SINKS,
}


def inside(one: Rect, other: Rect) -> bool:
    return other.x <= one.x and one.right <= other.right and other.y <= one.y and one.bottom <= other.bottom


def labels(picture: Picture) -> list[Text]:
    return [label for line in picture.lines for label in line.labels]


def check(plan: Plan) -> Picture:
    picture = draw_plan(plan)
    page = Rect(0, 0, picture.width, picture.height)
    assert {card.name: card.device for card in picture.cards} == {node.name: node.device for node in plan}
    assert len(picture.lines) == sum(len(node.inputs) for node in plan)
    for one, other in itertools.combinations(picture.cards, 2):
        assert not one.box.overlaps(other.box)
    words = [*labels(picture), *(group.caption for group in picture.groups), *picture.notes]
    for label, other_label in itertools.combinations(words, 2):
        assert not label.box.overlaps(other_label.box), (label, other_label)
    for label in words:
        assert inside(label.box, page)
        assert not any(label.box.overlaps(card.box) for card in picture.cards), label
    for card in picture.cards:
        assert inside(card.box, page)
        assert all(inside(text.box, card.box) for text in card.texts), card
        homes = [group for group in picture.groups if group.box.overlaps(card.box)]
        assert all(inside(card.box, group.box) for group in homes)
        shared = [node for node in plan if node.bmf_node == plan.node(card.name).bmf_node]
        assert len(homes) == (len(shared) > 1)
    for line in picture.lines:
        for one_point, next_point in itertools.pairwise(line.points):
            x, y = min(one_point[0], next_point[0]), min(one_point[1], next_point[1])
            piece = Rect(x, y, abs(one_point[0] - next_point[0]), abs(one_point[1] - next_point[1]))
            assert inside(piece, page)
            assert not any(piece.overlaps(card.box) for card in picture.cards)
            assert not any(piece.overlaps(label.box) for label in labels(picture) if label not in line.labels)
    return picture


@pytest.mark.parametrize("name", SHORT)
def test_short_plans(plan: MakePlan, name: str) -> None:
    check(plan(SHORT[name]))
    check(plan(SHORT[name], machine=HOPPER_TRT))


@pytest.mark.parametrize("name", PLANS)
def test_packaged_plans(packaged: Callable[[str], Plan], name: str) -> None:
    picture = check(packaged(name))
    assert 1000 < picture.width < 1640
    assert picture.height < 800


def test_lines_begin_and_end_at_cards(plan: MakePlan) -> None:
    made = plan(DETECT)
    picture = draw_plan(made)
    boxes = {card.name: card.box for card in picture.cards}
    uses = {f"{ref} to {node.name}": (ref.node, node.name) for node in made for ref in node.inputs}
    for line in picture.lines:
        source, target = (boxes[name] for name in uses[line.title.partition(":")[0]])
        begin, end = line.points[0], line.points[-1]
        down = begin[1] == source.bottom
        assert (begin[0] == source.right and source.y < begin[1] < source.bottom) or down
        assert end[1] == target.y if down else (end[0] == target.x and target.y < end[1] < target.bottom)


def test_what_is_said(plan: MakePlan) -> None:
    picture = draw_plan(plan(UPSCALE, machine=HOPPER_TRT))
    cards = {card.name: [text.text for text in card.texts] for card in picture.cards}
    assert cards == {
        "source": ["source", "decoder", "clip.mp4"],
        "source-upload": ["source-upload", "upload", "CPU → GPU", "as rgb24"],
        "prepare": ["prepare", "preprocess", "64x48"],
        "net": ["net", "inference", "m", "TensorRT · fp32"],
        "restore": ["restore", "frames", "128x96"],
        "restore-yuv420p": ["restore-yuv420p", "download", "GPU → CPU", "as yuv420p"],
        "sink": ["sink", "encoder", "out.mp4", "libx264 · mp4"],
    }
    assert [label.text for label in labels(picture)].count("64x48") == 2
    assert [line.dashed for line in picture.lines].count(True) == 1
    assert [note.text for note in picture.notes] == ["x", "7 nodes in 5 BMF nodes", "CPU", "GPU"]
    assert [device for _, device in picture.legend] == ["cpu", "cuda"]


def test_outputs_with_several_consumers_are_labelled_once(plan: MakePlan) -> None:
    picture = draw_plan(plan(DETECT))
    said = [label.text for label in labels(picture)]
    assert said.count("face boxes") == 1
    assert said.count("audio aac") == 1


def test_no_legend_for_one_device(plan: MakePlan) -> None:
    assert draw_plan(plan(COPY)).legend == ()


def test_a_small_plan_has_room_for_its_heading(plan: MakePlan) -> None:
    made = replace(plan(ON_GPU, machine=HOPPER_TRT), name="a" * 120)
    picture = check(made)
    assert picture.notes[0].box.right < picture.width


@pytest.mark.parametrize(
    "text", ["1x3x1440x2560", "vsr_x2_fast_video", "ONNX Runtime · fp32", "restore-yuv420p", "WWW", ""]
)
def test_texts_have_the_room_that_they_need(text: str) -> None:
    regular, bold = font_files()
    for role, size in SIZES.items():
        room = Text(text, 0, 0, role).box.width
        assert ImageFont.truetype(bold if role in BOLD else regular, size).getlength(text) <= room
        # Pillow's font is wider, as those of most browsers are.
        wide = ImageFont.load_default(size).getlength(text)
        assert wide <= room <= 1.5 * wide + 1.5


def test_boxes_of_texts() -> None:
    begin, middle, end = (Text("word", 100, 50, "fact", anchor).box for anchor in ("start", "middle", "end"))
    assert (begin.x, end.right, middle.x + middle.width / 2) == (100, 100, 100)
    assert begin.y < 50 < begin.bottom
    assert text_width("word", 20) == 2 * text_width("word", 10)


def test_polylines() -> None:
    assert straight([(0, 0), (5, 0), (5, 0), (9, 0), (9, 4)]) == ((0, 0), (9, 0), (9, 4))
    assert straight([(0, 0), (0, 0)]) == ((0, 0),)
    assert rounded(((0, 0), (9, 0), (9, 4)), 10) == [((7, 0), (9, 0), (9, 2))]
    tip, left, right, end = arrow(((0, 0), (0, 20)))
    assert (tip, end) == ((0, 20), (0, 12))
    assert {left, right} == {(-4, 12), (4, 12)}
