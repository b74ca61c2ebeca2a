"""Converters where pixel formats differ."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bmfgraph.compile.insert_converters import insert_converters
from bmfgraph.nodes.convert import ConvertParams
from bmfgraph.plan.plan import Ref
from bmfgraph.plan.types import ColorSpec, FrameSpec, TensorSpec
from tests.compile.pipelines import COPY, UPSCALE, MakePlan, names


def test_frames_that_fit_need_no_converter(plan: MakePlan) -> None:
    assert names(plan(COPY)) == ["source", "sink"]


def test_a_converter_goes_where_formats_differ(plan: MakePlan) -> None:
    made = plan(UPSCALE, insert_converters)
    assert names(made)[:3] == ["source", "source-rgb24", "prepare"]
    to_rgb, to_yuv = made.node("source-rgb24").params, made.node("restore-yuv420p").params
    assert isinstance(to_rgb, ConvertParams)
    assert isinstance(to_yuv, ConvertParams)
    assert to_rgb.source == ColorSpec("bt601", False, tagged=False)
    assert (to_rgb.pixel_format, to_yuv.pixel_format) == ("rgb24", "yuv420p")
    assert to_yuv.color == ColorSpec("bt601", False, tagged=False)
    assert made.node("prepare").inputs == (Ref("source-rgb24", "out"),)
    assert made.node("sink").inputs == (Ref("restore-yuv420p", "out"), Ref("source", "audio"))


def test_consumers_of_the_same_format_share_a_converter(plan: MakePlan) -> None:
    text = """
source: {kind: decoder, path: "@clip.mp4"}
one: {kind: preprocess, inputs: source}
two: {kind: preprocess, inputs: source, mode: area}
back: {kind: frames, inputs: one}
back2: {kind: frames, inputs: two}
sink: {kind: encoder, inputs: back, path: "@a.mp4"}
sink2: {kind: encoder, inputs: back2, path: "@b.mp4", pixel_format: yuv444p}
sink3: {kind: encoder, inputs: back2, path: "@c.mp4"}
"""
    made = plan(text)
    converters = [node.name for node in made if node.kind == "convert"]
    assert sorted(converters) == ["back-yuv420p", "back2-yuv420p", "back2-yuv444p", "source-rgb24"]
    assert len(made.consumers("source-rgb24")) == 2


def test_a_converters_name_gives_way_to_a_node_of_the_user(plan: MakePlan) -> None:
    text = UPSCALE.replace("prepare", "source-rgb24")
    made = plan(text)
    assert "source-rgb24-" in names(made)
    assert made.node("source-rgb24").kind == "preprocess"


def test_colours_that_cannot_be_written_are_converted(plan: MakePlan, clip: Callable[..., Path]) -> None:
    text = """
source: {kind: decoder, path: "@bt2020.mp4"}
sink: {kind: encoder, inputs: source, path: "@a.avi", codec: mpeg4}
sink2: {kind: encoder, inputs: source, path: "@b.mp4"}
"""
    clip("bt2020.mp4", color=(9, 1))
    made = plan(text)
    frames = made.type_of(made.node("sink").inputs[0])
    assert isinstance(frames, FrameSpec)
    assert frames.color.matrix == "bt601"
    assert made.node("sink2").inputs == (Ref("source", "video"),)


SHRINK = UPSCALE.replace("inputs: source}", "inputs: source, size: [24, 32]%s}")


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_frames_shrink_while_their_colours_are_converted(plan: MakePlan, mode: str) -> None:
    made = plan(SHRINK % f", mode: {mode}", insert_converters)
    assert names(made)[:3] == ["source", "source-32x24", "prepare"]
    frames = made.node("source-32x24").outputs[0].type
    assert isinstance(frames, FrameSpec)
    assert (frames.width, frames.height, frames.pixel_format) == (32, 24, "rgb24")
    assert made.node("prepare").params.resize is None
    tensor = made.node("prepare").outputs[0].type
    assert isinstance(tensor, TensorSpec)
    assert tensor.placement is not None
    assert (tensor.placement.source_width, tensor.placement.scale_x) == (64, 0.5)


@pytest.mark.parametrize(
    "options",
    [
        ", exact: true",
        ", mode: area",
        ", mode: nearest",
        ", antialias: false",
        ", region: [0, 0, 60, 45]",
    ],
)
def test_what_a_converter_cannot_shrink_shrinks_in_the_node(plan: MakePlan, options: str) -> None:
    made = plan(SHRINK % options, insert_converters)
    assert names(made)[:3] == ["source", "source-rgb24", "prepare"]
    assert made.node("prepare").params.resize == (32, 24)


def test_frames_that_grow_are_converted_first(plan: MakePlan) -> None:
    made = plan((SHRINK % ", fit: stretch").replace("[24, 32]", "[24, 96]"), insert_converters)
    assert "source-rgb24" in names(made)
