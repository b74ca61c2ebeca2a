"""Check the fields of keypoints and angles that a detector gives besides boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bmfgraph import error_codes as codes
from bmfgraph.error_codes import Code
from bmfgraph.errors import PlanError
from bmfgraph.nodes.decode import DetectDecode
from bmfgraph.nodes.fields import OutputField, TensorFields

__all__ = ["KeypointParams", "check_angle", "described", "keypoint_params"]


@dataclass(frozen=True)
class KeypointParams:
    """The points of each object."""

    count: int
    numbers: Literal[2, 3]
    """Numbers of each point: x and y, or x, y and score."""
    unit: Literal["pixels", "picture", "cells", "box"]
    order: Literal["xy", "yx"]


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
