"""Declarations of the tasks with one result a frame: which fit a tensor, and what is said about the others."""

# ruff: noqa: E501
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bmfgraph.engines.onnx.model import read_onnx
from bmfgraph.errors import PlanError
from bmfgraph.nodes.decode import ClassifyDecode, EmbedDecode, ReadDecode, preset_names, read_preset
from bmfgraph.nodes.decode.read import characters_of
from bmfgraph.nodes.facts import complete
from bmfgraph.nodes.model import ModelSpec, OutputMeaning
from bmfgraph.nodes.registry import spec_class
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import BundleSpec, Dim, Placement, PortType, TensorSpec
from tests.tools import frames, shaped_model

Shape = tuple[int | None, ...]
INPUT = Placement(640, 480, 224, 224, 0.35, 224 / 480, 0.0, 0.0, (10, 20, 30, 40))
TASKS: dict[str, Any] = {"classify": ClassifyDecode, "embed": EmbedDecode, "read": ReadDecode}
ABC = {"labels": ["a", "b", "c"]}
XYZ = {"charset": ["x", "y", "z"]}


def infer(
    task: str, shape: Shape, output: dict[str, Any], decode: dict[str, Any], **options: Any
) -> tuple[PortType, Any]:
    """Compile a node of that kind for an output ``o`` of that shape, with the batch dim."""
    dims = tuple(Dim(f"d{at}", size) for at, size in enumerate(shape))
    tensor = TensorSpec("o", dims, "float32", placement=INPUT, source=frames(640, 480))
    layouts = (("o", OutputMeaning.model_validate(output)),) if output else ()
    bundle = BundleSpec((tensor,), TASKS[task].model_validate(decode), layouts)
    spec = spec_class(task).model_validate({"kind": task, "inputs": ["net"], **options})
    inferred = spec.infer(PlanNode("n", spec, ()), (bundle,), None)
    return inferred.outputs[0].type, inferred.params


@pytest.mark.parametrize(
    ("task", "shape", "output", "decode", "axes", "sizes"),
    [
        ("classify", (1, 3), {}, ABC, (0,), (3,)),
        ("classify", (1, 3, 1, 1), {"activation": "softmax"}, ABC, (1, 2, 0), (3,)),
        ("classify", (1, 1, 1, 3), {"dims": ["batch", "height", "width", "classes"]}, ABC, (0, 1, 2), (3,)),
        ("classify", (1, 3), {"fields": ["scores"]}, ABC, (0,), (3,)),
        ("classify", (1, 4), {}, ABC | {"background": "first"}, (0,), (4,)),
        ("embed", (1, 512), {}, {}, (0,), (512,)),
        ("embed", (1, 512, 1, 1), {}, {}, (1, 2, 0), (512,)),
        ("embed", (1, 1, 512), {"dims": ["batch", "time", "embedding"]}, {}, (0, 1), (512,)),
        ("read", (1, 40, 4), {}, XYZ, (0, 1), (40, 4)),
        ("read", (1, None, 4), {}, XYZ, (0, 1), (None, 4)),
        ("read", (1, 4, 40), {"dims": ["batch", "classes", "time"]}, XYZ, (1, 0), (40, 4)),
        ("read", (1, 4, 1, 40), {"dims": ["batch", "classes", "height", "time"]}, XYZ, (1, 2, 0), (40, 4)),
    ],
)  # fmt: skip
def test_the_axes_are_found(
    task: str, shape: Shape, output: dict[str, Any], decode: dict[str, Any], axes: tuple[int, ...], sizes: Shape
) -> None:
    _, params = infer(task, shape, output, decode)
    assert (params.output.tensor, params.output.axes, params.output.sizes) == ("o", axes, sizes)


def test_what_classes_are_kept_is_settled_before_the_run() -> None:
    decode = ABC | {"classes": ["a", "c"], "threshold": {"default": 0.5, "c": 0.25}, "top": 9}
    edge, params = infer("classify", (1, 3), {}, decode)
    assert (params.thresholds, params.top, params.labels) == ((0.5, 2.0, 0.25), 3, ("a", "b", "c"))
    assert str(edge) == "classes of 640x480"
    _, params = infer("classify", (1, 3), {}, decode, threshold=0.75, top=2)
    assert (params.thresholds, params.top) == ((0.75, 2.0, 0.75), 2)


@pytest.mark.parametrize(
    ("decode", "classes", "blank"),
    [
        (XYZ, ("", "x", "y", "z"), 0),
        (XYZ | {"blank": "last"}, ("x", "y", "z", ""), 3),
        ({"charset": ["x", "y"], "space": True}, ("", "x", "y", " "), 0),
        ({"charset": ["x", "y"], "space": True, "blank": "last"}, ("x", "y", " ", ""), 3),
    ],
)
def test_each_class_of_a_reader_has_a_character(decode: dict[str, Any], classes: tuple[str, ...], blank: int) -> None:
    _, params = infer("read", (1, 5, 4), {}, decode)
    assert (params.charset, params.blank) == (classes, blank)
    # The text lies where the model looks.
    assert params.box == (10, 20, 40, 60)


WRONG = [
    # classify
    ("classify", (1, 1000), {}, {"labels": [str(at) for at in range(999)]}, "E323", "decode.labels has 999 label(s), but o scores 1000", "set model.decode.background to first or last if a score stands for no class; else correct model.decode.labels"),
    ("classify", (1, 1001), {}, {"labels": "imagenet1k"}, "E323", "decode.labels has 1000 label(s), but o scores 1001", "set model.decode.background to first or last"),
    ("classify", (1, 1000), {}, {"labels": "imagenet1k", "background": "first"}, "E323", "decode.labels has 1000 label(s), but o scores 999 and a background (first)", "set model.decode.background=none if each score has a label"),
    ("classify", (1, 10), {}, {"labels": "imagenet1k"}, "E323", "decode.labels has 1000 label(s), but o scores 10", "correct model.decode.labels"),
    ("classify", (1, 10), {}, {}, "E323", "the names of the 10 class(es) are unknown", "set model.decode.labels"),
    ("classify", (1, None), {}, ABC, "E326", "model.outputs.o: o (float32[1xd1]): its dim 1 is free", "export it with that dim fixed"),
    ("classify", (1, 3, 7, 7), {}, ABC, "E326", "model.outputs.o: o (float32[1x3x7x7]): dim 2 (without a name) must be 1, because each frame has one result with the dims classes", "set another decode.task"),
    ("classify", (1, 3), {"dims": ["batch", "embedding"]}, ABC, "E326", "model.outputs.o: o (float32[1x3]) has 2 dims, and dims [batch, embedding] lack classes", "such as [batch, classes]"),
    ("classify", (1, 3, 1, 1), {"dims": ["batch", "classes"]}, ABC, "E326", "model.outputs.o: o (float32[1x3x1x1]) has 4 dims, and dims [batch, classes] name 2", "name each dim of the tensor"),
    ("classify", (1, 3), {"fields": ["box", "scores"]}, ABC, "E326", "model.outputs.o: o (float32[1x3]) has no fields, because each frame has one result with the dims classes, but `fields` names some", "leave `fields` out"),
    ("classify", (1, 3), {"activation": {"scores": "softmax"}}, ABC, "E326", "but `activation` names some", "give one `activation` for all numbers"),
    # embed
    ("embed", (1, 197, 768), {}, {}, "E326", "model.outputs.o: o (float32[1x197x768]): dim 2 (without a name) must be 1", "name the dims as they are"),
    ("embed", (1, None), {}, {}, "E326", "model.outputs.o: o (float32[1xd1]): its dim 1 is free", "export it with that dim fixed"),
    # read
    ("read", (1, 6625, 40), {}, {"charset": [f"c{at}" for at in range(6623)], "space": True}, "E326", "model.outputs.o: o (float32[1x6625x40]): 6,624 characters and a blank need 6,625 classes, and that is the size of the dim for time", "write dims: [batch, classes, time]"),
    ("read", (1, 40, 4), {"dims": ["batch", "classes", "time"]}, XYZ, "E326", "3 characters and a blank need 4 classes", "write dims: [batch, time, classes]"),
    ("read", (1, 40, 6625), {}, {"charset": [f"c{at}" for at in range(6623)]}, "E323", "decode.charset has 6,623 character(s), which makes 6,624 with the blank, but o scores 6,625", "set model.decode.space=true"),
    ("read", (1, 40, 4), {}, XYZ | {"space": True}, "E323", "decode.charset has 4 character(s) with the space, which makes 5 with the blank, but o scores 4", "set model.decode.space=false"),
    ("read", (1, 40, 9), {}, XYZ, "E323", "decode.charset has 3 character(s), which makes 4 with the blank, but o scores 9", "correct model.decode.charset"),
    ("read", (1, 40, 97), {}, {}, "E323", "the 96 characters are unknown", "set model.decode.charset"),
    ("read", (1, 40, None), {}, XYZ, "E326", "model.outputs.o: o (float32[1x40xd2]): its dim 2 is free", "export it with that dim fixed"),
    ("read", (1, 40), {}, XYZ, "E326", "model.outputs.o: o (float32[1x40]) has 2 dims, and dims [batch, time, classes] name 3", "such as [batch, time, classes]"),
]  # fmt: skip


@pytest.mark.parametrize(("task", "shape", "output", "decode", "code", "message", "hint"), WRONG)
def test_a_wrong_declaration(
    task: str, shape: Shape, output: dict[str, Any], decode: dict[str, Any], code: str, message: str, hint: str
) -> None:
    with pytest.raises(PlanError) as failure:
        infer(task, shape, output, decode)
    (problem,) = failure.value.problems
    assert (problem.code, problem.path) == (code, "pipeline.nodes.n")
    assert message in problem.message
    assert hint in (problem.hint or "")


def test_a_node_refuses_the_model_of_another_task() -> None:
    tensor = TensorSpec("o", (Dim("d0", 1), Dim("d1", 3)), "float32", placement=INPUT, source=frames(640, 480))
    bundle = BundleSpec((tensor,), EmbedDecode(), ())
    spec = spec_class("classify").model_validate({"kind": "classify", "inputs": ["net"]})
    with pytest.raises(PlanError, match=r"reads the task classify, but model\.decode\.task is embed"):
        spec.infer(PlanNode("n", spec, ()), (bundle,), None)


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        ("a\nb\n", ("a", "b")),
        ("a\nb", ("a", "b")),
        ("a\r\n \r\nb\r\n", ("a", " ", "b")),
        # Characters that Python takes for the ends of lines, and a wide space.
        ("\x85\n\u2028\n\u3000\n", ("\x85", "\u2028", "\u3000")),
    ],
)
def test_a_charset_has_one_character_in_each_line(text: str, characters: tuple[str, ...], tmp_path: Path) -> None:
    assert characters_of(text) == characters
    (tmp_path / "chars.txt").write_bytes(text.encode())
    assert ReadDecode.model_validate({"charset": f"file:{tmp_path / 'chars.txt'}"}).charset == characters


IMAGENET = ("RGB", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ("RGB", (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF, HALF_BGR = ("RGB", 0.5, 0.5), ("BGR", 0.5, 0.5)
PREPARED: dict[str, tuple[Any, ...]] = {
    "arcface": (*HALF, (112, 112), "stretch"),
    "classification": (*IMAGENET, (224, 224), "crop"),
    "clip": (*CLIP, (224, 224), "crop"),
    "embedding": (*IMAGENET, (224, 224), "crop"),
    "ppocr_cls": (*HALF_BGR, (48, 192), "letterbox"),
    "ppocr_rec": (*HALF_BGR, (48, None), None),
    "reid": (*IMAGENET, (256, 128), "stretch"),
}
"""Channels, mean and deviation of values in 0..1, size and fit, as the families' own code has them."""


def test_presets_prepare_frames_as_their_families_do(tmp_path: Path) -> None:
    assert [name for name in preset_names() if read_preset(name)["task"] in TASKS] == list(PREPARED)
    for name, (channels, mean, std, size, fit) in PREPARED.items():
        onnx = shaped_model(tmp_path / f"{name}.onnx", {"x": (1, 3, "h", "w")}, {"y": (1, 2)})
        spec = ModelSpec.model_validate({"name": "m", "file": onnx, "decode": name})
        model = complete(spec, read_onnx(onnx)).spec
        meaning = model.inputs["x"]
        assert (meaning.channels, meaning.size, meaning.fit) == (channels, size, fit)
        assert np.allclose(np.divide(meaning.mean, 255), mean, atol=1e-6)
        assert np.allclose(np.divide(meaning.std, 255), std, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "count", "known"),
    [
        ("imagenet1k", 1000, {0: "tench", 1: "goldfish", 207: "golden retriever", 281: "tabby", 999: "toilet tissue"}),
        ("voc21", 21, {0: "background", 1: "aeroplane", 15: "person", 20: "tvmonitor"}),
        ("cityscapes19", 19, {0: "road", 11: "person", 13: "car", 18: "bicycle"}),
        ("ade20k150", 150, {0: "wall", 12: "person", 20: "car", 149: "flag"}),
    ],
)
def test_sets_of_labels(name: str, count: int, known: dict[int, str]) -> None:
    labels = ClassifyDecode.model_validate({"labels": name}).labels
    assert labels is not None
    assert len(set(labels)) == len(labels) == count
    assert {number: labels[number] for number in known} == known
