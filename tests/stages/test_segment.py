"""Label maps: the best class of each pixel, thresholds, background, and the way to the source frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bmfgraph.errors import Problem
from bmfgraph.nodes.segment import NO_CLASS
from bmfgraph.plan.types import Placement
from bmfgraph.stages import segment
from bmfgraph.stages.items import Frame, Sample
from bmfgraph.stages.segment import Segment
from tests.stages.dense import PLACES, in_source, segment_params, sigmoid, softmax
from tests.tools import model_output, opened

WHOLE = Placement(4, 2, 4, 2, 1.0, 1.0, 0.0, 0.0)
COLORS = ["red", "green", "blue"]


def label_map(values: Any, decode: dict[str, Any], place: Placement = WHOLE, **other: Any) -> list[list[int]]:
    """Return the label map of an output, whose batch dim is added."""
    options = {"size": other.pop("size", "model")}
    array = np.asarray(values)[None]
    outputs = model_output(array.shape, place, {"task": "segment"} | decode, dtype=str(array.dtype), **other)
    params, kind = segment_params(outputs, **options)
    (result,) = opened(Segment("n", params)).process(Sample({"out": torch.from_numpy(array)}, (Frame(7),)))
    assert (result.index, result.names, result.classes.dtype) == (7, kind.labels, torch.uint8)
    assert tuple(result.classes.shape) == (kind.height, kind.width)
    rows: list[list[int]] = result.classes.tolist()
    return rows


# Scores of three classes for 4x2 pixels.
SCORES = np.array(
    [[[9, 0, 0, 4], [0, 1, 2, 0]], [[0, 8, 0, 5], [0, 2, 1, 0]], [[0, 0, 7, 6], [3, 0, 0, 1]]], np.float32
)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_best_class_wins(dtype: str) -> None:
    expected = [[0, 1, 2, 2], [2, 1, 0, 2]]
    assert label_map(SCORES.astype(dtype), {"labels": COLORS}) == expected
    last = np.ascontiguousarray(SCORES.transpose(1, 2, 0).astype(dtype))
    assert label_map(last, {"labels": COLORS}, dims=["batch", "height", "width", "classes"]) == expected
    turned = np.ascontiguousarray(SCORES.transpose(0, 2, 1).astype(dtype))
    assert label_map(turned, {"labels": COLORS}, dims=["batch", "classes", "width", "height"]) == expected


def test_weak_pixels_become_background() -> None:
    # The best probabilities: 0.9995, 0.9987, 0.9971, 0.6652; 0.9094, 0.6652, 0.6652, 0.5761.
    decode = {"labels": COLORS, "threshold": 0.66}
    assert label_map(SCORES, decode, activation="softmax") == [[0, 1, 2, 2], [2, 1, 0, NO_CLASS]]
    decode["threshold"] = {"default": 0.9, "green": 0.5}
    weak = NO_CLASS
    assert label_map(SCORES, decode, activation="softmax") == [[0, 1, 2, weak], [2, 1, weak, weak]]
    decode["background"] = "red"
    assert label_map(SCORES, decode, activation="softmax") == [[0, 1, 2, 0], [2, 1, 0, 0]]


def test_classes_that_are_not_kept_become_background() -> None:
    decode: dict[str, Any] = {"labels": COLORS, "classes": ["green"]}
    none = NO_CLASS
    assert label_map(SCORES, decode) == [[none, 1, none, none], [none, 1, none, none]]
    assert label_map(SCORES, decode | {"background": "blue"}) == [[2, 1, 2, 2], [2, 1, 2, 2]]
    numbers = np.array([[0, 1, 2, 3], [255, -1, 1, 0]], np.int32)
    assert label_map(numbers, decode) == [[none, 1, none, none], [none, none, 1, none]]


@pytest.mark.parametrize("shape", [(2, 4), (1, 2, 4), (2, 4, 1)], ids=str)
def test_a_single_score_is_a_class_above_the_threshold(shape: tuple[int, ...]) -> None:
    scores = np.array([-3, -0.1, 0, 0.1, 0.84, 0.85, 2, 9], np.float32).reshape(shape)
    meaning: dict[str, Any] = {"activation": "sigmoid"}
    if shape[-1] == 1:
        meaning["dims"] = ["batch", "height", "width", "classes"]
    none = NO_CLASS
    assert label_map(scores, {"labels": ["person"]}, **meaning) == [[none, none, 0, 0], [0, 0, 0, 0]]
    # sigmoid(0.84) = 0.6985, sigmoid(0.85) = 0.7006
    decode = {"labels": ["person"], "threshold": 0.7}
    assert label_map(scores, decode, **meaning) == [[none] * 4, [none, 0, 0, 0]]


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_class_numbers_stay_as_they_are(dtype: str) -> None:
    numbers = np.array([[[0, 1, 2, 3], [255, 0, 1, 2]]], dtype)
    meaning: dict[str, Any] = {"fields": ["label"]} if dtype == "float32" else {}
    expected = [[0, 1, 2, NO_CLASS], [NO_CLASS, 0, 1, 2]]
    assert label_map(numbers, {"labels": COLORS}, **meaning) == expected
    assert label_map(numbers[0], {"labels": COLORS}, **meaning) == expected


def test_a_letterboxed_label_map_is_cut_and_its_numbers_are_not_mixed() -> None:
    # The 4x2 frame fills 8x4 of an input of 8x8; a map of 4x4 has half a pixel of the bars at each row's end.
    numbers = np.array([[9, 9, 9, 9], [0, 1, 2, 0], [1, 1, 2, 2], [9, 9, 9, 9]], np.uint8)
    place = Placement(4, 2, 8, 8, 2.0, 2.0, 0.0, 2.0)
    assert label_map(numbers, {"labels": COLORS}, place) == [[0, 1, 2, 0], [1, 1, 2, 2]]
    frame = Placement(8, 4, 8, 8, 1.0, 1.0, 0.0, 2.0)
    assert label_map(numbers, {"labels": COLORS}, frame) == [[0, 1, 2, 0], [1, 1, 2, 2]]
    wide = [[0, 0, 1, 1, 2, 2, 0, 0]] * 2 + [[1, 1, 1, 1, 2, 2, 2, 2]] * 2
    assert label_map(numbers, {"labels": COLORS}, frame, size="source") == wide


@pytest.mark.parametrize("size", ["model", "source"])
@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("place", PLACES)
def test_a_label_map_covers_exactly_the_frame(
    place: str, stride: int, size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A few rows at a time.
    monkeypatch.setattr(segment, "_BAND", 300)
    where = PLACES[place]
    shape = (3, where.height // stride, where.width // stride)
    scores = np.random.default_rng(len(place) + stride).normal(size=shape).astype(np.float32) * 3
    decode = {"labels": COLORS, "threshold": 0.55}
    actual = label_map(scores, decode, where, size=size, activation="softmax")
    expected, seen = in_source(scores, where, len(actual[0]), len(actual))
    shares = softmax(expected)
    classes = np.where(seen & (shares.max(axis=0) >= 0.55), shares.argmax(axis=0), NO_CLASS)
    assert actual == classes.tolist()
    assert NO_CLASS in classes
    if size == "source":
        assert (len(actual[0]), len(actual)) == (where.source_width, where.source_height)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["segmentation", "ppocr_det"])
def test_a_preset_decodes_as_published(name: str, place: str) -> None:
    where, random = PLACES[place], np.random.default_rng(len(name) + len(place))
    if name == "segmentation":
        labels = [f"class{number}" for number in range(21)]
        scores = random.normal(size=(21, where.height, where.width)).astype(np.float32)
        values, seen = in_source(scores, where, where.source_width, where.source_height)
        expected = np.where(seen, softmax(values).argmax(axis=0), NO_CLASS)
    else:
        labels = ["text"]
        scores = sigmoid(random.normal(size=(1, where.height, where.width))).astype(np.float32)
        values, seen = in_source(scores, where, where.source_width, where.source_height)
        expected = np.where(seen & (values[0] > 0.3), 0, NO_CLASS)
    actual = label_map(scores, {"preset": name, "labels": labels}, where, size="source")
    assert actual == expected.tolist()


def test_the_frame_outside_of_a_region_is_not_seen() -> None:
    # The right half of a frame of 4x2 lies in the left half of a map of 4x2; the right half of the map is a bar.
    place = Placement(4, 2, 4, 2, 1, 1, -2, 0, (2, 0, 2, 2))
    assert label_map(SCORES, {"labels": COLORS}, place) == [[255, 255, 0, 1], [255, 255, 2, 1]]


@pytest.mark.parametrize(("threshold", "codes"), [(0.5, ["W112"]), (0.0, [])])
def test_scores_without_their_activation_are_told_where_a_threshold_reads_them(
    threshold: float, codes: list[str]
) -> None:
    decode = {"task": "segment", "labels": COLORS, "threshold": threshold}
    stage = Segment("n", segment_params(model_output((1, 3, 2, 4), WHOLE, decode))[0])
    warnings: list[Problem] = []
    stage.receive_warning = warnings.append
    for index in range(2):
        list(opened(stage).process(Sample({"out": torch.from_numpy(SCORES[None])}, (Frame(index),))))
    assert [problem.code for problem in warnings] == codes
