"""``detections``: turn a detector's output tensors into labelled boxes in source pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from bmfgraph import error_codes as codes
from bmfgraph.errors import FieldError, PlanError, join_sorted
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.decode import BoxForm, DetectDecode
from bmfgraph.nodes.fields import TensorFields
from bmfgraph.nodes.results import label_names, model_outputs
from bmfgraph.plan.description import Inferred, Requirement
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import BundleSpec, DetectionsSpec, Device, Placement, Port, PortType

__all__ = ["DetectionsNodeSpec", "DetectionsParams", "GridParams"]

_UNUSED = frozenset({"skip", "mask", "keypoints"})
"""Fields that no box is made from."""
_SINGLE = frozenset({"cx", "cy", "w", "h"})


@dataclass(frozen=True)
class GridParams:
    """The cells of an undecoded head."""

    levels: tuple[tuple[int, int, int], ...]
    """Stride in pixels, rows and columns of each level."""
    centre: float
    exp: bool


@dataclass(frozen=True)
class DetectionsParams:
    """The numbers that boxes are read from, and the rules for them."""

    tensors: tuple[TensorFields, ...]
    box: BoxForm
    unit: Literal["pixels", "picture", "cells", "source"]
    grid: GridParams | None
    background: Literal["none", "first", "last"]
    nms: Literal["per_class", "all", "none"]
    iou: float
    most: int
    thresholds: tuple[float, ...]
    """Minimum score of each label; 2 for a label that is not kept."""
    labels: tuple[str, ...]
    first_label: int
    placement: Placement


class DetectionsNodeSpec(NodeSpec):
    """Decodes a detector's outputs, drops weak and doubled boxes, maps the rest to source pixels."""

    kind: Literal["detections"] = "detections"
    decode: DetectDecode | None = Field(default=None, description="Null: the model's own.")
    threshold: float | None = Field(default=None, ge=0, le=1, description="Minimum score; null: the model's.")
    iou: float | None = Field(default=None, ge=0, le=1, description="Maximum overlap of two boxes; null: the model's.")

    stage: ClassVar[str] = "bmfgraph.stages.detections:Detect"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        name = node.name
        outputs, decode, frames, placement = model_outputs(
            name, inputs[0], self.decode, DetectDecode, "{preset: yolov8, labels: coco80}"
        )
        tensors = _tables(name, outputs)
        grid = _grid(name, decode, tensors, placement)
        labels = _labels(name, decode, tensors)
        if self.threshold is not None:
            decode = decode.model_copy(update={"threshold": self.threshold})
        params = DetectionsParams(
            tensors=tensors,
            box=decode.box,
            unit=decode.unit,
            grid=grid,
            background=decode.background,
            nms=decode.nms,
            iou=decode.iou if self.iou is None else self.iou,
            most=decode.most,
            thresholds=decode.thresholds(),
            labels=labels,
            first_label=decode.first_label,
            placement=placement,
        )
        return Inferred((Port("out", DetectionsSpec(frames, labels)),), params)

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        params: DetectionsParams = node.params
        overlap = f"overlap {params.iou:g}" if params.nms != "none" else "no suppression"
        return f"threshold {min(params.thresholds):g}", overlap


def _tables(name: str, outputs: BundleSpec) -> tuple[TensorFields, ...]:
    """Return how to read each output that the model describes, with the levels of a grid in order."""
    by_name = {tensor.name: tensor for tensor in outputs.tensors}
    tables = []
    for tensor, layout in outputs.layouts:
        try:
            tables.append(layout.read(by_name[tensor]))
        except FieldError as error:
            raise PlanError(
                name, f"model.outputs.{tensor}: {error}", hint=error.hint, code=codes.FIELDS_MISMATCH
            ) from None
    roles = {field.role for table in tables for field in table.fields}
    lacking = ["scores"] if not roles & {"scores", "score"} else []
    lacking += ["box"] if not roles & {"box", "distances"} and not roles >= _SINGLE else []
    if lacking:
        described = ", ".join(f"{table.tensor} {[field.role for field in table.fields]}" for table in tables)
        raise PlanError(
            name,
            f"no output of the model has the field {lacking[0]!r}; described: {described or 'none'}; "
            f"the model has: {join_sorted(by_name)}",
            hint="name the fields of its outputs under model.outputs",
            code=codes.MISSING_OUTPUT_FIELD,
        )
    used = (table for table in tables if {field.role for field in table.fields} - _UNUSED)
    return tuple(sorted(used, key=lambda table: table.stride or 0))


def _grid(name: str, decode: DetectDecode, tensors: tuple[TensorFields, ...], place: Placement) -> GridParams | None:
    """Compare the cells of the grid with the candidates of each field."""
    strides = decode.grid.strides if decode.grid else ()
    levels = tuple((stride, -(-place.height // stride), -(-place.width // stride)) for stride in strides)
    cells = {stride: rows * columns for stride, rows, columns in levels}
    rows_of: dict[str, int] = {}
    for table in tensors:
        if table.rows is None:
            continue
        if table.stride is not None and table.rows != cells.get(table.stride):
            raise _grid_error(
                name, f"{table.tensor} has {table.rows} candidates", place, {table.stride: cells.get(table.stride, 0)}
            )
        for field in table.fields:
            rows_of[field.role] = rows_of.get(field.role, 0) + table.rows
    counts = {role: rows for role, rows in rows_of.items() if role != "count"}
    if len(set(counts.values())) > 1:
        text = ", ".join(f"{role} {rows}" for role, rows in counts.items())
        raise PlanError(
            name,
            f"the fields have different numbers of candidates: {text}",
            hint="correct model.outputs",
            code=codes.GRID_MISMATCH,
        )
    if not decode.grid:
        return None
    if counts and sum(cells.values()) != (rows := next(iter(counts.values()))):
        raise _grid_error(name, f"the model has {rows} candidates", place, cells)
    return GridParams(levels, decode.grid.centre, decode.grid.size == "exp")


def _grid_error(name: str, fact: str, place: Placement, cells: dict[int, int]) -> PlanError:
    sums = " + ".join(map(str, cells.values()))
    return PlanError(
        name,
        f"{fact}, but strides {list(cells)} on {place.width}x{place.height} make {sums} = {sum(cells.values())}",
        hint="correct model.decode.grid.strides, or the size of the model's input",
        code=codes.GRID_MISMATCH,
    )


def _labels(name: str, decode: DetectDecode, tensors: tuple[TensorFields, ...]) -> tuple[str, ...]:
    """Return the labels, as many as there are scores without the background."""
    for table in tensors:
        scores = table.field("scores")
        if scores is None:
            continue
        count = scores.width - (decode.background != "none")
        if decode.labels is not None and count != len(decode.labels):
            background = f" and a background ({decode.background})" if decode.background != "none" else ""
            width = sum(field.width for field in table.fields) - count + len(decode.labels)
            hint = "correct model.decode.labels, model.decode.background or the fields of the output"
            if table.rows == width < count:
                hint = f"candidates and fields are swapped: write model.outputs.{table.tensor}.dims the other way"
            raise PlanError(
                name,
                f"decode.labels has {len(decode.labels)} label(s), but {table.tensor} scores {count}{background}",
                hint=hint,
                code=codes.LABEL_COUNT_MISMATCH,
            )
        return label_names(name, decode, table.tensor, count)
    return label_names(name, decode, "the model", len(decode.labels or ()))
