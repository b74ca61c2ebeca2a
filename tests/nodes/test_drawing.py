"""Test what overlay, redact and resize make of their inputs and options."""

from __future__ import annotations

from typing import Any

import pytest

from bmfgraph import error_codes as codes
from bmfgraph.errors import PlanError
from bmfgraph.nodes.redact import RedactParams
from bmfgraph.plan.plan import Inferred, PlanNode
from bmfgraph.plan.types import ClassesSpec, DetectionsSpec, EmbeddingsSpec, FrameSpec, PortType, SegmentsSpec
from tests.tools import frames, node


def resolve(made: PlanNode, *inputs: PortType) -> Inferred:
    return made.spec.infer(made, inputs, None)


def test_overlay_takes_results_in_any_order() -> None:
    source = frames(64, 48, "rgb24")
    poses = DetectionsSpec(source, ("person",), keypoints=("a", "b"), skeleton=((0, 1),))
    segments = SegmentsSpec(source, ("none", "sky"), 32, 24, background=0)
    made = node("overlay", "a", "b", "c", "d", color=(1, 2, 3))
    params = resolve(made, source, ClassesSpec(source), segments, poses).params
    assert (params.skeletons, params.backgrounds) == (((), (), ((0, 1),)), (-1, 0, -1))
    assert params.color == (1, 2, 3)


def test_overlay_does_not_draw_embeddings() -> None:
    source = frames(64, 48, "rgb24")
    with pytest.raises(PlanError) as caught:
        resolve(node("overlay", "a", "b"), source, EmbeddingsSpec(source, 128))
    assert "(overlay) input 1 expects detections, label maps, classes or texts, but gets embeddings of 64x48" in str(
        caught.value
    )


# ------------------------------------------------------------------------------------------------------- redact


def test_redact_knows_the_labels_of_all_detectors() -> None:
    source = frames(64, 48, "rgb24")
    found = (DetectionsSpec(source, ("face",)), DetectionsSpec(source, ("plate", "logo"), masks=True))
    made = node("redact", "a", "b", "c", labels=["plate", "face"])
    result = resolve(made, source, *found)
    assert result.params == RedactParams("blur", "box", 0.15, 6, (0, 0, 0), ("plate", "face"), 0.0, 5)
    assert result.outputs[0].type == source
    with pytest.raises(PlanError, match="labels: 'plat' is not detected \\(did you mean 'plate'") as caught:
        resolve(node("redact", "a", "b", "c", labels=["plat"]), source, *found)
    assert caught.value.problems[0].code == codes.UNDETECTED_LABEL
    with pytest.raises(PlanError) as caught:
        resolve(node("redact", "a", "b", "c", shape="mask"), source, *found)
    assert caught.value.problems[0].code == codes.MISSING_MASKS
    resolve(node("redact", "a", "c", shape="mask"), source, found[1])


# ------------------------------------------------------------------------------------------------------- resize


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"size": (24, 30)}, (30, 24)),
        ({"size": (24, 0)}, (32, 24)),
        ({"size": (25, None)}, (34, 25)),
        ({"size": (0, 33)}, (33, 24)),
        ({"scale": 0.5}, (32, 24)),
        ({"scale": 0.3}, (20, 14)),
        ({"scale": 0.3, "multiple": 1}, (19, 14)),
        ({"scale": 1.4, "multiple": 16}, (96, 64)),
        ({"scale": 0.001}, (2, 2)),
    ],
)
def test_resize(options: Any, expected: tuple[int, int]) -> None:
    made = node("resize", "a", **options)
    made.spec.check_options("n")
    result = resolve(made, frames(64, 48, "rgb24"))
    out = result.outputs[0].type
    assert isinstance(out, FrameSpec)
    assert (out.width, out.height, out.pixel_format) == (*expected, "rgb24")
    assert (result.params.width, result.params.height) == expected
    assert not made.spec.identity(result.params)


def test_resize_to_the_same_size_is_left_out() -> None:
    made = node("resize", "a", size=(48, 0))
    assert made.spec.identity(resolve(made, frames(64, 48, "yuv420p")).params)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "size null and scale null"),
        ({"size": (0, 0)}, "size [0, 0] and scale null"),
        ({"size": (None, 0), "scale": 2}, "size [0, 0] and scale 2"),
        ({"size": (24, 32), "scale": 0.5}, "size [24, 32] and scale 0.5"),
    ],
)
def test_resize_needs_one_size(options: Any, text: str) -> None:
    with pytest.raises(PlanError) as caught:
        node("resize", "a", **options).spec.check_options("n")
    assert f"n: {text} do not give one size" in str(caught.value)
    assert caught.value.problems[0].code == codes.AMBIGUOUS_FRAME_SIZE
