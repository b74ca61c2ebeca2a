"""Compute the type of the frames that a decoder passes on: turned, cut to size, and at another rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Annotated

from pydantic import AfterValidator

from bmfgraph import error_codes as codes
from bmfgraph.errors import FieldError, PlanError
from bmfgraph.media.filtering import FilterStep
from bmfgraph.media.frame_chain import upright_format
from bmfgraph.media.frame_facts import UPRIGHT, Orientation
from bmfgraph.nodes.convert import ConvertParams, chroma_position, scale_steps
from bmfgraph.plan.types import FrameSpec, sampling_of

__all__ = ["Box", "Crop", "FramesPerSecond", "crop_box", "cropped", "reduced", "turned"]

Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""
_WITH_ALPHA = {"gbrp": "gbrap", "rgb24": "rgba", "rgb48le": "rgba64le"}
"""Formats of RGB, and the same ones with alpha."""
_FASTEST = 1000
"""Largest number of frames per second."""


def _checked_crop(crop: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if crop is None:
        return crop
    if len(crop) not in (2, 4):
        raise FieldError(
            f"crop {list(crop)} has {len(crop)} numbers", "write [left, top, width, height], or [width, height]"
        )
    if min(crop[-2:]) < 1 or min(crop) < 0:
        raise FieldError(
            f"crop {list(crop)} is no part of a frame", "let width and height be at least 1, left and top 0"
        )
    return crop


def _checked_rate(fps: float | str | None) -> float | str | None:
    try:
        right = fps is None or 0 < Fraction(str(fps)) <= _FASTEST
    except (ValueError, ZeroDivisionError):
        right = False
    if not right:
        raise FieldError(f"{fps!r} is not a rate", f"write a number up to {_FASTEST}, or a fraction: 30000/1001")
    return fps


Crop = Annotated[tuple[int, ...] | None, AfterValidator(_checked_crop)]
"""Left, top, width, height; or width and height of the middle."""
FramesPerSecond = Annotated[float | str | None, AfterValidator(_checked_rate)]
"""A rate as users write it: 25, 29.97, or 30000/1001."""


def turned(frames: FrameSpec, orientation: Orientation) -> FrameSpec:
    """Return the type of upright frames; their size is upright already.

    Args:
        frames: The frames with their size as displayed, and the pixel format of the stored frames.
        orientation: The way from stored to displayed frames.
    """
    # Chroma samples on the left luma sample come to lie on another side; the middle is the nearest known place.
    moved = orientation != UPRIGHT and frames.chroma == "left"
    return replace(
        frames,
        pixel_format=upright_format(frames.pixel_format, orientation),
        chroma="center" if moved else frames.chroma,
    )


def crop_box(crop: Sequence[int], frames: FrameSpec, node: str, *, chroma: bool) -> Box:
    """Return the part of the frames that is passed on.

    Args:
        crop: Left, top, width, height; or width and height of the middle.
        frames: The whole frames.
        node: Name of the node.
        chroma: Whether the frames are cut before they become RGB, so that chroma samples stay whole.

    Raises:
        PlanError: It reaches beyond the frames, or begins between two chroma samples.
    """
    width, height = crop[-2:]
    across, down = (sampling_of(frames.pixel_format) if chroma else None) or (1, 1)
    if len(crop) == 2:
        left = (frames.width - width) // 2 // across * across
        top = (frames.height - height) // 2 // down * down
    else:
        left, top = crop[:2]
    if left < 0 or top < 0 or left + width > frames.width or top + height > frames.height:
        raise PlanError(
            node,
            f"crop {list(crop)} reaches beyond the frames of {frames.width}x{frames.height}",
            hint=f"keep left + width at or below {frames.width}, and top + height at or below {frames.height}",
            code=codes.INVALID_CROP,
        )
    if left % across or top % down:
        raise PlanError(
            node,
            f"crop {list(crop)} begins between two chroma samples of {frames.pixel_format}",
            hint=f"use {left // across * across} for left and {top // down * down} for top",
            code=codes.INVALID_CROP,
        )
    return left, top, width, height


def cropped(frames: FrameSpec, box: Box | None) -> FrameSpec:
    """Return the type of a part of the frames."""
    return frames if box is None else replace(frames, width=box[2], height=box[3])


def reduced(frames: FrameSpec, every: int, fps: Fraction | None) -> FrameSpec:
    """Return the type of each n-th frame, or of frames at a constant rate."""
    if fps is not None:
        return replace(frames, rate=fps, time_base=1 / fps, time_grid=None, variable_rate=False)
    if every == 1:
        return frames
    # The first frame may lie anywhere on the grid of the whole clip.
    return replace(frames, rate=frames.rate / every, time_grid=frames.time_grid or 1 / frames.rate)


def flattened(frames: FrameSpec) -> tuple[tuple[FilterStep, ...], FrameSpec]:
    """Return the filters that convert frames with alpha to RGBA, and the type of the frames once they are opaque."""
    deep = frames.bits > 8
    opaque = "rgb48le" if deep else "rgb24"
    position = chroma_position(frames.pixel_format, frames.chroma)
    params = ConvertParams(frames.color, opaque, frames.color, position, None, frames.pixel_format)
    steps = tuple((name, _WITH_ALPHA.get(options, options)) for name, options in scale_steps(params))
    return steps, frames.in_format(opaque, frames.color)


def rgb_of(color: str) -> tuple[int, int, int]:
    """Return a colour's RGB, 0..255.

    Raises:
        FieldError: There is no such colour.
    """
    # The default needs no import, which takes as long as the rest of a short check.
    if color == "black":
        return 0, 0, 0
    from PIL import ImageColor

    try:
        return ImageColor.getrgb(color)[:3]
    except ValueError:
        raise FieldError(f"{color!r} is not a colour", "write a name such as white, or #rrggbb") from None
