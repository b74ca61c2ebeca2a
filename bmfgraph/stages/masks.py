"""Make the masks of objects from prototypes, or from a mask for each box."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bmfgraph.nodes.mask_fields import MaskParams
from bmfgraph.plan.types import Placement
from bmfgraph.stages.results import Masks

__all__ = ["masks_of_boxes", "masks_of_prototypes"]


def masks_of_prototypes(
    weights: NDArray[np.float32], prototypes: torch.Tensor, params: MaskParams, place: Placement
) -> Masks:
    """Return masks that are mixed of prototypes by the weights of each object (Bolya et al., YOLACT, 2019).

    Args:
        weights: float32 [n, prototypes].
        prototypes: The model's output without the batch dim, on the CPU.
        params: Order of its axes, and the threshold.
        place: Position of the source frame in the model's input, which the prototypes cover.
    """
    planes = prototypes.permute(params.tensor.axes)
    rows, columns = planes.shape[-2:]
    return Masks(
        planes.reshape(-1, rows, columns).float().numpy(),
        params.threshold,
        place.scaled_to(columns, rows),
        weights=weights,
    )


def masks_of_boxes(values: NDArray[np.float32], params: MaskParams, place: Placement) -> Masks:
    """Return the masks that cover the box of their object.

    Args:
        values: float32 [n, rows * columns].
        params: Rows and columns of a mask, and the threshold.
        place: Position of the source frame in the model's input.
    """
    _, rows, columns = params.tensor.sizes
    assert rows is not None
    assert columns is not None
    return Masks(values.reshape(-1, rows, columns), params.threshold, place, by_box=True)
