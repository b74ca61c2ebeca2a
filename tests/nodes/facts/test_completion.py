from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bmfgraph import error_codes as codes
from bmfgraph.engines.onnx.model import read_onnx
from bmfgraph.nodes.facts import CompletedModel, FactError, complete
from bmfgraph.nodes.facts.facts import literal
from bmfgraph.nodes.model import ModelSpec
from tests.tools import Shape, shaped_model

FIXED: Shape = (1, 3, 64, 96)
FREE: Shape = ("b", 3, "h", "w")
YOLO = {
    "task": "detect",
    "names": "{0: 'cat', 1: \"dog's\", 2: 'bird'}",
    "stride": "32",
    "imgsz": "[64, 96]",
    "license": "AGPL-3.0 License (https://ultralytics.com/license)",
    "description": "Ultralytics YOLO11n model trained on coco.yaml",
}
LABELS = ("cat", "dog's", "bird")


def completed(path: Path, **config: Any) -> CompletedModel:
    spec = ModelSpec.model_validate({"name": "m", "file": str(path)} | config)
    return complete(spec, read_onnx(path))


def origins(model: CompletedModel, *origin: str) -> dict[str, Any]:
    return {value.path: value.value for value in model.description.values if value.origin in origin}


# --------------------------------------------------------------------------------------------- Ultralytics


@pytest.mark.parametrize(
    ("metadata", "shape", "preset"),
    [
        ({}, (1, 7, 126), "yolov8"),
        ({"end2end": "True"}, (1, 300, 6), "yolov10"),
        ({"args": "{'batch': 1, 'nms': True}"}, (1, 300, 6), "yolov10"),
        ({}, (1, 300, 6), "yolov10"),
        ({}, (1, 300, 7), "rtdetr"),
        ({"description": "Ultralytics RT-DETR-l model", "names": "{0: 'a', 1: 'b'}"}, (1, 300, 6), "rtdetr"),
        ({"names": "{0: 'a', 1: 'b'}"}, (1, 300, 6), "yolov10"),
        ({"task": ""}, (1, 2520, 8), "yolov5"),
        ({"end2end": "True", "description": "Ultralytics YOLO26n model"}, (1, 300, 6), "yolo26"),
        ({"task": "segment"}, (1, 39, 126), "yolov8_seg"),
        ({"task": "obb"}, (1, 8, 126), "yolov8_obb"),
    ],
)
def test_ultralytics_detectors(tmp_path: Path, metadata: dict[str, str], shape: list[int], preset: str) -> None:
    notes = {key: value for key, value in (YOLO | metadata).items() if value}
    model = completed(shaped_model(tmp_path / "net.onnx", {"images": FREE}, {"output0": shape}, notes))
    assert model.spec.decode is not None
    assert model.spec.decode.preset == preset
    assert (model.spec.inputs["images"].size, model.spec.inputs["images"].multiple) == ((64, 96), 32)
    assert len(getattr(model.spec.decode, "labels", ())) == (2 if "a" in notes["names"][:6] else 3)


def test_each_value_has_its_origin(tmp_path: Path) -> None:
    notes = YOLO | {"stride": "64"}
    path = shaped_model(tmp_path / "net.onnx", {"images": FREE}, {"output0": (1, 7, 126)}, notes)
    model = completed(path, decode={"preset": "yolov8", "iou": 0.5}, inputs={"images": {"pad_value": 0}})
    assert origins(model, "YAML") == {"inputs.images.pad_value": 0, "decode.iou": 0.5, "decode.preset": "yolov8"}
    preset = origins(model, "preset yolov8")
    assert preset["inputs.images.multiple"] == 32  # A preset in the YAML is stronger than the file.
    assert preset["outputs.output0.fields"] == ["box", "scores"]
    assert origins(model, "metadata") == {"inputs.images.size": [64, 96], "decode.labels": LABELS}
    assert origins(model, "default")["inputs.images.align"] == "centre"
    assert "outputs.output0.mean" not in origins(model, "default")
    assert [(one.value, one.origin) for one in model.description.licences] == [(YOLO["license"], "metadata")]
    # One that the file names is weaker.
    grid = {"strides": [8, 16]}
    values = origins(completed(path, decode={"preset": "yolox", "grid": grid}), "YAML")
    assert values["decode.grid"] | grid == values["decode.grid"]
    own = completed(path, licence="MIT")
    assert own.spec.inputs["images"].multiple == 64
    assert [one.value for one in own.description.licences] == ["MIT", YOLO["license"]]


def test_a_fixed_input_needs_no_size_and_grey_is_read(tmp_path: Path) -> None:
    notes = YOLO | {"channels": "1"}
    path = shaped_model(tmp_path / "net.onnx", {"images": (1, 1, 64, 96)}, {"output0": (1, 7, 126)}, notes)
    images = completed(path).spec.inputs["images"]
    assert (images.size, images.channels, images.fit, images.std) == (None, "GRAY", "letterbox", 255)


def test_the_keypoints_of_a_pose(tmp_path: Path) -> None:
    notes = YOLO | {"task": "pose", "names": "{0: 'person'}", "kpt_shape": "[17, 3]"}
    path = shaped_model(tmp_path / "net.onnx", {"images": FIXED}, {"y": (1, 56, 126)}, notes)
    spec = completed(path).spec
    assert spec.decode is not None
    assert (spec.decode.preset, spec.outputs["y"].fields) == ("yolov8_pose", ("box", "scores", "keypoints:17x3"))
    assert len(getattr(spec.decode, "keypoints").names) == 17  # noqa: B009
    hand = shaped_model(tmp_path / "a.onnx", {"images": FIXED}, {"y": (1, 9, 126)}, notes | {"kpt_shape": "(2, 2)"})
    model = completed(hand)
    assert model.spec.outputs["y"].fields == ("box", "scores", "keypoints:2x2")
    assert origins(model, "metadata")["decode.keypoints"] == {"names": ["point_0", "point_1"]}


def test_an_ultralytics_classifier(tmp_path: Path) -> None:
    path = shaped_model(tmp_path / "net.onnx", {"images": FIXED}, {"out": (1, 3)}, YOLO | {"task": "classify"})
    spec = completed(path).spec
    assert spec.decode is not None
    assert (spec.decode.task, getattr(spec.decode, "labels", None)) == ("classify", LABELS)
    assert (spec.inputs["images"].std, spec.inputs["images"].fit) == (255, "crop")
    assert spec.outputs["out"].dims == ("batch", "classes")


def test_a_task_without_a_preset_is_an_error_unless_the_config_decodes(tmp_path: Path) -> None:
    path = shaped_model(tmp_path / "net.onnx", {"images": FIXED}, {"out": (1, 3)}, YOLO | {"task": "dance"})
    with pytest.raises(FactError, match=r"task 'dance' of net.onnx has no preset; presets: ") as raised:
        completed(path)
    assert raised.value.code == codes.UNSUPPORTED_MODEL_TASK
    spec = completed(path, decode={"task": "classify", "labels": list("abc")}).spec
    assert spec.decode is not None
    assert getattr(spec.decode, "labels", None) == ("a", "b", "c")


def test_a_config_of_another_task_hides_what_the_file_says_of_its_task(tmp_path: Path) -> None:
    path = shaped_model(tmp_path / "net.onnx", {"images": FIXED}, {"out": (1, 3)}, YOLO)
    model = completed(path, decode={"task": "embed"})
    assert (origins(model, "metadata"), model.spec.outputs) == ({}, {})
    assert [one.value for one in model.description.licences] == [YOLO["license"]]


# ------------------------------------------------------------------------------------------ words and PaddleOCR


def test_words_stand_for_what_the_file_holds(tmp_path: Path) -> None:
    notes = {"classes": "cat\ndog\n", "signs": "['<', '>']"}
    path = shaped_model(tmp_path / "net.onnx", {"x": FIXED}, {"y": (1, 2)}, notes)
    (tmp_path / "config.json").write_text(json.dumps({"id2label": {"1": "no", "0": "yes"}}))

    def labels(word: str) -> Any:
        model = completed(path, decode={"task": "classify", "labels": word})
        assert origins(model, "YAML")["decode.labels"] == getattr(model.spec.decode, "labels", None)
        return getattr(model.spec.decode, "labels", None)

    assert labels("metadata:classes") == ("cat", "dog")
    assert labels("metadata:signs") == ("<", ">")
    assert labels("config:id2label") == ("yes", "no")
    with pytest.raises(
        FactError, match=r"'metadata:names': the metadata of net.onnx has no 'names'; it has: "
    ) as raised:
        labels("metadata:names")
    assert (raised.value.code, str(raised.value).endswith("classes, signs")) == (codes.MISSING_MODEL_METADATA, True)


def test_paddle_characters(tmp_path: Path) -> None:
    path = shaped_model(
        tmp_path / "rec.onnx", {"x": (1, 3, 48, 96)}, {"y": (1, 12, 6)}, {"character": "'\nä\n\u2028\n𝕏"}
    )
    spec = completed(path).spec
    assert spec.decode is not None
    assert (spec.decode.task, getattr(spec.decode, "charset", None)) == ("read", ("'", "ä", "\u2028", "𝕏"))
    assert getattr(spec.decode, "space", None) is True
    assert (spec.inputs["x"].channels, spec.inputs["x"].mean, spec.inputs["x"].std) == ("BGR", 127.5, 127.5)
    assert spec.outputs["y"].dims == ("batch", "time", "classes")
    own = completed(path, decode={"task": "read", "charset": list("abcde")}).spec
    assert getattr(own.decode, "charset", None) == tuple("abcde")


# ------------------------------------------------------------------------------------------------ Hugging Face

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "do_normalize": True}
LEVELS = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


def hugging_face(
    folder: Path, outputs: dict[str, tuple[int, ...]], config: dict[str, Any], preprocessor: dict[str, Any]
) -> CompletedModel:
    """Complete a model in the folder `onnx` of an export, by its file alone."""
    (folder / "onnx").mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return completed(shaped_model(folder / "onnx" / "model.onnx", {"pixel_values": FREE}, outputs))


def test_a_classifier_of_hugging_face(tmp_path: Path) -> None:
    config = {
        "architectures": ["ResNetForImageClassification"],
        "model_type": "resnet",
        "id2label": {"0": "a", "1": "b"},
    }
    size = {"do_resize": True, "size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": 224, "resample": 3}
    model = hugging_face(tmp_path, {"logits": (1, 2)}, config, IMAGENET | size)
    pixels = model.spec.inputs["pixel_values"]
    assert (pixels.mean, pixels.std) == LEVELS
    assert (pixels.size, pixels.fit, pixels.resize) == ((224, 224), "crop", "bicubic")
    assert (model.spec.outputs["logits"].dims, model.spec.outputs["logits"].activation) == (
        ("batch", "classes"),
        "softmax",
    )
    assert origins(model, "config.json")["decode.labels"] == ("a", "b")
    assert origins(model, "preprocessor_config.json")["inputs.pixel_values.size"] == [224, 224]


@pytest.mark.parametrize(
    ("name", "kind", "preset"),
    [("RTDetrForObjectDetection", "rt_detr", "rtdetr_hf"), ("YolosForObjectDetection", "yolos", "detr")],
)
def test_detectors_of_hugging_face(tmp_path: Path, name: str, kind: str, preset: str) -> None:
    config = {"architectures": [name], "model_type": kind, "id2label": {"0": "a"}}
    settings = {
        "size": {"height": 64, "width": 96},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": False,
    }
    model = hugging_face(tmp_path, {"logits": (1, 9, 1), "pred_boxes": (1, 9, 4)}, config, settings | IMAGENET_OFF)
    assert model.spec.decode is not None
    assert model.spec.decode.preset == preset
    pixels = model.spec.inputs["pixel_values"]
    assert (pixels.mean, pixels.std, pixels.size, pixels.fit) == ((0.0,), (255.0,), (64, 96), "stretch")
    assert model.spec.outputs["pred_boxes"].fields == ("box",)


IMAGENET_OFF = IMAGENET | {"do_normalize": False}


def test_segmentation_and_depth_of_hugging_face(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    config = {"architectures": ["SegformerForSemanticSegmentation"], "id2label": {"0": "sky", "1": "road"}}
    model = hugging_face(
        tmp_path / "a", {"logits": (1, 2, 16, 24)}, config, IMAGENET | {"size": 512, "do_rescale": True}
    )
    assert model.spec.decode is not None
    assert (model.spec.decode.task, getattr(model.spec.decode, "labels", None)) == ("segment", ("sky", "road"))
    assert model.spec.outputs["logits"].dims == ("batch", "classes", "height", "width")
    assert model.spec.inputs["pixel_values"].size == (512, 512)
    settings = {"size": {"height": 518, "width": 518}, "keep_aspect_ratio": True, "ensure_multiple_of": 14}
    depth = {"architectures": ["DepthAnythingForDepthEstimation"]}
    model = hugging_face(tmp_path / "b", {"predicted_depth": (1, 16, 24)}, depth, IMAGENET | settings)
    assert (getattr(model.spec.decode, "value", None), model.spec.inputs["pixel_values"].multiple) == ("depth", 14)
    assert (model.spec.inputs["pixel_values"].fit, model.spec.outputs["predicted_depth"].dims) == (
        "letterbox",
        ("batch", "height", "width"),
    )


# --------------------------------------------------------------------------------------------- hostile contents


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("names", "__import__('os').system('true')", "metadata 'names' is not a list, a mapping"),
        ("names", "[" * 100_000, "metadata 'names' is not a list, a mapping"),
        ("names", "-" * 100_000 + "1", "metadata 'names' is not a list, a mapping"),
        ("names", "{0: 'a', 999999999999: 'b'}", "not a number and its label"),
        ("names", "{'a': 'b'}", "metadata:names has 'a': 'b', not a number and its label"),
        ("names", "{0: [1]}", "metadata:names has 0: [1], not a number and its label"),
        ("names", "{[]: 1}", "metadata 'names' is not a list, a mapping"),
        ("names", "12", "metadata:names is neither a list of labels nor a mapping: 12"),
        ("names", "{}", "metadata:names is neither a list of labels nor a mapping"),
        ("stride", "1e999", "metadata 'stride' is not a number from 1 to 4096: '1e999'"),
        ("stride", "0", "metadata 'stride' is not a number from 1 to 4096: '0'"),
        ("stride", "9" * 5000, "metadata 'stride' is not"),
        ("imgsz", "[640, -1]", "metadata 'imgsz' is not two numbers from 1 to 65536: '[640, -1]'"),
        ("imgsz", "[640, 640, 640]", "metadata 'imgsz' is not two numbers"),
    ],
)
def test_wrong_metadata_is_an_error_only_where_it_counts(tmp_path: Path, key: str, text: str, message: str) -> None:
    path = shaped_model(tmp_path / "net.onnx", {"images": FREE}, {"y": (1, 7, 126)}, YOLO | {key: text})
    with pytest.raises(FactError) as raised:
        completed(path)
    assert message in str(raised.value)
    assert raised.value.code == codes.INVALID_MODEL_METADATA
    own = {"inputs": {"images": {"size": [64, 96], "multiple": 32}}, "decode": {"preset": "yolov8", "labels": ["a"]}}
    assert completed(path, **own).spec.inputs["images"].size == (64, 96)


@pytest.mark.parametrize(
    "content", ["", "[]", "{", "[" * 100_000, '{"architectures": 3}', '{"architectures": []}', '{"image_mean": {}}']
)
def test_damaged_and_foreign_files_beside_the_model_say_nothing(tmp_path: Path, content: str) -> None:
    path = shaped_model(tmp_path / "net.onnx", {"x": FREE}, {"y": (1, 2)})
    (tmp_path / "config.json").write_text(content)
    assert completed(path).spec.decode is None
    with pytest.raises(FactError):
        completed(path, decode={"task": "classify", "labels": "config:id2label"})


def test_a_wrong_mean_is_an_error_unless_the_config_has_one(tmp_path: Path) -> None:
    path = shaped_model(tmp_path / "net.onnx", {"x": FREE}, {"y": (1, 2)})
    settings = tmp_path / "preprocessor_config.json"
    for wrong, message in (
        ({"image_mean": [1, 2]}, "preprocessor_config.json 'image_mean' is not a number, or one for each"),
        ({"image_mean": 0, "image_std": 0}, "std"),
        ({"image_mean": [float("inf")]}, "'image_mean'"),
        ({"image_mean": 0, "rescale_factor": 0}, "'rescale_factor'"),
    ):
        settings.write_text(json.dumps(wrong))
        with pytest.raises(FactError) as raised:
            completed(path)
        assert message in str(raised.value)
        assert completed(path, inputs={"x": {"mean": 1, "std": 2}}).spec.inputs["x"].std == 2


def test_a_class_that_the_file_does_not_have(tmp_path: Path) -> None:
    path = shaped_model(tmp_path / "net.onnx", {"images": FREE}, {"output0": (1, 7, 126)}, YOLO)
    with pytest.raises(FactError, match=r"'cow' is not one of the labels; labels: bird, cat, dog's") as raised:
        completed(path, decode={"preset": "yolov8", "classes": ["cow"]})
    assert raised.value.code == codes.CONFLICTING_VALUES


def test_literals() -> None:
    assert literal("args", "{'a': None, 'b': [1, -2.5e3, True], \"c\": ('x\\'y',)}") == {
        "a": None,
        "b": [1, -2500.0, True],
        "c": ("x'y",),
    }


def test_a_single_key_of_a_presets_output_can_be_replaced(tmp_path: Path) -> None:
    path = shaped_model(tmp_path / "net.onnx", {"images": FIXED}, {"y": (1, 7, 126)})
    decode = {"preset": "yolov8", "labels": ["a", "b", "c"]}
    output = completed(path, decode=decode, outputs={"y": {"activation": {"scores": "sigmoid"}}}).spec.outputs["y"]
    assert (output.fields, output.dims) == (("box", "scores"), ("batch", "fields", "candidates"))
    assert output.activation == {"scores": "sigmoid"}
    picture = completed(path, decode=decode, outputs={"y": {"channels": "BGR"}}).spec.outputs["y"]
    assert (picture.fields, picture.is_picture) == (None, True)
