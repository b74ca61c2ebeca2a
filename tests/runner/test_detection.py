"""Run the pipeline ``detection`` with models that the project has never seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

import bmfgraph as bg
from bmfgraph.media.rle import decode
from bmfgraph.runner.stream import DetectionsItem
from tests.conftest import located
from tests.runner.command import bmfgraph, start
from tests.tools import Pixels, save_model, tensor_info


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


def blob_model(path: Path) -> Path:
    """Find squares of 16x16 pixels, red or blue, in ``images`` float32 [1, 3, 96, 96].

    ``output0`` [1, 14, 121], for squares at multiples of 8 pixels: box, two scores, the weights of two prototypes, and
    two corners of the square. ``output1`` [1, 2, 24, 24]: how red and how blue are 4x4 pixels, as logits.
    """
    colours = np.array([[1, -1, -1], [-1, -1, 1]], np.float32)[:, :, None, None]
    at = np.arange(11, dtype=np.float32) * 8
    left, top = np.tile(at, 11), np.repeat(at, 11)
    boxes = np.stack([left + 8, top + 8, left * 0 + 16, left * 0 + 16])
    places = np.stack([left, top, left + 16, top + 16])
    return save_model(
        path,
        [
            helper.make_node("Conv", ["images", "colours"], ["shares"]),
            helper.make_node("Relu", ["shares"], ["planes"]),
            helper.make_node("AveragePool", ["planes"], ["squares"], kernel_shape=[16, 16], strides=[8, 8]),
            helper.make_node("Reshape", ["squares", "shape"], ["scores"]),
            helper.make_node("Mul", ["scores", "twenty"], ["weights"]),
            helper.make_node("ReduceMax", ["scores"], ["seen"], axes=[1], keepdims=1),
            helper.make_node(
                "Concat", ["boxes", "scores", "weights", "first", "seen", "second", "seen"], ["output0"], axis=1
            ),
            helper.make_node("AveragePool", ["planes"], ["cells"], kernel_shape=[4, 4], strides=[4, 4]),
            helper.make_node("Sub", ["cells", "half"], ["output1"]),
        ],
        [tensor_info("images", "float32", [1, 3, 96, 96])],
        [tensor_info("output0", "float32", [1, 14, 121]), tensor_info("output1", "float32", [1, 2, 24, 24])],
        {
            "colours": colours,
            "shape": np.array([1, 2, 121], np.int64),
            "twenty": np.array(20, np.float32),
            "half": np.array(0.5, np.float32),
            "boxes": boxes[None],
            "first": places[None, :2],
            "second": places[None, 2:],
        },
    )


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


BLOBS = """
name: net
file: net.onnx
outputs:
  output0: {dims: [batch, fields, candidates], fields: [box, scores, "mask:2", "keypoints:2x3"]}
decode:
  preset: yolov8_seg
  threshold: 0.8
  labels: [red, blue]
  keypoints: {names: [top_left, bottom_right], skeleton: [[0, 1]]}
"""


def blobs(index: int, width: int, height: int) -> Pixels:
    """Draw a red square that moves, and a blue one."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[32:64, 16 * index : 16 * index + 32] = (255, 0, 0)
    pixels[48:80, 144:176] = (0, 0, 255)
    return pixels


@pytest.mark.wide
def test_masks_and_keypoints_of_a_network_with_a_known_answer(
    tmp_path: Path, clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The frame fills 96x48 of the input, 24 rows below its top.
    clip("clip.mkv", size=(192, 96), frames=3, codec="ffv1", pix_fmt="bgr0", draw=blobs)
    blob_model(tmp_path / "net.onnx")
    own = tmp_path / "my" / "model" / "net.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(BLOBS)
    command = bmfgraph(
        "--config-dir", "my", "pipeline=detection", "model=net", "input=clip.mkv", "output=out.mp4", "records=out.jsonl"
    )
    start(command, tmp_path).wait().success()
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    expected = [{"red": [16 * at, 32, 16 * at + 32, 64], "blue": [144, 48, 176, 80]} for at in range(3)]
    assert [{row["label"]: row["box"] for row in line["detections"]} for line in lines] == expected
    for line in lines:
        for row in line["detections"]:
            left, top, right, bottom = row["box"]
            assert [number for point in row["keypoints"] for number in point[:2]] == pytest.approx(row["box"], abs=0.01)
            # All rows and columns of the square, but its blurred edge.
            found = decode(row["mask"])
            assert found.shape == (96, 192)
            assert found[int(top) + 2 : int(bottom) - 2, int(left) + 2 : int(right) - 2].all()
            assert found.sum() <= (right - left) * (bottom - top)

    monkeypatch.chdir(tmp_path)
    job = bg.compose("detection", "model=net", input="clip.mkv", config_dir="my")
    for boxes, found in zip(expected, job.stream("objects"), strict=True):
        assert isinstance(found, DetectionsItem)
        assert found.keypoints is not None
        assert found.masks is not None
        assert len(found.labels) == 2
        for number, label in enumerate(found.labels):
            corners = np.array(boxes[label])
            assert found.keypoints[number, :, :2].flatten().tolist() == pytest.approx(corners.tolist(), abs=1e-3)
            assert found.keypoints[number, :, 2].tolist() == pytest.approx([found.scores[number]] * 2)
            # A mask for the whole frame is the square; the shrinking of the frame blurs its edge.
            _, _, pixels = found.masks.patch(number, np.array([0, 0, 192, 96], np.float32))
            square = np.zeros((96, 192), np.bool_)
            square[corners[1] : corners[3], corners[0] : corners[2]] = True
            assert (pixels & square).sum() >= 0.9 * (pixels | square).sum()


def test_poses_of_a_real_face_are_plausible(compose: Callable[..., dict[str, Any]]) -> None:
    composed = compose("pipeline=pose")
    located(composed["model"]["source"], composed["model"]["sha256"])
    job = bg.compose("pose", input=str(located(composed["samples"]["carphone"])))
    frames = 0
    for found in job.stream("poses"):
        frames += 1
        assert found.keypoints.shape == (len(found.labels), 5, 3)
        left_eye, right_eye, nose, left_mouth, right_mouth = found.keypoints[0, :, :2]
        x1, y1, x2, y2 = found.boxes[0]
        for x, y in found.keypoints[0, :, :2]:
            assert x1 < x < x2
            assert y1 < y < y2
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
        assert left_eye[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
    assert frames == 120


@pytest.mark.wide
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


def paddle_model(path: Path) -> Path:
    """The tensors of Paddle's detectors: a row for each detection. A dark frame has none, a bright one has two.

    The boxes are in pixels of the source, because the model divides them by ``scale_factor``, as [y, x].
    """
    rows = np.array([[1, 0.9, 8, 8, 24, 16], [0, 0.6, 0, 0, 16, 8]], np.float32)
    return save_model(
        path,
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], keepdims=0),
            helper.make_node("Greater", ["mean", "half"], ["bright"]),
            helper.make_node("Expand", ["bright", "two"], ["kept"]),
            helper.make_node("Gather", ["scale_factor", "order"], ["across"], axis=1),
            helper.make_node("Concat", ["ones", "across"], ["factors"], axis=1),
            helper.make_node("Div", ["rows", "factors"], ["placed"]),
            helper.make_node("Compress", ["placed", "kept"], ["boxes"], axis=0),
        ],
        [tensor_info("image", "float32", ["N", 3, 32, 32]), tensor_info("scale_factor", "float32", ["N", 2])],
        [tensor_info("boxes", "float32", ["count", 6])],
        {
            "rows": rows,
            "half": np.array(0.5, np.float32),
            "two": np.array([2]),
            "order": np.array([1, 0, 1, 0]),
            "ones": np.ones((1, 2), np.float32),
        },
    )


def flashing(index: int, width: int, height: int) -> Pixels:
    """Draw dark and bright frames in turn."""
    return np.full((height, width, 3), 255 * (index % 2), np.uint8)


@pytest.mark.wide
def test_a_row_for_each_detection_of_no_fixed_number(tmp_path: Path, clip: Callable[..., Path]) -> None:
    clip(size=(128, 64), frames=4, draw=flashing)
    paddle_model(tmp_path / "net.onnx")
    model = "{name: net, file: net.onnx, decode: {preset: ppyoloe, labels: [cat, dog]}}"
    words = ("pipeline=detection", f"+model={model}", "input=clip.mp4", "output=out.mp4", "records=out.jsonl")
    start(bmfgraph(*words), tmp_path).wait().success()
    lines = [json.loads(line)["detections"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    # The frame is four times as wide as the input, and twice as high.
    found = [
        {"label": "dog", "score": 0.9, "box": [32.0, 16.0, 96.0, 32.0]},
        {"label": "cat", "score": 0.6, "box": [0.0, 0.0, 64.0, 16.0]},
    ]
    assert lines == [[], found, [], found]
    error = start(bmfgraph(*words, "engine.batch=2"), tmp_path).wait().error(2)
    assert "counts the detections of all pictures in its first dim" in error
