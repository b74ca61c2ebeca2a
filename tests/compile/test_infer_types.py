"""Types and wants."""

from __future__ import annotations

import pytest

from bmfgraph.compile.infer_types import infer_types
from bmfgraph.errors import PlanError
from bmfgraph.plan.plan import Ref
from bmfgraph.plan.types import FrameSpec, TensorSpec
from tests.compile.pipelines import COPY, UPSCALE, MakePlan


def test_types_go_down_and_wants_go_up(plan: MakePlan) -> None:
    made = plan(UPSCALE, infer_types)
    tensor = made.type_of(Ref("prepare", "out"))
    assert isinstance(tensor, TensorSpec)
    # Name, dtype and meaning are the model's, the size is the clip's.
    assert (tensor.name, tensor.dtype, tensor.shape) == ("input", "uint8", (1, 3, 48, 64))
    frames = made.type_of(Ref("restore", "out"))
    assert isinstance(frames, FrameSpec)
    assert (frames.width, frames.height, frames.pixel_format) == (128, 96, "rgb24")
    assert all(node.params is not None for node in made)


def test_an_optional_input_that_the_file_lacks_is_dropped(plan: MakePlan) -> None:
    assert plan(COPY, infer_types).node("sink").inputs == (Ref("source", "video"), Ref("source", "audio"))
    silent = plan(COPY.replace("clip.mp4", "silent.mp4"), infer_types)
    assert silent.node("sink").inputs == (Ref("source", "video"),)
    assert silent.node("sink").params.audio is None


def test_two_models_that_want_the_same_share_their_input(plan: MakePlan) -> None:
    text = (
        UPSCALE
        + """
net2:
  kind: inference
  inputs: prepare
  model: {name: n, file: "@double.onnx", inputs: {input: {}}, outputs: {output: {}}}
restore2: {kind: frames, inputs: net2}
sink2: {kind: encoder, inputs: [restore2], path: "@two.mp4"}
"""
    )
    made = plan(text)
    assert {consumer.name for consumer, _ in made.consumers("prepare")} == {"net", "net2"}


def test_two_models_that_want_different_things_need_a_preprocess_each(plan: MakePlan) -> None:
    text = (
        UPSCALE
        + """
net2:
  kind: inference
  inputs: prepare
  model: {name: n, file: "@negate.onnx", inputs: {input: {}}, outputs: {output: {}}}
"""
    )
    with pytest.raises(PlanError, match="give each of them a preprocess node of its own"):
        plan(text, infer_types)
