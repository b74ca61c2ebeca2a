"""Check the outputs that the masks of objects are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from bmfgraph import error_codes as codes
from bmfgraph.errors import FieldError, PlanError, join_sorted
from bmfgraph.nodes.decode import DetectDecode
from bmfgraph.nodes.fields import TensorAxes, TensorFields
from bmfgraph.plan.types import BundleSpec, Placement, TensorSpec

__all__ = ["MaskParams", "mask_output", "mask_params"]


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
    name: str, decode: DetectDecode, outputs: BundleSpec, tables: tuple[TensorFields, ...], place: Placement
) -> MaskParams | None:
    """Compare the masks with the outputs, and return how to read them.

    Args:
        name: Name of the node.
        decode: The settings.
        outputs: The model's outputs.
        tables: How to read the other outputs.
        place: Position of the source frame in the model's input.

    Raises:
        PlanError: The output or the weights are missing, or its dims do not fit.
    """
    masks = decode.masks
    if masks is None:
        return None
    form: Literal["prototypes", "boxes"] = "boxes" if masks.boxes else "prototypes"
    output, by_name, layouts = mask_output(outputs, decode), outputs_by_name(outputs), dict(outputs.layouts)
    if output is None or output not in by_name or output not in layouts:
        text = f"{output!r} is not a described output" if output else "no output has the dim prototypes"
        raise _error(
            name,
            f"decode.masks.{form}: {text}; described: {join_sorted(layouts)}; the model has: {join_sorted(by_name)}",
            f"describe model.outputs.{output or 'NAME'} with dims: "
            f"[batch, {'candidates' if masks.boxes else 'prototypes'}, height, width]",
        )
    tensor = by_name[output]
    try:
        axes = layouts[output].arrange(tensor, ("candidates" if masks.boxes else "prototypes", "height", "width"))
    except FieldError as error:
        raise _error(name, f"model.outputs.{output}: {error}", error.hint) from None
    if form == "boxes":
        _check_boxes(name, masks.size, tensor, axes, tables)
    else:
        _check_prototypes(name, tensor, axes, tables, place)
    logit = math.log(masks.threshold / (1 - masks.threshold))
    return MaskParams(axes, form, logit if masks.activation == "sigmoid" else masks.threshold)


def outputs_by_name(outputs: BundleSpec) -> dict[str, TensorSpec]:
    """Return the outputs of a model by their names."""
    return {tensor.name: tensor for tensor in outputs.tensors}


def _check_boxes(
    name: str, size: int | None, tensor: TensorSpec, axes: TensorAxes, tables: tuple[TensorFields, ...]
) -> None:
    count, rows, columns = axes.sizes
    if rows is None or columns is None or (size or rows, size or columns) != (rows, columns):
        raise _error(
            name,
            f"{tensor.name} ({tensor}) has masks of {rows or 'free'}x{columns or 'free'}, "
            f"and decode.masks.size is {size or 'null'}",
            "correct decode.masks.size or the dims, or export the model with fixed dims",
        )
    others = [table for table in tables if table.rows is not None and table.field("count") is None]
    if count is not None and any(table.rows != count for table in others):
        text = ", ".join(f"{table.tensor} has {table.rows}" for table in others)
        raise _error(
            name,
            f"{tensor.name} ({tensor}) has {count} masks, but the others have other numbers of candidates: {text}",
            f"correct model.outputs.{tensor.name}.dims",
        )


def _check_prototypes(
    name: str, tensor: TensorSpec, axes: TensorAxes, tables: tuple[TensorFields, ...], place: Placement
) -> None:
    count, rows, columns = axes.sizes
    weights = {table.tensor: field.width for table in tables if (field := table.field("mask"))}
    output = f"model.outputs.{tensor.name}"
    if not weights or set(weights.values()) != {count}:
        text = " and ".join(f"the fields of {table} have mask:{width}" for table, width in weights.items())
        hint = f"write mask:{count or 'N'} in the fields, or correct {output}.dims"
        width = next(iter(weights.values()), None)
        if width is not None and len(tensor.shape) == 4 and width in tensor.shape[1:]:
            dims = ["batch", "height", "width"]
            dims.insert(tensor.shape.index(width, 1), "prototypes")
            hint = f"write {output}.dims: [{', '.join(dims)}]"
        raise _error(
            name,
            f"{tensor.name} ({tensor}) has {count or 'a free number of'} prototypes, but "
            f"{text or 'the fields have no mask:N'}",
            hint,
        )
    # Prototypes cover the input with cells that are as wide as high, up to a rounded last cell.
    if rows and columns and not 0.8 < place.width * rows / (place.height * columns) < 1.25:
        raise _error(
            name,
            f"{tensor.name} ({tensor}) has prototypes of {columns}x{rows}, which do not have the proportions of the "
            f"input of {place.width}x{place.height}",
            f"correct the order of height and width in {output}.dims, or the size of the model's input",
        )


def _error(name: str, message: str, hint: str) -> PlanError:
    return PlanError(name, message, hint=hint, code=codes.MASKS_MISMATCH)
