"""Check what a detector gives besides boxes: masks, keypoints and angles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from bmfgraph import error_codes as codes
from bmfgraph.error_codes import Code
from bmfgraph.errors import FieldError, PlanError, join_sorted
from bmfgraph.nodes.decode import DetectDecode
from bmfgraph.nodes.fields import OutputField, TensorAxes, TensorFields
from bmfgraph.plan.types import BundleSpec

__all__ = ["KeypointParams", "MaskParams", "check_angle", "described", "keypoint_params", "mask_output", "mask_params"]


@dataclass(frozen=True)
class KeypointParams:
    """The points of each object."""

    count: int
    numbers: Literal[2, 3]
    """Numbers of each point: x and y, or x, y and score."""
    unit: Literal["pixels", "picture", "cells", "box"]
    order: Literal["xy", "yx"]


@dataclass(frozen=True)
class MaskParams:
    """The pixels of each object."""

    tensor: TensorAxes
    """The prototypes [prototypes, height, width], or a mask for each candidate [candidates, height, width]."""
    form: Literal["prototypes", "boxes"]
    threshold: float
    """A pixel belongs to the object where the value, before any activation, is above it."""


def mask_output(outputs: BundleSpec, decode: DetectDecode) -> str | None:
    """Return the name of the output that holds prototypes, or the masks of boxes; None: there is none."""
    masks = decode.masks
    if masks is not None and (masks.boxes or masks.prototypes):
        return masks.boxes or masks.prototypes
    return next((name for name, layout in outputs.layouts if "prototypes" in (layout.dims or ())), None)


def mask_params(
    name: str, decode: DetectDecode, outputs: BundleSpec, tables: tuple[TensorFields, ...]
) -> MaskParams | None:
    """Compare the masks with the outputs, and return how to read them.

    Args:
        name: Name of the node.
        decode: The settings.
        outputs: The model's outputs.
        tables: How to read the other outputs.

    Raises:
        PlanError: The output, its dims or the weights are missing, or the weights are more or fewer than prototypes.
    """
    masks = decode.masks
    if masks is None:
        return None
    form: Literal["prototypes", "boxes"] = "boxes" if masks.boxes else "prototypes"
    output, by_name = mask_output(outputs, decode), {tensor.name: tensor for tensor in outputs.tensors}
    layout = dict(outputs.layouts).get(output or "")
    if output is None or output not in by_name or layout is None:
        text = f"{output!r} is not a described output" if output else "no output has the dim prototypes"
        raise PlanError(
            name,
            f"decode.masks.{form}: {text}; described: {join_sorted(dict(outputs.layouts))}; "
            f"the model has: {join_sorted(by_name)}",
            hint=f"describe model.outputs.{output or 'NAME'} with dims: "
            f"[batch, {'candidates' if masks.boxes else 'prototypes'}, height, width]",
            code=codes.MASKS_MISMATCH,
        )
    tensor = by_name[output]
    try:
        axes = layout.arrange(tensor, ("candidates" if masks.boxes else "prototypes", "height", "width"))
    except FieldError as error:
        raise _error(name, f"model.outputs.{output}: {error}", error.hint, codes.MASKS_MISMATCH) from None
    count, rows, columns = axes.sizes
    if form == "boxes":
        if rows is None or columns is None or (masks.size or rows, masks.size or columns) != (rows, columns):
            size = f"{rows or 'free'}x{columns or 'free'}"
            raise _error(
                name,
                f"{output} ({tensor}) has masks of {size}, and decode.masks.size is {masks.size}",
                "correct decode.masks.size or the dims, or export the model with fixed dims",
                codes.MASKS_MISMATCH,
            )
        others = [table for table in tables if table.rows is not None and "count" not in _roles(table)]
        if count is not None and any(table.rows != count for table in others):
            text = ", ".join(f"{table.tensor} has {table.rows}" for table in others)
            raise _error(
                name,
                f"{output} ({tensor}) has {count} masks, but the others have other numbers of candidates: {text}",
                f"correct model.outputs.{output}.dims",
                codes.MASKS_MISMATCH,
            )
    elif len(weights := _fields(tables, "mask")) == 0 or any(count != field.width for _, field in weights):
        table, text = (weights[0][0].tensor, f"mask:{weights[0][1].width}") if weights else ("", "no field mask:N")
        where = f"the fields of {table} have {text}" if weights else f"the fields have {text}"
        raise _error(
            name,
            f"{output} ({tensor}) has {count or 'a free number of'} prototypes, but {where}",
            f"write mask:{count} in the fields, or correct model.outputs.{output}.dims",
            codes.MASKS_MISMATCH,
        )
    logit = math.log(masks.threshold / (1 - masks.threshold))
    return MaskParams(axes, form, logit if masks.activation == "sigmoid" else masks.threshold)


def keypoint_params(name: str, decode: DetectDecode, tables: tuple[TensorFields, ...]) -> KeypointParams | None:
    """Compare the names of the keypoints with the outputs, and return how to read them.

    Raises:
        PlanError: The field is missing, or the names are more or fewer than its points.
    """
    points = decode.keypoints
    if points is None:
        return None
    fields = _fields(tables, "keypoints")
    if not fields:
        raise _error(
            name,
            f"no output of the model has the field 'keypoints'; described: {described(tables)}",
            f"write keypoints:{len(points.names)}x2, or x3 with a score, in the fields of its output",
            codes.MISSING_OUTPUT_FIELD,
        )
    for table, field in fields:
        count = field.width // field.group
        if count != len(points.names) or field.group != fields[0][1].group:
            raise _error(
                name,
                f"decode.keypoints.names has {len(points.names)} name(s), but {table.tensor} has the field "
                f"keypoints:{count}x{field.group}",
                f"name {count} points, or write keypoints:{len(points.names)}x{fields[0][1].group}",
                codes.KEYPOINTS_MISMATCH,
            )
    return KeypointParams(len(points.names), 2 if fields[0][1].group == 2 else 3, points.unit, points.order)


def check_angle(name: str, decode: DetectDecode, tables: tuple[TensorFields, ...]) -> bool:
    """Return whether the boxes have an angle.

    Raises:
        PlanError: Their form has no centre to turn about, or their unit is not the same in both directions.
    """
    if not _fields(tables, "angle"):
        return False
    form = "ltrb" if _fields(tables, "distances") else decode.box
    if form != "cxcywh" or decode.unit == "picture":
        raise _error(
            name,
            f"the field angle turns a box about its centre, but decode.box is {form} and decode.unit {decode.unit}",
            "set box: cxcywh, and unit: pixels or cells; or write skip:1 instead of angle",
            codes.ROTATED_BOX_FORM,
        )
    return True


def described(tables: tuple[TensorFields, ...]) -> str:
    """Return the outputs that are read, with their fields."""
    return ", ".join(f"{table.tensor} {_roles(table)}" for table in tables) or "none"


def _roles(table: TensorFields) -> list[str]:
    return [field.role for field in table.fields]


def _fields(tables: tuple[TensorFields, ...], role: str) -> list[tuple[TensorFields, OutputField]]:
    return [(table, field) for table in tables for field in table.fields if field.role == role]


def _error(name: str, message: str, hint: str, code: Code) -> PlanError:
    return PlanError(name, message, hint=hint, code=code)
