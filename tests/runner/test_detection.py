"""Run the pipeline ``detection`` with models that the project has never seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from onnx import helper

from tests.runner.command import bmfgraph, start
from tests.tools import save_model, tensor_info


def yolov8_model(path: Path, boxes: list[tuple[float, float, float, float]], labels: list[int], classes: int) -> Path:
    """``images`` float32 [1, 3, 96, 96] to ``output0`` [1, 4 + classes, n]: the same boxes for each frame."""
    table = np.zeros((1, 4 + classes, len(boxes)), np.float32)
    for at, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        table[0, :4, at], table[0, 4 + label, at] = box, 0.9 - 0.1 * at
    return save_model(
        path,
        [
            helper.make_node("ReduceMin", ["images"], ["least"], keepdims=0),
            helper.make_node("Mul", ["least", "nothing"], ["zero"]),
            helper.make_node("Add", ["table", "zero"], ["output0"]),
        ],
        [tensor_info("images", "float32", [1, 3, 96, 96])],
        [tensor_info("output0", "float32", table.shape)],
        {"table": table, "nothing": np.array(0, np.float32)},
    )


def test_a_model_of_three_lines_gives_labelled_boxes(tmp_path: Path, clip: Callable[..., Path]) -> None:
    clip(size=(128, 64), frames=3)
    # The frame fills 96x48 of the input, 24 rows below its top. The second box overlaps the first.
    boxes = [(48.0, 48.0, 24.0, 12.0), (49.0, 48.0, 24.0, 12.0), (12.0, 36.0, 12.0, 24.0)]
    yolov8_model(tmp_path / "net.onnx", boxes, [2, 2, 0], 80)
    own = tmp_path / "my" / "model" / "net.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("name: net\nfile: net.onnx\ndecode: {preset: yolov8, labels: coco80}\n")
    command = bmfgraph(
        "--config-dir", "my", "pipeline=detection", "model=net", "input=clip.mp4", "output=out.mp4", "records=out.jsonl"
    )
    start(command, tmp_path).wait().success()
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2]
    for line in lines:
        car, person = line["detections"]
        assert (car["label"], car["score"], car["box"]) == ("car", 0.9, [48.0, 24.0, 80.0, 40.0])
        # Its upper part lies in the bar above the frame.
        assert (person["label"], person["score"], person["box"]) == ("person", 0.7, [8.0, 0.0, 24.0, 32.0])
    assert (tmp_path / "out.mp4").is_file()


def rtdetr_model(path: Path) -> Path:
    """The tensors of RT-DETR's authors: the boxes are shares of ``orig_target_sizes``, as [width, height]."""
    shares = np.array([[[0.25, 0.5, 0.75, 1.0], [0, 0, 0.5, 0.25]]], np.float32)
    return save_model(
        path,
        [
            helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
            helper.make_node("Cast", ["orig_target_sizes"], ["sizes"], to=1),
            helper.make_node("Concat", ["sizes", "sizes"], ["twice"], axis=1),
            helper.make_node("Unsqueeze", ["twice", "one"], ["rows"]),
            helper.make_node("Mul", ["rows", "shares"], ["inside"]),
            helper.make_node("Unsqueeze", ["zero", "one"], ["column"]),
            helper.make_node("Unsqueeze", ["column", "two"], ["cube"]),
            helper.make_node("Add", ["inside", "cube"], ["boxes"]),
            helper.make_node("Add", ["column", "best"], ["scores"]),
            helper.make_node("Add", ["column", "numbers"], ["labels"]),
        ],
        [tensor_info("images", "float32", ["N", 3, 32, 32]), tensor_info("orig_target_sizes", "int64", ["N", 2])],
        [
            tensor_info("labels", "float32", ["N", 2]),
            tensor_info("boxes", "float32", ["N", 2, 4]),
            tensor_info("scores", "float32", ["N", 2]),
        ],
        {
            "shares": shares,
            "one": np.array([1]),
            "two": np.array([2]),
            "nothing": np.array(0, np.float32),
            "best": np.array([[0.9, 0.6]], np.float32),
            "numbers": np.array([[1, 0]], np.float32),
        },
    )


def test_an_input_that_is_no_picture_gets_the_size_of_the_frame(tmp_path: Path, clip: Callable[..., Path]) -> None:
    clip(size=(128, 64), frames=3)
    rtdetr_model(tmp_path / "net.onnx")
    model = "{name: net, file: net.onnx, decode: {preset: rtdetr_authors, labels: [cat, dog]}}"
    settings = ("input=clip.mp4", "output=out.mp4", "records=out.jsonl", "engine.batch=2")
    start(bmfgraph("pipeline=detection", f"+model={model}", *settings), tmp_path).wait().success()
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["detections"] for line in lines] == [
        [
            {"label": "dog", "score": 0.9, "box": [32.0, 32.0, 96.0, 64.0]},
            {"label": "cat", "score": 0.6, "box": [0.0, 0.0, 64.0, 16.0]},
        ]
    ] * 3
