"""Define how the keypoints of each detected object follow from a model's outputs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from bmfgraph.errors import FieldError
from bmfgraph.nodes.base import Frozen
from bmfgraph.nodes.decode.base import or_text, read_set

__all__ = ["KeypointDecode"]

Number = Annotated[int, Field(ge=0)]


class KeypointDecode(Frozen):
    """The names of the points that the field `keypoints:NxM` holds, and the meaning of their numbers."""

    names: tuple[str, ...] = Field(
        min_length=1,
        description="Names of the points in order: a list, or a set such as coco17 or face5.",
        json_schema_extra=or_text,
    )
    skeleton: tuple[tuple[Number, Number], ...] = Field(
        default=(),
        description="Pairs of points, counted from 0, that are joined by a line: a list, or that of a set; left out: "
        "that of the set that `names` is.",
        json_schema_extra=or_text,
    )
    unit: Literal["pixels", "picture", "cells", "box"] = Field(
        default="pixels",
        description="Pixels of the model's input, 0..1 of it, cells from the cell's origin, or 0..1 of the object's "
        "box.",
    )
    order: Literal["xy", "yx"] = Field(default="xy", description="Order of the coordinates of a point.")

    @model_validator(mode="before")
    @classmethod
    def _read_sets(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        value = dict(value)
        if isinstance(value.get("names"), str):
            value.setdefault("skeleton", value["names"])
        for key in ("names", "skeleton"):
            if isinstance(value.get(key), str):
                value[key] = read_set("keypoints", value[key], "write a list, or one of these sets")[key]
        return value

    @model_validator(mode="after")
    def _known_points(self) -> KeypointDecode:
        if doubled := [name for name in self.names if self.names.count(name) > 1]:
            raise FieldError(f"names: {doubled[0]!r} occurs twice", "give each point a name of its own")
        for pair in self.skeleton:
            if max(pair) >= len(self.names):
                raise FieldError(
                    f"skeleton: {list(pair)} joins point {max(pair)}, but the {len(self.names)} points are numbered "
                    f"0..{len(self.names) - 1}",
                    "count points from 0",
                )
        return self
