"""Wrong descriptions of a detector's outputs, and what is said about each before a frame is decoded."""

# ruff: noqa: E501
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from bmfgraph.errors import PlanError
from bmfgraph.nodes.decode import DetectDecode
from bmfgraph.nodes.detections import DetectionsNodeSpec, DetectionsParams
from bmfgraph.nodes.model import OutputMeaning
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import DetectionsSpec, Placement
from tests.stages.detectors import described, params

INPUT = Placement(640, 416, 640, 416, 1.0, 1.0, 0.0, 0.0)
COCO = {"labels": "coco80"}
V8 = {"dims": ["batch", "fields", "candidates"], "fields": ["box", "scores"]}
V5 = {"dims": ["batch", "candidates", "fields"], "fields": ["box", "objectness", "scores"]}
GRID = {"strides": [8, 16, 32]}
CELLS = {"unit": "cells", "grid": GRID}
SEG = {"o": V8 | {"fields": ["box", "scores", "mask:32"]}, "p": {"dims": ["batch", "prototypes", "height", "width"]}}
SMALL = {
    "s": {"fields": ["scores"]},
    "b": {"fields": ["box"]},
    "m": {"dims": ["batch", "candidates", "height", "width"]},
}
POSE = V8 | {"fields": ["box", "scores", "keypoints:17x3"]}
PERSON = {"labels": ["person"]}
OBB = {"o": V8 | {"fields": ["box", "scores", "angle"]}}
CANDIDATES = 80 * 52 + 40 * 26 + 20 * 13


def infer(
    shapes: Mapping[str, tuple[int | None, ...]], outputs: dict[str, Any], decode: dict[str, Any]
) -> DetectionsParams:
    """Compile a ``detections`` node for outputs of these shapes, with the batch dim."""
    return params(described(shapes, outputs, decode, INPUT))


GOOD: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"o": (1, 84, 8400)}, {"o": V8}, COCO),
    ({"o": (1, 8400, 85)}, {"o": V5}, COCO),
    ({"o": (1, CANDIDATES, 85)}, {"o": V5}, COCO | CELLS),
    ({"o": (1, 116, 8400)}, {"o": V8 | {"fields": ["box", "scores", "mask:32"]}}, COCO),
    ({"o": (1, 56, 8400)}, {"o": V8 | {"fields": ["box", "scores", "keypoints:17x3"]}}, {"labels": ["person"]}),
    ({"o": (1, 116, 8400), "p": (1, 32, 104, 160)}, SEG, COCO),
    ({"o": (1, 116, 8400), "p": (1, 32, 104, 160)}, SEG, COCO | {"masks": {}}),
    ({"o": (1, 116, 8400), "p": (1, 32, None, None)}, SEG, COCO | {"masks": {"prototypes": "p"}}),
    ({"s": (1, 50, 80), "b": (1, 50, 4), "m": (1, 50, 1, 28, 28)}, SMALL | {"m": {"dims": ["batch", "candidates", "channels", "height", "width"]}}, COCO | {"masks": {"boxes": "m", "size": 28}}),
    ({"o": (1, 56, 8400)}, {"o": POSE}, PERSON | {"keypoints": {"names": "coco17"}}),
    ({"o": (1, 85, 8400)}, OBB, COCO),
    ({"o": (1, CANDIDATES * 2, 4), "s": (1, CANDIDATES * 2)}, {"o": {"fields": ["box"]}, "s": {"fields": ["scores"]}}, PERSON | CELLS | {"grid": GRID | {"anchors": 2}, "box": "ltrb"}),
    ({"s": (1, 100, 92), "b": (1, 100, 4)}, {"s": {}, "b": {"fields": ["box"]}}, COCO | {"labels": [str(n) for n in range(91)], "background": "last"}),
    ({"s": (1, 80, 52, 80), "b": (1, 4, 52, 80)}, {"s": {"fields": ["scores"]}, "b": {"fields": ["box"]}}, COCO | {"unit": "cells", "grid": {"strides": [8]}}),
]  # fmt: skip


@pytest.mark.parametrize(("shapes", "outputs", "decode"), GOOD)
def test_good_descriptions_fit(shapes: dict[str, Any], outputs: dict[str, Any], decode: dict[str, Any]) -> None:
    described = {name: layout or {"fields": ["scores"]} for name, layout in outputs.items()}
    assert infer(shapes, described, decode).tensors


def test_the_levels_of_a_grid_may_have_outputs_of_their_own() -> None:
    outputs = {
        f"{kind}_{stride}": {"dims": ["batch", "candidates", "fields"], "fields": [field], "stride": stride}
        for stride in (32, 8, 16)
        for kind, field in (("cls", "scores"), ("reg", "distances:8"))
    }
    sizes = {8: 80 * 52, 16: 40 * 26, 32: 20 * 13}
    widths = {"cls": 80, "reg": 32}
    shapes = {name: (1, sizes[int(name[4:])], widths[name[:3]]) for name in outputs}
    params = infer(shapes, outputs, COCO | CELLS | {"box": "ltrb"})
    assert [table.stride for table in params.tensors] == [8, 8, 16, 16, 32, 32]


# (shapes of the outputs, their description, decode, a part of the message, a part of the hint)
WRONG: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], str, str]] = [
    # transposed
    ({"o": (1, 84, 8400)}, {"o": V8 | {"dims": ["batch", "candidates", "fields"]}}, COCO, "decode.labels has 80 label(s), but o scores 8396", "are swapped: write model.outputs.o.dims the other way"),
    ({"o": (1, 8400, 85)}, {"o": V5 | {"dims": ["batch", "fields", "candidates"]}}, COCO, "decode.labels has 80 label(s), but o scores 8395", "are swapped: write model.outputs.o.dims the other way"),
    ({"o": (1, 6, 300)}, {"o": {"dims": ["batch", "candidates", "fields"], "fields": ["box", "score", "label"]}}, COCO, "dim 2 holds 300 numbers, and the fields are 4 + 1 + 1", "write dims: [batch, fields, candidates]"),
    ({"o": (1, 300, 6)}, {"o": {"dims": ["batch", "fields", "candidates"], "fields": ["box", "score", "label"]}}, COCO, "dim 1 holds 300 numbers, and the fields are 4 + 1 + 1", "write dims: [batch, candidates, fields]"),
    ({"b": (1, 4, 100), "s": (1, 100, 80)}, {"b": {"fields": ["box"]}, "s": {"fields": ["scores"]}}, COCO, "dim 2 holds 100 numbers, and the fields are 4", "write dims: [batch, fields, candidates]"),
    ({"b": (1, 52, 80, 4), "s": (1, 80, 52, 80)}, {"b": {"fields": ["box"]}, "s": {"fields": ["scores"]}}, COCO, "dim 1 holds 52 numbers, and the fields are 4", "write dims: [batch, width, height, fields]"),
    # widths
    ({"o": (1, 300, 6)}, {"o": {"fields": ["box", "score"]}}, COCO, "dim 2 holds 6 numbers, and the fields are 4 + 1", "widths add up"),
    ({"o": (1, 300, 6)}, {"o": {"fields": ["box", "score", "label", "skip:2"]}}, COCO, "the fields are 4 + 1 + 1 + 2", "widths add up"),
    ({"o": (1, 84, 8400)}, {"o": V8 | {"fields": ["box", "scores", "mask:96"]}}, COCO, "dim 1 holds 84 numbers, and the fields are 4 + scores + 96", "widths add up"),
    ({"o": (1, 8400)}, {"o": {"fields": ["box", "scores"]}}, COCO, "has one number for each candidate, not [box, scores]", "name the dim of the fields"),
    ({"o": (1, None, 8400)}, {"o": V8}, COCO, "its dim 1 is free", "export it with that dim fixed"),
    # dims
    ({"o": (1, 84, 8400)}, {"o": V8 | {"dims": ["batch", "fields"]}}, COCO, "has 3 dims, and dims [batch, fields] names 2", "name each dim"),
    ({"o": (1, 3, 4, 5, 85)}, {"o": {"fields": ["box", "objectness", "scores"]}}, COCO, "o has 5 dims", "describe each of them"),
    # labels and background
    ({"o": (1, 84, 8400)}, {"o": V8}, {"labels": ["a"] * 79}, "decode.labels has 79 label(s), but o scores 80", "model.decode.labels"),
    ({"o": (1, 84, 8400)}, {"o": V8}, COCO | {"background": "first"}, "has 80 label(s), but o scores 79 and a background (first)", "model.decode.background"),
    ({"o": (1, 85, 8400)}, {"o": V8}, COCO, "has 80 label(s), but o scores 81", "the fields of the output"),
    ({"s": (1, 100, 92), "b": (1, 100, 4)}, {"s": {"fields": ["scores"]}, "b": {"fields": ["box"]}}, {"labels": [str(n) for n in range(91)]}, "has 91 label(s), but s scores 92", "background"),
    # grid
    ({"o": (1, 3549, 85)}, {"o": V5}, COCO | CELLS, f"the model has 3549 candidates, but strides [8, 16, 32] on 640x416 make 4160 + 1040 + 260 = {CANDIDATES}", "or the size of the model's input"),
    ({"o": (1, CANDIDATES, 85)}, {"o": V5}, COCO | {"unit": "cells", "grid": {"strides": [8, 16]}}, "strides [8, 16] on 640x416 make 4160 + 1040 = 5200", "strides"),
    ({"o": (1, CANDIDATES, 85)}, {"o": V5}, COCO | {"unit": "cells", "grid": {"strides": [4, 8, 16]}}, f"the model has {CANDIDATES} candidates", "strides"),
    ({"o": (1, 4160, 85)}, {"o": V5 | {"stride": 16}}, COCO | CELLS, "o has 4160 candidates, but strides [16] on 640x416 make 1040", "strides"),
    ({"s": (1, 100, 80), "b": (1, 99, 4)}, {"s": {"fields": ["scores"]}, "b": {"fields": ["box"]}}, COCO, "different numbers of candidates: scores 100, box 99", "model.outputs"),
    ({"o": (1, CANDIDATES, 85)}, {"o": V5}, COCO | CELLS | {"grid": GRID | {"anchors": 3}}, f"the model has {CANDIDATES} candidates, but strides [8, 16, 32] on 640x416 with 3 candidates a cell make 12480 + 3120 + 780 = {CANDIDATES * 3}", "strides"),
    # masks
    ({"o": (1, 116, 8400), "p": (1, 64, 104, 160)}, SEG, COCO | {"masks": {}}, "p (float32[1x64x104x160]) has 64 prototypes, but the fields of o have mask:32", "write mask:64 in the fields, or correct model.outputs.p.dims"),
    ({"o": (1, 84, 8400), "p": (1, 32, 104, 160)}, SEG | {"o": V8}, COCO | {"masks": {}}, "has 32 prototypes, but the fields have no mask:N", "write mask:32"),
    ({"o": (1, 116, 8400), "p": (1, 104, 160, 32)}, SEG, COCO | {"masks": {}}, "has 104 prototypes, but the fields of o have mask:32", "write model.outputs.p.dims: [batch, height, width, prototypes]"),
    ({"o": (1, 116, 8400), "p": (1, 32, 160, 104)}, SEG, COCO | {"masks": {}}, "p (float32[1x32x160x104]) has prototypes of 104x160, which do not have the proportions of the input of 640x416", "correct the order of height and width in model.outputs.p.dims"),
    ({"o": (1, 116, 8400), "p": (1, 32, 104)}, SEG, COCO | {"masks": {}}, "p (float32[1x32x104]) has 3 dims, and dims [batch, prototypes, height, width] name 4", "such as [batch, prototypes, height, width]"),
    ({"o": (1, 116, 8400), "p": (1, 32, 104, 160)}, SEG, COCO | {"masks": {"prototypes": "q"}}, "decode.masks.prototypes: 'q' is not a described output; described: o, p; the model has: o, p", "describe model.outputs.q with dims: [batch, prototypes, height, width]"),
    ({"o": (1, 116, 8400), "p": (1, 32, 104, 160)}, {"o": SEG["o"]}, COCO | {"masks": {}}, "decode.masks.prototypes: no output has the dim prototypes; described: o", "describe model.outputs.NAME"),
    ({"s": (1, 50, 80), "b": (1, 50, 4), "m": (1, 50, 14, 14)}, SMALL, COCO | {"masks": {"boxes": "m", "size": 28}}, "has masks of 14x14, and decode.masks.size is 28", "correct decode.masks.size"),
    ({"s": (1, 50, 80), "b": (1, 50, 4), "m": (1, 50, None, 28)}, SMALL, COCO | {"masks": {"boxes": "m"}}, "has masks of freex28", "export the model with fixed dims"),
    ({"s": (1, 50, 80), "b": (1, 50, 4), "m": (1, 49, 28, 28)}, SMALL, COCO | {"masks": {"boxes": "m"}}, "has 49 masks, but the others have other numbers of candidates: s has 50, b has 50", "model.outputs.m.dims"),
    # keypoints
    ({"o": (1, 56, 8400)}, {"o": POSE}, PERSON | {"keypoints": {"names": "face5"}}, "decode.keypoints.names has 5 name(s), but o has the field keypoints:17x3", "name 17 points, or write keypoints:5x3"),
    ({"o": (1, 56, 8400)}, {"o": V8 | {"fields": ["box", "score", "skip:51"]}}, PERSON | {"keypoints": {"names": "coco17"}}, "no output of the model has the field 'keypoints'; described: o ['box', 'score', 'skip']", "write keypoints:17x2, or x3 with a score"),
    ({"o": (1, 40, 8400)}, {"o": POSE}, PERSON | {"keypoints": {"names": "coco17"}}, "dim 1 holds 40 numbers, and the fields are 4 + scores + 51", "widths add up"),
    ({"o": (1, 56, 8400)}, {"o": POSE | {"fields": ["box", "scores", "keypoints:17x2"]}}, PERSON | {"keypoints": {"names": "coco17"}}, "has 1 label(s), but o scores 18", "the fields of the output"),
    # angles
    ({"o": (1, 85, 8400)}, OBB, COCO | {"box": "xyxy"}, "the field angle turns a box about its centre, but decode.box is xyxy and decode.unit pixels", "set box: cxcywh"),
    ({"o": (1, 85, 8400)}, OBB, COCO | {"unit": "picture"}, "decode.box is cxcywh and decode.unit picture", "unit: pixels or cells"),
    ({"o": (1, CANDIDATES, 86)}, {"o": {"fields": ["box", "scores", "angle", "skip:1"]}}, COCO | CELLS | {"box": "ltrb"}, "decode.box is ltrb", "set box: cxcywh"),
    # missing fields
    ({"o": (1, 300, 4)}, {"o": {"fields": ["box"]}}, COCO, "no output of the model has the field 'scores'; described: o ['box']", "model.outputs"),
    ({"o": (1, 300, 80)}, {"o": {"fields": ["scores"]}}, COCO, "no output of the model has the field 'box'", "model.outputs"),
    ({"o": (1, 300, 83)}, {"o": {"fields": ["scores", "cx", "cy", "w"]}}, COCO, "no output of the model has the field 'box'", "model.outputs"),
    ({"o": (1, 84, 8400)}, {}, COCO, "no output of the model has the field 'scores'; described: none; the model has: o", "model.outputs"),
]  # fmt: skip


@pytest.mark.parametrize(("shapes", "outputs", "decode", "message", "hint"), WRONG)
def test_what_can_be_proved_is_an_error_with_the_right_value(
    shapes: dict[str, Any], outputs: dict[str, Any], decode: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(PlanError, match=re.escape(message)) as raised:
        infer(shapes, outputs, decode)
    assert hint in raised.value.problems[0].hint
    assert raised.value.problems[0].code in ("E323", "E326", "E327", "E328", "E329", "E331", "E332")


@pytest.mark.parametrize(
    ("decode", "message"),
    [
        ({"labels": "coco80", "unit": "cells"}, "unit cells and box cxcywh need the grid's strides"),
        ({"labels": "coco80", "box": "ltrb"}, "unit pixels and box ltrb need the grid's strides"),
        ({"labels": "coco80", "classes": ["persn"]}, "'persn' is not one of the labels (did you mean 'person'?)"),
        ({"labels": "coco80", "threshold": {"persn": 0.5}}, "'persn' is not one of the labels"),
        ({"labels": "coco81"}, "'coco81' is not a set of labels (did you mean 'coco80'?)"),
        ({"preset": "yolov9x", "labels": "coco80"}, "'yolov9x' is not a preset"),
        ({"labels": "coco80", "threshold": 1.5}, "less than or equal to 1"),
        ({"masks": {"prototypes": "p", "boxes": "m"}}, "prototypes and boxes are two forms of masks"),
        ({"masks": {"size": 28}}, "size 28 belongs to the masks of boxes"),
        ({"masks": {"threshold": 1}}, "less than 1"),
        (
            {"keypoints": {"names": "coco18"}},
            "'coco18' is not a set of keypoints (did you mean 'coco17'?); sets: coco17, face5",
        ),
        ({"keypoints": {"names": ["a", "b", "a"]}}, "names: 'a' occurs twice"),
        (
            {"keypoints": {"names": ["a", "b"], "skeleton": [[0, 1], [1, 2]]}},
            "skeleton: [1, 2] joins point 2, but the 2 points are numbered 0..1",
        ),
        (
            {"keypoints": {"names": "face5", "skeleton": "coco17"}},
            "skeleton: [15, 13] joins point 15, but the 5 points are numbered 0..4",
        ),
        ({"keypoints": {"names": "coco17", "unit": "cells"}}, "keypoints.unit cells needs the grid's strides"),
    ],
)
def test_what_contradicts_itself_is_an_error(decode: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        DetectDecode.model_validate(decode)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"fields": ["box", "keypoints:17"]}, "'keypoints:17' is not a field; fields: "),
        ({"fields": ["box", "keypoints:17x4"]}, "keypoints:NxM"),
        ({"fields": ["box", "mask:32x2"]}, "'mask:32x2' is not a field"),
        ({"fields": ["box", "angel"]}, "'angel' is not a field (did you mean 'angle'?)"),
        (
            {"fields": ["box", "scores"], "activation": {"score": "sigmoid"}},
            "activation names 'score', which is not one of the fields (did you mean 'scores'?)",
        ),
    ],
)
def test_fields_that_there_are_not(layout: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        OutputMeaning.model_validate(layout)


def test_the_type_of_the_edge_says_what_objects_have() -> None:
    layouts = {"o": V8 | {"fields": ["box", "scores", "angle", "mask:32", "keypoints:5x2"]}, "p": SEG["p"]}
    decode = COCO | {"masks": {}, "keypoints": {"names": "face5", "skeleton": [[0, 1]]}}
    bundle = described({"o": (1, 127, 8400), "p": (1, 32, 104, 160)}, layouts, decode, INPUT)
    spec = DetectionsNodeSpec(inputs=("net",))
    (port,) = spec.infer(PlanNode("faces", spec, ()), (bundle,), None).outputs
    assert isinstance(port.type, DetectionsSpec)
    assert (port.type.masks, port.type.rotated, port.type.skeleton) == (True, True, ((0, 1),))
    assert port.type.keypoints == ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
    assert str(port.type) == "detections of 80 labels with masks, angles, 5 keypoints in 640x416"


def test_what_is_not_wanted_is_not_read() -> None:
    shapes, layouts = {"o": (1, 116, 8400), "p": (1, 32, 104, 160)}, SEG
    assert infer(shapes, layouts, COCO | {"preset": "yolov8_seg", "masks": None}).masks is None
