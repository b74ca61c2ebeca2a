"""Describe how to read an output that holds numbers for each pixel, and check it against the model's input."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from bmfgraph import error_codes as codes
from bmfgraph.errors import FieldError, PlanError
from bmfgraph.nodes.fields import TensorAxes, TensorLayout
from bmfgraph.nodes.results import described_output
from bmfgraph.plan.types import BundleSpec, FrameSpec, Placement, PortType, TensorSpec

__all__ = ["PixelOutput", "check_frames", "pixel_output"]

_PLANE = frozenset({"height", "width"})


@dataclass(frozen=True)
class PixelOutput:
    """An output with one or more numbers for each pixel."""

    axes: TensorAxes
    """Its axes in the order classes, height, width; or height, width."""
    classes: int
    """Numbers for each pixel."""
    placement: Placement
    """Position of the source frame in the map."""
    dtype: str
    fields: tuple[str, ...]
    """The config's name of the numbers; () for none."""


def pixel_output(
    name: str, outputs: BundleSpec, placement: Placement, channels: str, classes: int | None
) -> PixelOutput:
    """Return how to read the output that matters.

    Args:
        name: Name of the node.
        outputs: The model's outputs.
        placement: Position of the source frame in the model's input.
        channels: Name of the second of four dims where the config names none: ``classes`` or ``channels``.
        classes: Number of classes; None: unknown.

    Raises:
        PlanError: The output does not fit its description, or its size is unknown.
    """

    def read(tensor: TensorSpec, layout: TensorLayout) -> PixelOutput:
        dims: tuple[str, ...] = layout.dims or _default_dims(tensor.shape, channels)
        _check_order(tensor, dims, placement, classes)
        wanted = ("classes", "height", "width") if "classes" in dims else ("height", "width")
        axes = layout.model_copy(update={"dims": dims}).arrange(tensor, wanted)  # type: ignore[arg-type]
        sizes = dict(zip(wanted, axes.sizes, strict=True))
        for side in wanted:
            if sizes[side] is None:
                raise PlanError(
                    name,
                    f"{tensor.name} ({tensor}): its number of {side} is free for the given inputs"
                    if side == "classes"
                    else f"{tensor.name} ({tensor}): its {side} is still free for the given inputs",
                    hint="export the model with that dim fixed, or computed from the input's",
                    code=codes.DYNAMIC_OUTPUT_DIMENSION,
                )
        count, height, width = sizes.get("classes") or 1, sizes["height"] or 0, sizes["width"] or 0
        if axes.activation == "softmax" and count == 1:
            raise FieldError(
                f"{tensor.name} ({tensor}) has one number for each pixel, whose softmax is always 1",
                "set activation to sigmoid, or to none where the model ends with it",
            )
        return PixelOutput(axes, count, placement.scaled_to(width, height), tensor.dtype, layout.fields or ())

    return described_output(name, outputs, read)


def check_frames(name: str, frames: PortType, source: FrameSpec) -> None:
    """Refuse frames of another size than those that a result describes.

    Raises:
        PlanError: Their sizes differ.
    """
    assert isinstance(frames, FrameSpec)
    if (frames.width, frames.height) != (source.width, source.height):
        raise PlanError(
            name,
            f"a result of {source.width}x{source.height} frames does not fit frames of {frames.width}x{frames.height}",
            hint="connect the frames that the model read",
            code=codes.BOX_FRAME_MISMATCH,
        )


def _default_dims(shape: tuple[int | None, ...], channels: str) -> tuple[str, ...]:
    if len(shape) != 4:
        return ("batch", "height", "width")
    if channels == "channels" and shape[1] != 1 and shape[3] == 1:
        return ("batch", "height", "width", channels)
    return ("batch", channels, "height", "width")


def _check_order(tensor: TensorSpec, dims: tuple[str, ...], place: Placement, classes: int | None) -> None:
    """Refuse dims that fit the model's input and labels only in another order.

    Raises:
        FieldError: Another order fits; the hint names it.
    """
    shape = tensor.shape
    if len(dims) != len(shape) or not set(dims) >= _PLANE or _fits(dims, shape, place, classes):
        return
    for names in itertools.permutations(dims[1:]):
        if _fits((dims[0], *names), shape, place, classes):
            sizes = dict(zip(dims, shape, strict=True))
            raise FieldError(
                f"{tensor.name} ({tensor}) as [{', '.join(dims)}] would be "
                + (f"{sizes['classes']} classes in " if "classes" in sizes else "")
                + f"a map of {sizes['width']}x{sizes['height']} for an input of {place.width}x{place.height}",
                f"write dims: [{', '.join((dims[0], *names))}]",
            )


def _fits(dims: tuple[str, ...], shape: tuple[int | None, ...], place: Placement, classes: int | None) -> bool:
    """Return whether the map has the proportions of the input, up to the rounding of a size, and as many classes."""
    sizes = dict(zip(dims, shape, strict=True))
    height, width = sizes["height"], sizes["width"]
    if height is None or width is None:
        return True
    # A single number for each pixel may be the number of its class.
    if classes is not None and sizes.get("classes", 1) not in (1, classes):
        return False
    difference = abs(height / place.height - width / place.width)
    return sizes.get("channels", 1) == 1 and difference <= 1 / place.height + 1 / place.width
