"""``detections``: turn a detector's output tensors into labelled boxes in source pixels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from pydantic import Field

from bmfgraph import error_codes as codes
from bmfgraph.errors import FieldError, PlanError, join_sorted
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.decode import BoxForm, DetectDecode
from bmfgraph.nodes.fields import TensorFields
from bmfgraph.nodes.mask_fields import MaskParams, mask_output, mask_params, outputs_by_name
from bmfgraph.nodes.object_fields import KeypointParams, check_angle, described, keypoint_params
from bmfgraph.nodes.results import label_names, model_outputs
from bmfgraph.plan.description import Inferred, Requirement
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import (
    BundleSpec,
    DetectionsSpec,
    Device,
    Placement,
    Port,
    PortType,
    TensorMeaning,
    Tiling,
    tiling_of,
)

__all__ = ["DetectionsNodeSpec", "DetectionsParams", "GridParams"]

_SINGLE = frozenset({"cx", "cy", "w", "h"})


@dataclass(frozen=True)
class GridParams:
    """The cells of an undecoded head."""

    levels: tuple[tuple[int, int, int], ...]
    """Stride in pixels, rows and columns of each level."""
    anchors: int
    """Candidates of each cell."""
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
    rotated: bool
    keypoints: KeypointParams | None
    masks: MaskParams | None
    placement: Placement
    """Position of the source frame in the picture whose pixels the boxes are in."""
    input_placement: Placement
    """Position of the source frame in the model's input."""
    tiling: Tiling | None = None
    """The tiles of which the outputs have a row each; ``placement`` then has the size of a tile."""
    inputs: tuple[tuple[str, TensorMeaning], ...] = field(default=(), metadata={"json": False})
    """The numbers that the model reads, by the names of its inputs, for warnings."""


class DetectionsNodeSpec(NodeSpec):
    """Decodes a detector's outputs, drops weak and doubled boxes, maps the rest to source pixels."""

    kind: Literal["detections"] = "detections"
    decode: DetectDecode | None = Field(default=None, description="Null: the model's own.")
    threshold: float | None = Field(default=None, ge=0, le=1, description="Minimum score; null: the model's.")
    iou: float | None = Field(default=None, ge=0, le=1, description="Maximum overlap of two boxes; null: the model's.")

    stage: ClassVar[str] = "bmfgraph.stages.detections:Detect"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")
    takes_tiles: ClassVar[bool] = True

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        name = node.name
        outputs, decode, frames, placement = model_outputs(
            name, inputs[0], self.decode, DetectDecode, "{preset: yolov8, labels: coco80}"
        )
        tiling = tiling_of(outputs)
        if tiling:
            placement = replace(placement, width=tiling.width, height=tiling.height)
        tensors, masks, keypoints = _tables(name, outputs, decode, placement)
        if tiling and masks is not None:
            raise PlanError(
                name,
                f"masks are read from whole pictures, but the outputs are of {tiling}",
                hint="read no masks: write skip:N for mask:N, and leave model.decode.masks out",
                code=codes.UNSTITCHED_TILES,
            )
        rotated = check_angle(name, decode, tensors)
        grid = _grid(name, decode, tensors, placement)
        labels = _labels(name, decode, tensors)
        if self.threshold is not None:
            decode = decode.model_copy(update={"threshold": self.threshold})
        input_placement = placement
        if decode.unit == "source":
            if tiling:
                raise PlanError(
                    name,
                    "decode.unit source gives boxes in the whole frame, and the model has read tiles",
                    hint="take the tiles out, or export the model without the mapping to the frame",
                    code=codes.UNSTITCHED_TILES,
                )
            size = (placement.source_width, placement.source_height)
            placement = Placement(*size, *size, 1.0, 1.0, 0.0, 0.0)
        params = DetectionsParams(
            tensors=tensors,
            box=decode.box,
            unit=decode.unit,
            grid=grid,
            background=decode.background,
            # A model that needs no suppression still finds an object in several tiles.
            nms="per_class" if tiling and decode.nms == "none" else decode.nms,
            iou=decode.iou if self.iou is None else self.iou,
            most=decode.most,
            thresholds=decode.thresholds(),
            labels=labels,
            first_label=decode.first_label,
            rotated=rotated,
            keypoints=keypoints,
            masks=masks,
            placement=placement,
            input_placement=input_placement,
            tiling=tiling,
            inputs=outputs.inputs,
        )
        names, skeleton = (decode.keypoints.names, decode.keypoints.skeleton) if decode.keypoints else ((), ())
        result = DetectionsSpec(frames, labels, masks is not None, rotated, names, skeleton)
        return Inferred((Port("out", result),), params)

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        params: DetectionsParams = node.params
        overlap = f"overlap {params.iou:g}" if params.nms != "none" else "no suppression"
        return f"threshold {min(params.thresholds):g}", overlap


def _tables(
    name: str, outputs: BundleSpec, decode: DetectDecode, place: Placement
) -> tuple[tuple[TensorFields, ...], MaskParams | None, KeypointParams | None]:
    """Return how to read each output that the model describes, with the levels of a grid in order."""
    by_name, masks = outputs_by_name(outputs), mask_output(outputs, decode)
    read = []
    for tensor, layout in outputs.layouts:
        try:
            if tensor != masks:
                read.append(layout.read(by_name[tensor]))
        except FieldError as error:
            raise PlanError(
                name, f"model.outputs.{tensor}: {error}", hint=error.hint, code=codes.FIELDS_MISMATCH
            ) from None
    tables = tuple(sorted(read, key=lambda table: table.stride or 0))
    mask = mask_params(name, decode, outputs, tables, place)
    keypoints = keypoint_params(name, decode, tables)
    roles = {field.role for table in tables for field in table.fields}
    lacking = ["scores"] if not roles & {"scores", "score"} else []
    lacking += ["box"] if not roles & {"box", "distances"} and not roles >= _SINGLE else []
    if lacking:
        raise PlanError(
            name,
            f"no output of the model has the field {lacking[0]!r}; described: {described(tables)}; "
            f"the model has: {join_sorted(by_name)}",
            hint="name the fields of its outputs under model.outputs",
            code=codes.MISSING_OUTPUT_FIELD,
        )
    unused = {"skip"} | ({"keypoints"} if keypoints is None else set()) | ({"mask"} if mask is None else set())
    return tuple(table for table in tables if {field.role for field in table.fields} - unused), mask, keypoints


def _grid(name: str, decode: DetectDecode, tensors: tuple[TensorFields, ...], place: Placement) -> GridParams | None:
    """Compare the cells of the grid with the candidates of each field."""
    strides = decode.grid.strides if decode.grid else ()
    levels = tuple((stride, -(-place.height // stride), -(-place.width // stride)) for stride in strides)
    anchors = decode.grid.anchors if decode.grid else 1
    cells = {stride: rows * columns * anchors for stride, rows, columns in levels}
    rows_of: dict[str, int] = {}
    for table in tensors:
        if table.rows is None:
            continue
        if table.stride is not None and table.rows != cells.get(table.stride):
            level = {table.stride: cells.get(table.stride, 0)}
            raise _grid_error(name, f"{table.tensor} has {table.rows} candidates", place, level, anchors)
        for part in table.fields:
            rows_of[part.role] = rows_of.get(part.role, 0) + table.rows
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
        raise _grid_error(name, f"the model has {rows} candidates", place, cells, anchors)
    return GridParams(levels, anchors, decode.grid.centre, decode.grid.size == "exp")


def _grid_error(name: str, fact: str, place: Placement, cells: dict[int, int], anchors: int) -> PlanError:
    each = f" with {anchors} candidates a cell" if anchors > 1 else ""
    sums = " + ".join(map(str, cells.values()))
    return PlanError(
        name,
        f"{fact}, but strides {list(cells)} on {place.width}x{place.height}{each} make {sums} = {sum(cells.values())}",
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
