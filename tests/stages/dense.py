"""Maps of a model's output on their way to the source frame, computed with NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmfgraph.nodes.map import MapParams
from bmfgraph.nodes.segment import SegmentParams
from bmfgraph.plan.plan import Inferred
from bmfgraph.plan.types import BundleSpec, Placement, SegmentsSpec
from tests.tools import frames, node

__all__ = ["PLACES", "Floats", "in_frame", "in_source", "map_params", "segment_params", "sigmoid", "softmax"]

Floats = NDArray[np.float64]

PLACES: Mapping[str, Placement] = {
    "whole": Placement(32, 16, 32, 16, 1.0, 1.0, 0.0, 0.0),
    "letterboxed": Placement(64, 16, 32, 32, 0.5, 0.5, 0.0, 12.0),
    # In a map of a quarter of the size, the frame begins and ends within a pixel.
    "between pixels": Placement(40, 26, 40, 32, 1.0, 1.0, 0.0, 3.0),
    "stretched": Placement(30, 20, 32, 16, 32 / 30, 0.8, 0.0, 0.0),
    # The model reads the middle of the frame.
    "cropped": Placement(48, 16, 16, 16, 1.0, 1.0, -16.0, 0.0),
}
"""Positions of a source frame in a model's input."""


def in_frame(place: Placement, size: tuple[int, int]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the columns and the rows of a map, width x height, whose centres lie in the source frame."""
    where = place.scaled_to(*size)
    columns, rows = np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5
    right, bottom = where.left + where.source_width * where.scale_x, where.top + where.source_height * where.scale_y
    return (
        np.flatnonzero((columns >= where.left) & (columns < right)),
        np.flatnonzero((rows >= where.top) & (rows < bottom)),
    )


def in_source(values: Any, place: Placement, width: int, height: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Interpolate planes of a map at the centres of the pixels of the source frame, in a grid of width x height.

    Returns:
        The values [n, height, width], and which of them the model has seen.
    """
    size = (values.shape[2], values.shape[1])
    where = place.scaled_to(*size)
    columns, rows = in_frame(place, size)
    x = (np.arange(width) + 0.5) / width * where.source_width * where.scale_x + where.left
    y = (np.arange(height) + 0.5) / height * where.source_height * where.scale_y + where.top
    planes = []
    for plane in np.asarray(values, float):
        across = np.array([np.interp(x, columns + 0.5, plane[row, columns]) for row in rows])
        planes.append(np.array([np.interp(y, rows + 0.5, across[:, column]) for column in range(width)]).T)
    seen = np.outer((y >= 0) & (y < size[1]), (x >= 0) & (x < size[0]))
    return np.array(planes), seen


def softmax(scores: Any) -> Any:
    powers = np.exp(scores - scores.max(axis=0))
    return powers / powers.sum(axis=0)


def sigmoid(scores: Any) -> Any:
    return 1 / (1 + np.exp(-scores))


def segment_params(outputs: BundleSpec, **options: Any) -> tuple[SegmentParams, SegmentsSpec]:
    """Return what the stage of a ``segment`` node gets, and the type of its results."""
    made = node("segment", "net", **options)
    inferred: Inferred = made.spec.infer(made, (outputs,), None)
    kind = inferred.outputs[0].type
    assert isinstance(kind, SegmentsSpec)
    assert isinstance(inferred.params, SegmentParams)
    return inferred.params, kind


def map_params(outputs: BundleSpec, *, framed: bool = False, **options: Any) -> MapParams:
    """Return what the stage of a ``map`` node gets, with the frames as its second input if ``framed``."""
    made = node("map", "net", *(["source.video"] if framed else []), **options)
    made.spec.check_options("n")
    source = outputs.tensors[0].source
    assert source is not None
    second = (frames(source.width, source.height, "rgb24"),) if framed else ()
    params = made.spec.infer(made, (outputs, *second), None).params
    assert isinstance(params, MapParams)
    return params
