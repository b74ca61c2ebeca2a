"""Tiny detectors whose right declaration is known: three objects in a picture of 64x64, in several forms of output."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from tests.tools import save_model, tensor_info

__all__ = ["MODELS", "RIGHT", "Declaration", "constant_model", "detector"]

Array = NDArray[np.float32]
Declaration = dict[str, Any]

_SIZE = 64
_COUNT = 84
"""Candidates, as many as strides 8, 16 and 32 make."""
_LABELS = ["car", "cat", "dog"]
_V8 = {"dims": ["batch", "fields", "candidates"], "fields": ["box", "scores"]}
_V10 = {"dims": ["batch", "candidates", "fields"], "fields": ["box", "score", "label"]}
_V5 = {"dims": ["batch", "candidates", "fields"], "fields": ["box", "objectness", "scores"]}


def _boxes() -> Array:
    """Centres and sizes in pixels; the first three are objects."""
    random = np.random.default_rng(4)
    size = 6 + 20 * random.random((_COUNT, 2))
    boxes = np.concatenate([size / 2 + random.random((_COUNT, 2)) * (_SIZE - size), size], axis=1)
    boxes[:3] = [(16, 16, 20, 20), (44, 20, 24, 16), (30, 48, 40, 20)]
    return boxes.astype(np.float32)


def _scores() -> Array:
    scores = 0.01 + 0.05 * np.random.default_rng(5).random((_COUNT, 3))
    scores[[0, 1, 2], [2, 0, 1]] = 0.9, 0.8, 0.7
    return scores.astype(np.float32)


def _corners(boxes: Array) -> Array:
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)


def _logits(scores: Array) -> Array:
    logits: Array = np.log(scores / (1 - scores)).astype(np.float32)
    return logits


def _shares(place: int) -> Array:
    """Scores with a class for no object, which add up to 1."""
    scores = _scores() / 3
    scores[[0, 1, 2]] = np.eye(3)[[2, 0, 1]] * 0.88 + 0.02
    return np.insert(scores, place, 1 - scores.sum(axis=1), axis=1).astype(np.float32)


def _cells() -> Array:
    """Boxes in cells of the grid: the candidate's cell is subtracted, and sizes are logarithms."""
    rows: list[tuple[float, float, float, float]] = []
    for stride in (8, 16, 32):
        for y in range(_SIZE // stride):
            for x in range(_SIZE // stride):
                cx, cy, w, h = _boxes()[len(rows)]
                rows.append((cx / stride - x, cy / stride - y, np.log(w / stride), np.log(h / stride)))
    return np.array(rows, np.float32)


def _with_label(first: int) -> Array:
    """Corners, score and label of the three objects, then rows of zeros."""
    table: Array = np.zeros((50, 6), np.float32)
    table[:3, :4] = _corners(_boxes()[:3])
    table[:3, 4], table[:3, 5] = (0.9, 0.8, 0.7), np.array([2, 0, 1]) + first
    return table


_ONE = np.ones((_COUNT, 1), np.float32)
MODELS: dict[str, dict[str, NDArray[Any]]] = {
    "v8": {"out": np.concatenate([_boxes(), _scores()], axis=1).T},
    "v8_logits": {"out": np.concatenate([_boxes(), _logits(_scores())], axis=1).T},
    "v5": {"out": np.concatenate([_boxes(), _ONE * 0.99, _scores()], axis=1)},
    "fractions": {"out": np.concatenate([_boxes() / _SIZE, _scores()], axis=1).T},
    "v10": {"out": _with_label(0)},
    "v10_from_1": {"out": _with_label(1)},
    "cells": {"out": np.concatenate([_cells(), _ONE * 0.99, _scores()], axis=1)},
    "detr": {"logits": np.log(_shares(3)), "boxes": _boxes() / _SIZE},
    "shares_first": {"scores": _shares(0), "boxes": _boxes()},
    "shares_last": {"scores": _shares(3), "boxes": _boxes()},
    "scaled": {"out": _boxes()},
}
"""The outputs of each model, without the batch dim. The scores of ``scaled`` depend on its input."""

_PAIR: Declaration = {"boxes": {"fields": ["box"]}}
_DECODE: Declaration = {"labels": _LABELS}
RIGHT: dict[str, Declaration] = {
    "v8": {"outputs": {"out": _V8}, "decode": _DECODE},
    "v8_logits": {"outputs": {"out": _V8 | {"activation": {"scores": "sigmoid"}}}, "decode": _DECODE},
    "v5": {"outputs": {"out": _V5}, "decode": _DECODE},
    "fractions": {"outputs": {"out": _V8}, "decode": _DECODE | {"unit": "picture"}},
    "v10": {"outputs": {"out": _V10}, "decode": _DECODE | {"box": "xyxy", "nms": "none"}},
    "v10_from_1": {"outputs": {"out": _V10}, "decode": _DECODE | {"box": "xyxy", "nms": "none", "first_label": 1}},
    "cells": {
        "outputs": {"out": _V5},
        "decode": _DECODE | {"unit": "cells", "grid": {"strides": [8, 16, 32], "size": "exp"}},
    },
    "detr": {
        "outputs": _PAIR | {"logits": {"fields": ["scores"], "activation": "softmax"}},
        "decode": _DECODE | {"unit": "picture", "nms": "none", "background": "last"},
    },
    "shares_first": {
        "outputs": _PAIR | {"scores": {"fields": ["scores"]}},
        "decode": _DECODE | {"background": "first"},
    },
    "shares_last": {
        "outputs": _PAIR | {"scores": {"fields": ["scores"]}},
        "decode": _DECODE | {"background": "last"},
    },
    "scaled": {
        "inputs": {"images": {"std": 255}},
        "outputs": {"out": {"fields": ["box"]}, "scores": {"fields": ["scores"]}},
        "decode": _DECODE,
    },
}
"""The right declaration of each model."""


def constant_model(path: Path, outputs: Mapping[str, NDArray[Any]], *, scaled: bool = False) -> Path:
    """Write a model: ``images`` float32 [1, 3, 64, 64] to the same outputs for each picture, with the batch dim.

    Args:
        path: The file.
        outputs: The tables by name.
        scaled: With a further output ``scores`` that depends on the input.
    """
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
    ]
    weights: dict[str, NDArray[Any]] = {"nothing": np.array(0, np.float32)}
    for key, table in outputs.items():
        nodes.append(helper.make_node("Add", [f"{key}_table", "zero"], [key]))
        weights[f"{key}_table"] = table
    shapes = {key: table.shape for key, table in outputs.items()}
    if scaled:
        # Logits that grow with the mean of the input, which is about 0.5 where it is in 0..1.
        nodes += [
            helper.make_node("Mul", ["gains", "mean"], ["logits"]),
            helper.make_node("Sigmoid", ["logits"], ["scores"]),
        ]
        weights["gains"] = (2 * _logits(_scores()))[None]
        shapes["scores"] = (1, _COUNT, 3)
    return save_model(
        path,
        nodes,
        [tensor_info("images", "float32", [1, 3, _SIZE, _SIZE])],
        [tensor_info(key, "float32", shape) for key, shape in shapes.items()],
        weights,
    )


def detector(path: Path, name: str) -> Path:
    """Write one of the models."""
    outputs = {key: np.ascontiguousarray(table[None]).astype(np.float32) for key, table in MODELS[name].items()}
    return constant_model(path, outputs, scaled=name == "scaled")
