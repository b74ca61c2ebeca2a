"""Define how the objects that a model detects follow from its outputs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from bmfgraph.errors import FieldError
from bmfgraph.nodes.base import Frozen
from bmfgraph.nodes.decode.base import LabelledDecode, Score
from bmfgraph.nodes.decode.keypoints import KeypointDecode
from bmfgraph.nodes.decode.masks import MaskDecode

__all__ = ["BoxForm", "CellGrid", "DetectDecode"]

BoxForm = Literal["cxcywh", "xyxy", "xywh", "yxyx", "ltrb"]


class CellGrid(Frozen):
    """Cells in which an undecoded head counts its boxes."""

    strides: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        min_length=1, description="Pixels of the model's input per cell, level by level."
    )
    anchors: int = Field(default=1, ge=1, le=64, description="Candidates of each cell, one after the other.")
    centre: float = Field(default=0.0, ge=0, le=1, description="Origin of a cell: 0 its corner, 0.5 its middle.")
    size: Literal["linear", "exp"] = Field(default="linear", description="exp: width and height are logarithms.")


class DetectDecode(LabelledDecode):
    """How to read labelled boxes from the outputs that `model.outputs` describes."""

    task: Literal["detect"] = Field(default="detect", description="What the model does.")
    box: BoxForm = Field(default="cxcywh", description="Numbers of a box; ltrb: distances from the cell's origin.")
    unit: Literal["pixels", "picture", "cells", "source"] = Field(
        default="pixels", description="Pixels of the model's input, 0..1 of it, cells of the grid, or source pixels."
    )
    grid: CellGrid | None = Field(default=None, description="The cells of an undecoded head.")
    background: Literal["none", "first", "last"] = Field(
        default="none", description="Place of the class in `scores` that stands for no object."
    )
    nms: Literal["per_class", "all", "none"] = Field(
        default="per_class", description="Which overlapping boxes exclude each other; none: the model does it itself."
    )
    iou: Score = Field(default=0.45, description="Boxes that overlap a better one by more are dropped.")
    most: int = Field(default=300, ge=1, le=10_000, description="Largest number of objects in a frame: the best.")
    threshold: Score | dict[str, Score] = Field(
        default=0.25, description="Minimum score of a detection; or one for each label, with `default` for the others."
    )
    first_label: int = Field(default=0, ge=0, description="Number of the first class in a `label` field.")
    masks: MaskDecode | None = Field(default=None, description="The pixels of each object; null: not read.")
    keypoints: KeypointDecode | None = Field(default=None, description="The points of each object; null: not read.")

    @model_validator(mode="after")
    def _consistent(self) -> DetectDecode:
        if (self.unit == "cells" or self.box == "ltrb") and self.grid is None:
            raise FieldError(
                f"unit {self.unit} and box {self.box} need the grid's strides", "set grid: {strides: [8, 16, 32]}"
            )
        if self.keypoints and self.keypoints.unit == "cells" and self.grid is None:
            raise FieldError("keypoints.unit cells needs the grid's strides", "set grid: {strides: [8, 16, 32]}")
        return self
