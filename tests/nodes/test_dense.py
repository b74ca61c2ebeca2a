"""The plans of label maps and maps: their types, and wrong declarations."""

from __future__ import annotations

from typing import Any

import pytest

from bmfgraph.errors import BmfgraphError, PlanError
from bmfgraph.nodes.decode import SegmentDecode
from bmfgraph.plan.plan import Inferred
from bmfgraph.plan.types import BundleSpec, FrameSpec, Placement, SegmentsSpec
from tests.tools import frames, model_output, node

# Frames of 64x30 fill an input of 64x32 but for one row above and below.
PLACE = Placement(64, 30, 64, 32, 1.0, 1.0, 0.0, 1.0)
VOC = [f"class{number}" for number in range(21)]


def inferred(kind: str, outputs: BundleSpec, *others: Any, **options: Any) -> Inferred:
    made = node(kind, "net", *(["source.video"] if others else []), **options)
    made.spec.check_options("n")
    return made.spec.infer(made, (outputs, *others), None)


def segments(shape: Any, decode: dict[str, Any], **other: Any) -> Inferred:
    options = {key: other.pop(key) for key in ("size", "threshold") if key in other}
    return inferred("segment", model_output(shape, PLACE, {"task": "segment"} | decode, **other), **options)


@pytest.mark.parametrize(
    ("shape", "options", "size"),
    [
        ((1, 21, 32, 64), {}, (64, 30)),
        ((1, 21, 8, 16), {}, (16, 8)),
        ((1, 21, 8, 16), {"size": "source"}, (64, 30)),
        ((1, 21, 64, 128), {}, (128, 60)),
    ],
    ids=str,
)
def test_a_label_map_has_the_size_of_the_frame_in_the_models_output(
    shape: Any, options: dict[str, Any], size: tuple[int, int]
) -> None:
    kind = segments(shape, {"labels": VOC, "background": "class0"}, **options).outputs[0].type
    assert isinstance(kind, SegmentsSpec)
    assert (kind.labels, kind.width, kind.height, kind.background) == (tuple(VOC), *size, 0)
    assert (kind.source.width, kind.source.height, kind.device) == (64, 30, "cpu")
    assert str(kind) == "label maps of 64x30"


def test_a_label_map_without_a_background_draws_all_classes() -> None:
    kind = segments((1, 21, 32, 64), {"labels": VOC}).outputs[0].type
    assert isinstance(kind, SegmentsSpec)
    assert kind.background == -1


def test_a_single_score_has_a_threshold_even_where_none_is_set() -> None:
    assert segments((1, 1, 32, 64), {"labels": ["text"]}).params.thresholds == (0.5,)
    assert segments((1, 1, 32, 64), {"labels": ["text"]}, threshold=0.0).params.thresholds == (0.0,)
    assert segments((1, 1, 32, 64), {"preset": "ppocr_det"}).params.thresholds == (0.3,)
    assert segments((1, 21, 32, 64), {"labels": VOC}).params.thresholds == (0.0,) * 21


NHWC = "out (float32[1x32x64x21]) as [batch, classes, height, width] would be 32 classes in a map of 21x64"
MISTAKES: list[tuple[str, Any, dict[str, Any], dict[str, Any], str]] = [
    # Code, shape, decode, what else, and the message with its hint.
    (
        "E326", (1, 32, 64, 21), {"labels": VOC}, {},
        f"{NHWC} for an input of 64x32 → write dims: [batch, height, width, classes]",
    ),
    (
        "E326", (1, 64, 32, 21), {"labels": VOC}, {"dims": ["batch", "height", "width", "classes"]},
        "would be 21 classes in a map of 32x64 for an input of 64x32 → write dims: [batch, width, height, classes]",
    ),
    (
        "E326", (1, 64, 32), {"labels": VOC}, {"dtype": "int64"},
        "would be a map of 32x64 for an input of 64x32 → write dims: [batch, width, height]",
    ),
    (
        "E326", (1, 32, 64, 1), {"labels": ["text"]}, {},
        "would be 32 classes in a map of 1x64 for an input of 64x32 → write dims: [batch, height, width, classes]",
    ),
    (
        "E326", (1, 21), {"labels": VOC}, {},
        "out (float32[1x21]) has 2 dims, and dims [batch, height, width] name 3 "
        "→ name each dim of the tensor, such as [batch, height, width]",
    ),
    (
        "E326", (1, 1, 32, 64), {"labels": ["text"]}, {"activation": "softmax"},
        "has one number for each pixel, whose softmax is always 1 → set activation to sigmoid",
    ),
    (
        "E323", (1, 22, 32, 64), {"labels": VOC}, {},
        "decode.labels has 21 label(s), but out scores 22 → add the background to model.decode.labels in its place",
    ),
    (
        "E323", (1, 20, 32, 64), {"labels": VOC, "background": "class0"}, {},
        "decode.labels has 21 label(s), but out scores 20 → take 'class0' out of model.decode.labels",
    ),
    (
        "E323", (1, 19, 32, 64), {"labels": VOC}, {},
        "decode.labels has 21 label(s), but out scores 19 → correct model.decode.labels or the dims of the output",
    ),
    (
        "E323", (1, 1, 32, 64), {"labels": ["other", "text"]}, {},
        "decode.labels has 2 label(s), but out scores 1 → keep only the label that the score stands for",
    ),
    ("E323", (1, 21, 32, 64), {}, {}, "the names of the 21 class(es) are unknown"),
    (
        "E337", (1, 300, 32, 64), {"labels": [str(number) for number in range(300)]}, {},
        "300 classes do not fit a label map, whose numbers are 0..254",
    ),
    (
        "E338", (1, 32, 64), {"labels": VOC, "threshold": 0.5}, {"dtype": "uint8"},
        "threshold 0.5: out holds class numbers, which have no scores → leave threshold out",
    ),
    (
        "E518", (1, 21, None, 64), {"labels": VOC}, {},
        "out (float32[1x21xdim2x64]): its height is still free for the given inputs",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("code", "shape", "decode", "other", "text"), MISTAKES)
def test_a_wrong_declaration_is_told_with_the_right_one(
    code: str, shape: Any, decode: dict[str, Any], other: dict[str, Any], text: str
) -> None:
    with pytest.raises(PlanError) as caught:
        segments(shape, decode, **other)
    assert caught.value.problems[0].code == code
    assert text in f"{caught.value.problems[0].message} → {caught.value.problems[0].hint}"


def test_a_background_is_one_of_the_labels() -> None:
    with pytest.raises(ValueError, match=r"background 'rode' is not one of the labels \(did you mean 'road'\?\)"):
        SegmentDecode(labels=("road", "car"), background="rode")


def test_a_map_needs_a_model_that_makes_one() -> None:
    with pytest.raises(PlanError, match=r"reads the task map, but model\.decode\.task is segment") as caught:
        inferred("map", model_output((1, 1, 32, 64), PLACE, {"preset": "ppocr_det"}))
    assert caught.value.problems[0].code == "E321"


def depth(shape: Any, *others: Any, decode: Any = None, **options: Any) -> Inferred:
    return inferred("map", model_output(shape, PLACE, decode or {"task": "map", "value": "depth"}), *others, **options)


@pytest.mark.parametrize("shape", [(1, 32, 64), (1, 1, 32, 64), (1, 32, 64, 1), (1, 8, 16)], ids=str)
def test_a_map_has_the_size_of_the_source(shape: Any) -> None:
    found = depth(shape)
    kind = found.outputs[0].type
    assert isinstance(kind, FrameSpec)
    assert (kind.width, kind.height, kind.pixel_format) == (64, 30, "rgb24")
    assert (found.params.range, found.params.blend) == (None, None)


@pytest.mark.parametrize(
    ("value", "option", "expected"),
    [
        ("depth", None, None), ("level", None, (0, 255)), ("heat", None, (0, 1)), ("matte", "auto", None),
        ("depth", [2, 8], (2, 8)),
    ],
)  # fmt: skip
def test_the_range_follows_from_the_sort_of_value(value: str, option: Any, expected: Any) -> None:
    assert depth((1, 32, 64), decode={"task": "map", "value": value}, range=option).params.range == expected


MAP_MISTAKES: list[tuple[str, Any, tuple[FrameSpec, ...], dict[str, Any], str]] = [
    ("E326", (1, 64, 32), (), {}, "would be a map of 32x64 for an input of 64x32 → write dims: [batch, width, height]"),
    (
        "E326", (1, 3, 32, 64), (), {},
        "dim 1 (channels) must be 1, because each frame has one result with the dims height, width",
    ),
    ("E338", (1, 32, 64), (), {"blend": 0.3}, "blend 0.3 needs the frames, but the node has one input"),
    (
        "E338", (1, 32, 64), (), {"background": [0, 9, 0]},
        "background [0, 9, 0] needs the frames, but the node has one input → set inputs: [net, source.video]",
    ),
    (
        "E338", (1, 32, 64), (frames(64, 30),), {"background": [0, 9, 0], "blend": 0.3},
        "blend 0.3 and background [0, 9, 0] are both set, and only one is possible",
    ),
    (
        "E338", (1, 32, 64), (), {"range": [0, 9], "smooth": 0.5},
        "smooth 0.5 has no effect on the fixed range [0.0, 9.0] → set range: auto, or leave smooth out",
    ),
    ("E325", (1, 32, 64), (frames(64, 32),), {}, "a result of 64x30 frames does not fit frames of 64x32"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "shape", "others", "options", "text"), MAP_MISTAKES)
def test_a_wrong_map_is_refused(code: str, shape: Any, others: Any, options: dict[str, Any], text: str) -> None:
    with pytest.raises(BmfgraphError) as caught:
        depth(shape, *others, **options)
    assert caught.value.problems[0].code == code
    assert text in f"{caught.value.problems[0].message} → {caught.value.problems[0].hint}"


def test_a_range_rises() -> None:
    with pytest.raises(ValueError, match="the second value must be above the first"):
        node("map", "net", range=[9, 0])
