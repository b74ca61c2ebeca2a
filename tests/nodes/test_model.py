"""What a model's config means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bmfgraph.nodes.decode import DetectDecode
from bmfgraph.nodes.model import InputMeaning, ModelSpec, OutputMeaning, WindowOptions
from bmfgraph.plan.types import NO_WINDOW, TensorMeaning, Window


@pytest.mark.parametrize(
    ("options", "meaning"),
    [
        ({}, TensorMeaning()),
        ({"layout": "NHWC", "channels": "BGR"}, TensorMeaning("NHWC", "BGR")),
        ({"mean": 127, "std": 128}, TensorMeaning(mean=(127,), std=(128,))),
        ({"mean": [1, 2, 3], "std": [255]}, TensorMeaning(mean=(1, 2, 3), std=(255,))),
        ({"channels": "GRAY", "mean": [5]}, TensorMeaning(channels="GRAY", mean=(5,))),
    ],
    ids=str,
)
def test_meaning(options: dict[str, Any], meaning: TensorMeaning) -> None:
    assert OutputMeaning.model_validate(options).meaning() == meaning
    assert InputMeaning.model_validate(options | {"multiple": 8}).meaning() == meaning


@pytest.mark.parametrize(
    ("options", "window"),
    [
        ({}, NO_WINDOW),
        ({"frames": 7, "outputs": [2, 3, 4], "step": 3}, Window(7, (2, 3, 4), 3)),
        ({"frames": 5, "outputs": [2]}, Window(5, (2,), 1)),
        ({"frames": 3, "outputs": [0, 1, 2], "step": 3}, Window(3, (0, 1, 2), 3)),
    ],
    ids=str,
)
def test_window(options: dict[str, Any], window: Window) -> None:
    assert WindowOptions.model_validate(options).window() == window


@pytest.mark.parametrize(
    "options",
    [
        {"frames": 0},
        {"frames": 65},
        {"outputs": []},
        {"frames": 3, "outputs": [-1, 0, 1], "step": 3},
        {"frames": 3, "outputs": [1, 0], "step": 2},
        {"frames": 3, "outputs": [1, 1], "step": 2},
        {"frames": 3, "outputs": [0, 1, 2], "step": 2},
        {"step": 0},
    ],
    ids=str,
)
def test_windows_that_would_lose_or_double_frames(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WindowOptions.model_validate(options)


def test_a_model_needs_a_file_or_a_source() -> None:
    assert ModelSpec(name="m", file=Path("a.onnx")).window == WindowOptions()
    assert ModelSpec(name="m", source="package:x/y").file is None
    with pytest.raises(ValidationError, match="neither source nor file"):
        ModelSpec(name="m")


def test_window_null_means_none() -> None:
    assert ModelSpec.model_validate({"name": "m", "file": "a", "window": None}).window == WindowOptions()


def test_a_preset_is_the_default_of_the_decoding_and_survives_a_round_trip() -> None:
    model = ModelSpec.model_validate(
        {
            "name": "m",
            "file": "m.onnx",
            "decode": {"preset": "yolov8", "labels": "coco80", "iou": 0.5},
            "inputs": {"images": {"pad_value": 0}},
        }
    )
    assert isinstance(model.decode, DetectDecode)
    assert model.decode.labels is not None
    assert (model.decode.iou, model.decode.threshold, len(model.decode.labels)) == (0.5, 0.25, 80)
    assert model.decode.model_fields_set == {"task", "preset", "labels", "iou"}
    assert ModelSpec.model_validate(model.model_dump(mode="json")) == model


def test_the_word_alone_names_a_preset() -> None:
    model = ModelSpec.model_validate({"name": "m", "file": "m.onnx", "decode": "centerface"})
    assert isinstance(model.decode, DetectDecode)
    assert model.decode.grid is not None
    assert model.decode.labels == ("face",)
