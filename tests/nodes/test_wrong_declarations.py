"""Wrong declarations of models: `check` proves most of them, the first frame shows others, and some nobody can tell."""

# ruff: noqa: E501
from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import bmfgraph as bg
from bmfgraph.errors import Problem
from tests.nodes.wrong_models import RIGHT, Declaration, detector


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wrong")
    for name in RIGHT:
        detector(folder / f"{name}.onnx", name)
    levels = np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(levels).save(folder / "picture.png")
    return folder


def job(place: Path, name: str, *changes: tuple[str, Any]) -> bg.Job:
    """Return a pipeline with a model whose declaration is changed at dotted keys."""
    declaration: Declaration = copy.deepcopy({"name": name, "file": str(place / f"{name}.onnx"), **RIGHT[name]})
    for key, value in changes:
        *parents, last = key.split(".")
        part = declaration
        for parent in parents:
            part = part.setdefault(parent, {})
        part[last] = value
    pipeline = {
        "source": {"kind": "decoder", "path": str(place / "picture.png")},
        "prepare": {"kind": "preprocess", "inputs": ["source.video"]},
        "run": {"kind": "inference", "inputs": ["prepare"], "model": declaration},
        "objects": {"kind": "detections", "inputs": ["run"]},
        "table": {"kind": "records", "inputs": ["objects"], "path": str(place / "out.jsonl")},
    }
    return bg.Job({"name": "wrong", "nodes": pipeline})


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_declaration_gives_the_objects_without_a_warning(place: Path, name: str) -> None:
    result = job(place, name).run(overwrite=True)
    assert result.problems == ()
    (items,) = job(place, name).stream("objects")
    assert items.labels[:3] == (("dog", "car", "cat"))
    assert np.allclose(items.boxes[:3], [(6, 6, 26, 26), (32, 12, 56, 28), (10, 38, 50, 58)], atol=1e-3)


V8 = ["batch", "fields", "candidates"]
V5 = ["batch", "candidates", "fields"]

# (model, changes, code, a part of the message, a part of the hint)
PROVED: list[tuple[str, tuple[tuple[str, Any], ...], str, str, str]] = [
    # axes and widths
    ("v8", (("outputs.out.dims", V5),), "E323", "decode.labels has 3 label(s), but out scores 80", "are swapped: write model.outputs.out.dims the other way"),
    ("v5", (("outputs.out.dims", V8),), "E323", "decode.labels has 3 label(s), but out scores 79", "are swapped: write model.outputs.out.dims the other way"),
    ("v10", (("outputs.out.dims", V8),), "E326", "dim 1 holds 50 numbers, and the fields are 4 + 1 + 1", "write dims: [batch, candidates, fields]"),
    ("v8", (("outputs.out.fields", ["box", "scores", "mask:32"]),), "E326", "dim 1 holds 7 numbers, and the fields are 4 + scores + 32", "so that their widths add up"),
    ("v10", (("outputs.out.fields", ["box", "score"]),), "E326", "dim 2 holds 6 numbers, and the fields are 4 + 1", "correct `fields`"),
    ("v8", (("outputs.out.dims", ["batch", "fields"]),), "E326", "has 3 dims, and dims [batch, fields] names 2", "name each dim"),
    ("v8", (("outputs.out.fields", ["scores"]),), "E328", "no output of the model has the field 'box'", "model.outputs"),
    # labels and background
    ("v8", (("decode.labels", ["car", "cat"]),), "E323", "decode.labels has 2 label(s), but out scores 3", "model.decode.labels"),
    ("v8", (("decode.labels", list("abcd")),), "E323", "decode.labels has 4 label(s), but out scores 3", "model.decode.labels"),
    ("v8", (("outputs.out.fields", ["box", "objectness", "scores"]),), "E323", "has 3 label(s), but out scores 2", "the fields of the output"),
    ("v5", (("outputs.out.fields", ["box", "scores"]),), "E323", "has 3 label(s), but out scores 4", "the fields of the output"),
    ("detr", (("decode.background", "none"),), "E323", "has 3 label(s), but logits scores 4", "model.decode.background"),
    ("v8", (("decode.background", "first"),), "E323", "has 3 label(s), but out scores 2 and a background (first)", "model.decode.background"),
    ("v8", (("decode.classes", ["dgo"]),), "E209", "'dgo' is not one of the labels (did you mean 'dog'?)", "correct classes"),
    # grid
    ("cells", (("decode.grid.strides", [8, 16]),), "E327", "the model has 84 candidates, but strides [8, 16] on 64x64 make 64 + 16 = 80", "model.decode.grid.strides"),
    ("cells", (("decode.grid.strides", [4, 8, 16]),), "E327", "make 256 + 64 + 16 = 336", "model.decode.grid.strides"),
    ("v5", (("decode.unit", "cells"),), "E209", "unit cells and box cxcywh need the grid's strides", "set grid: {strides: [8, 16, 32]}"),
    # names, inputs, task
    ("v8", (("outputs.output", RIGHT["v8"]["outputs"]["out"]),), "E506", "model.outputs.output: v8.onnx has no such tensor (did you mean 'out'?); it has: out", "correct the names under model.outputs"),
    ("v8", (("inputs.image", {"std": 255}),), "E506", "model.inputs.image: v8.onnx has no such tensor (did you mean 'images'?)", "correct the names under model.inputs"),
    ("v8", (("inputs.images", {"layout": "NHWC"}),), "E515", "put 3 channels in dim 3, but images float32[1x3x64x64] has them in dim 1", "set model.inputs.images.layout=NCHW"),
    ("v8", (("inputs.images", {"channels": "GRAY"}),), "E515", "make 1 channels, but images float32[1x3x64x64] has 3 in dim 1", "correct model.inputs.images"),
    ("v8", (("inputs.images", {"std": 0}),), "E209", "values are divided by it, so it must not be 0", "1 or 255"),
    ("v8", (("decode.task", "classify"),), "E321", "reads the task detect, but model.decode.task is classify", "use the node that reads the task classify"),
    ("v8", (("decode.preset", "yolo8"),), "E209", "'yolo8' is not a preset (did you mean 'yolov8'?)", "choose one of them"),
]  # fmt: skip

SHOWN: list[tuple[str, tuple[tuple[str, Any], ...], str, str, str]] = [
    # units and forms of boxes
    ("fractions", (("decode.unit", "pixels"),), "W111", "all of the 84 best boxes lie within 2 pixels of the top left corner of the 64x64 input", "set model.decode.unit to picture, for boxes in 0..1; it is pixels"),
    ("v8", (("decode.unit", "picture"),), "W111", "best boxes reach 5", "set model.decode.unit to pixels; it is picture"),
    ("v5", (("decode.unit", "cells"), ("decode.grid", {"strides": [8, 16, 32], "size": "exp"})), "W111", "times the size of the 64x64 input", "set model.decode.unit to pixels; it is cells"),
    ("v8", (("decode.box", "xyxy"),), "W111", "of the 84 best boxes have a negative width or height", "set model.decode.box to cxcywh or xywh; it is xyxy"),
    # activations
    ("v8_logits", (("outputs.out.activation", "none"),), "W112", "the scores in out reach from -4.6", "set model.outputs.out.activation to sigmoid; it is none"),
    ("v8", (("outputs.out.activation", {"scores": "sigmoid"}),), "W112", "lie in 0..1 before their activation (they reach from 0.01", "set model.outputs.out.activation to none; it is sigmoid"),
    ("detr", (("outputs.logits.activation", "none"),), "W112", "the scores in logits reach from -5.", "set model.outputs.logits.activation to softmax; it is none"),
    ("shares_last", (("outputs.scores.activation", "softmax"),), "W112", "(its rows add up to 1)", "set model.outputs.scores.activation to none; it is softmax"),
    ("v8", (("decode.background", "last"), ("decode.labels", ["car", "cat"])), "W112", "the scores in out add up to 0.0", "set model.decode.background to none"),
    # labels
    ("v10_from_1", (("decode.first_label", 0),), "W113", "holds the numbers 1 to 3, and the 3 label(s) have the numbers 0 to 2", "set model.decode.first_label to 1; it is 0"),
    ("v10", (("decode.first_label", 1),), "W113", "holds the numbers 0 to 2, and the 3 label(s) have the numbers 1 to 3", "set model.decode.first_label to 0; it is 1"),
    ("v10", (("decode.labels", ["car", "cat"]),), "W113", "holds the numbers 0 to 2, and the 2 label(s)", "add the missing ones to model.decode.labels, which has 2"),
    ("v10", (("outputs.out.fields", ["box", "label", "score"]),), "W113", "the field label holds fractions, such as 0.9", "score and label may be swapped"),
    # background
    ("shares_last", (("decode.background", "first"),), "W115", "the last class in scores is the best one of 96% of the candidates", "set model.decode.background to last"),
    ("shares_first", (("decode.background", "none"), ("decode.labels", ["nothing", "car", "cat", "dog"])), "W115", "the first class in scores is the best one of 96% of the candidates", "background is none"),
    # levels
    ("scaled", (("inputs.images.std", 1),), "W114", "all 252 scores in scores are exactly 0 or 1", "set model.inputs.images.std to 255, if the model expects 0..1; mean 0 and std 1 give it 0..255"),
    # threshold
    ("v8", (("decode.threshold", 0.95),), "W116", "nothing was detected in 1 frame(s): the best score was 0.9", "lower model.decode.threshold, which is 0.95"),
]  # fmt: skip


def test_the_table_is_long_enough() -> None:
    assert len(PROVED) + len(SHOWN) >= 30


@pytest.mark.parametrize(("name", "changes", "code", "message", "hint"), PROVED)
def test_what_the_file_proves_is_an_error(
    place: Path, name: str, changes: tuple[tuple[str, Any], ...], code: str, message: str, hint: str
) -> None:
    problems = job(place, name, *changes).check().problems
    assert [problem.code for problem in problems] == [code]
    assert message in problems[0].message
    assert hint in problems[0].hint


@pytest.mark.parametrize(("name", "changes", "code", "message", "hint"), SHOWN)
def test_what_only_numbers_show_is_a_warning(
    place: Path, name: str, changes: tuple[tuple[str, Any], ...], code: str, message: str, hint: str
) -> None:
    result = job(place, name, *changes).run(overwrite=True)
    by_code: dict[str, Problem] = {problem.code: problem for problem in result.problems}
    assert code in by_code, result.problems
    assert by_code[code].path == "pipeline.nodes.objects"
    assert message in by_code[code].message
    assert hint in by_code[code].hint
    assert [problem["code"] for problem in result.report()["problems"]] == [*by_code]
