"""A detector of white rectangles whose answer is known exactly, as an ONNX file of some kilobytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from tests.tools import Pixels, save_model, tensor_info

__all__ = ["blob_model", "blobs"]

SIDE = 256
LARGEST = 32
"""Largest side of a rectangle; the gaps between two are larger."""

Corners = tuple[int, int, int, int]


def blob_model(path: Path) -> Path:
    """``input`` float32 [N, 3, 256, 256] to ``boxes`` [N, 5, 65536], x1, y1, x2, y2, score of each pixel.

    In a window larger than a rectangle, the greatest and the least coordinate of white pixels are its edges. The score
    is the level / 255 at the upper left pixel of each rectangle, and 0 elsewhere. A rectangle at the edge of the input
    ends there.
    """
    numbers = np.arange(SIDE, dtype=np.float32)
    nodes = [
        helper.make_node("Slice", ["input", "zero", "one", "one"], ["level"]),
        helper.make_node("Greater", ["level", "threshold"], ["is_white"]),
        helper.make_node("Cast", ["is_white"], ["white"], to=1),
    ]
    window = 2 * LARGEST - 1
    for axis, kernel in (("x", [1, window]), ("y", [window, 1])):
        for name, values in ((f"{axis}1", f"{axis}_down"), (f"{axis}2", f"{axis}_up")):
            # Within a rectangle each row and each column reaches from edge to edge.
            nodes += [
                helper.make_node("Mul", ["white", values], [f"{name}_here"]),
                helper.make_node(
                    "MaxPool",
                    [f"{name}_here"],
                    [f"{name}_most"],
                    kernel_shape=kernel,
                    pads=[k // 2 for k in kernel] * 2,
                ),
            ]
        nodes += [
            helper.make_node("Sub", ["side", f"{axis}1_most"], [f"{axis}1"]),
            helper.make_node("Equal", [f"{axis}1", f"{axis}_here"], [f"{axis}_first"]),
            helper.make_node("Identity", [f"{axis}2_most"], [f"{axis}2"]),
        ]
    nodes += [
        helper.make_node("And", ["x_first", "y_first"], ["first"]),
        helper.make_node("And", ["first", "is_white"], ["corner"]),
        helper.make_node("Cast", ["corner"], ["corner_number"], to=1),
        helper.make_node("Mul", ["level", "corner_number"], ["corner_level"]),
        helper.make_node("Div", ["corner_level", "full"], ["score"]),
        helper.make_node("Concat", ["x1", "y1", "x2", "y2", "score"], ["planes"], axis=1),
        helper.make_node("Reshape", ["planes", "shape"], ["boxes"]),
    ]
    across, down = numbers.reshape(1, 1, 1, SIDE), numbers.reshape(1, 1, SIDE, 1)
    weights: dict[str, NDArray[Any]] = {
        "zero": np.array([0], np.int64),
        "one": np.array([1], np.int64),
        "threshold": np.array(128, np.float32),
        "side": np.array(SIDE, np.float32),
        "full": np.array(255, np.float32),
        "shape": np.array([0, 5, SIDE * SIDE], np.int64),
        "x_here": across,
        "y_here": down,
        # Coordinates of the right and lower edges of each pixel, and of the left and upper ones from the other end.
        "x_up": across + 1,
        "y_up": down + 1,
        "x_down": SIDE - across,
        "y_down": SIDE - down,
    }
    return save_model(
        path,
        nodes,
        [tensor_info("input", "float32", ["N", 3, SIDE, SIDE])],
        [tensor_info("boxes", "float32", ["N", 5, SIDE * SIDE])],
        weights,
    )


def blobs(width: int, height: int, *rectangles: Corners) -> Pixels:
    """Return a black picture with white rectangles, uint8 [height, width, 3]."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for left, top, right, bottom in rectangles:
        pixels[top:bottom, left:right] = 255
    return pixels
