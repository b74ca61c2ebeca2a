"""Test the checks of a model's first results: what they warn of, and above all what they leave alone."""

# ruff: noqa: E501
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bmfgraph.plan.types import TensorMeaning
from bmfgraph.stages.sanity import check_activation, check_boxes, check_labels, check_scores

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(-3, 2, (40, 5)).astype(np.float32)
SHARES = (np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)).astype(np.float32)
SIGMOIDS = (1 / (1 + np.exp(-LOGITS))).astype(np.float32)
MASKED = np.where(LOGITS < -4, -np.inf, LOGITS).astype(np.float32)
ZERO_TO_ONE = [("images", TensorMeaning(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)))]


def scores(values: Any, **settings: Any) -> list[tuple[str, str]]:
    settings = {"activation": "none", "output": "out", **settings}
    check = check_activation if "exclusive" in settings else check_scores
    return [(problem.code, problem.hint) for problem in check(np.asarray(values, np.float32), **settings)]


@pytest.mark.parametrize(
    ("values", "settings"),
    [
        (SHARES, {"exclusive": True}),
        (SIGMOIDS, {}),
        (SIGMOIDS + 0.005, {}),
        (LOGITS, {"activation": "sigmoid"}),
        (LOGITS, {"activation": "softmax"}),
        (MASKED, {"activation": "sigmoid"}),
        (MASKED, {"activation": "softmax", "background": "last"}),
        (np.log(SHARES), {"activation": "exp"}),
        (SHARES, {"background": "first"}),
        (np.zeros((300, 1)), {}),
        (np.zeros((0, 5)), {}),
        # One picture: its classes say nothing about a background.
        ([[0.9, 0.05, 0.05]], {"exclusive": True}),
        ([[0.2, 0.3, 0.5]], {"activation": "softmax", "exclusive": True, "values": None}),
        ([[1.0]], {}),
    ],
)
def test_scores_of_a_right_config_give_no_warning(values: Any, settings: dict[str, Any]) -> None:
    if settings.pop("values", ...) is None:
        values = np.log(values)
    assert scores(values, **settings) == []


@pytest.mark.parametrize(
    ("values", "settings", "code", "hint"),
    [
        (LOGITS, {"exclusive": True}, "W112", "set model.outputs.out.activation to softmax; it is none"),
        (LOGITS[:1], {"exclusive": True}, "W112", "set model.outputs.out.activation to softmax; it is none"),
        (MASKED, {}, "W112", "set model.outputs.out.activation to sigmoid; it is none"),
        ([[0.2, 0.3, 0.5]], {"activation": "softmax"}, "W112", "set model.outputs.out.activation to none; it is softmax"),
        (np.full((40, 5), 0.25), {}, "W114", "compare mean, std and channels of model.inputs"),
        (np.full((1, 3), np.nan), {"inputs": ZERO_TO_ONE}, "W114", "correct model.inputs.images.mean, which is 123.675/116.28/103.53, and model.inputs.images.std"),
        (np.full((1, 3), np.inf), {"inputs": [("x", TensorMeaning())]}, "W114", "set model.inputs.x.std to 255"),
    ],
)  # fmt: skip
def test_scores_of_a_wrong_config(values: Any, settings: dict[str, Any], code: str, hint: str) -> None:
    ((actual, advice),) = scores(values, **settings)
    assert actual == code
    assert hint in advice


def test_boxes_and_labels_of_a_right_config_give_no_warning() -> None:
    boxes = np.array([[-30, -20, 200, 90], [5, 5, 6, 6], [300, 200, 330, 260]], np.float32)
    assert check_boxes(boxes, (320, 240), unit="pixels", form="xyxy") == []
    assert check_boxes(np.zeros((0, 4), np.float32), (320, 240), unit="pixels", form="xyxy") == []
    assert check_boxes(boxes[1:2] - 5, (320, 240), unit="picture", form="xyxy") == []
    assert check_labels(np.array([1, 90], np.float32), 90, first_label=1) == []
    assert check_labels(np.zeros(0, np.float32), 90, first_label=1) == []


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize("activation", ["none", "sigmoid"])
def test_an_output_of_padding_alone_says_nothing(value: float, activation: Any) -> None:
    assert check_scores(np.full((300, 1), value, np.float32), activation=activation, output="o") == []
