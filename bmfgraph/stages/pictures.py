"""Join torch's tensors and PyAV's frames without a copy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from av import VideoFrame

    from bmfgraph.stages.items import Frame

__all__ = [
    "LEVEL",
    "changed",
    "chosen",
    "frame_of_planes",
    "moved",
    "new_frame",
    "packed",
    "parts_in_cache",
    "picture_of",
    "planes_of",
    "rgb_pixels",
    "to_8_bits",
    "to_levels",
]

LEVEL = 257
"""Codes of a 16-bit sample per level of 8 bits: 65535 / 255."""

_CACHED = 1 << 18
"""Numbers of a part of an image that stays in the cache of a core."""


def new_frame(source: Frame, width: int | None = None, height: int | None = None) -> tuple[Frame, torch.Tensor]:
    """Create an RGB frame on the CPU that replaces ``source``, and keeps its index and time.

    Args:
        source: An RGB frame on the CPU; the new one has its depth, 8 or 16 bits.
        width: Width in pixels; the source's by default.
        height: Height in pixels; the source's by default.

    Returns:
        The frame and its pixels, [height, width, 3], uninitialised: fill them before the frame is passed on.
    """
    own_width, own_height = source.size
    deep = source.pixels().dtype == torch.uint16 if source.image is not None or _is_rgb(source.picture) else False
    pixels = torch.empty((height or own_height, width or own_width, 3), dtype=torch.uint16 if deep else torch.uint8)
    return source.with_image(pixels), pixels


def frame_of_planes(source: Frame, planes: Sequence[torch.Tensor], pixel_format: str) -> Frame:
    """Create a frame that replaces ``source`` around planes on the CPU, without a copy.

    Args:
        source: The frame to replace; the new one keeps its index and time.
        planes: The planes in FFmpeg's order, each [height, width], uint8 or, for more than 8 bits, int16 or uint16;
            for packed RGB one [height, width, 3]. The frame keeps their memory.
        pixel_format: FFmpeg's name.
    """
    if len(planes) == 1 and planes[0].dim() == 3:
        return source.with_image(planes[0])
    from av import VideoFrame

    # DLPack passes unsigned samples of 16 bits.
    unsigned = [plane.view(torch.uint16) if plane.dtype == torch.int16 else plane for plane in planes]
    height, width = planes[0].shape
    return source.with_picture(VideoFrame.from_dlpack(unsigned, pixel_format, width=width, height=height))


def picture_of(image: torch.Tensor) -> VideoFrame:
    """Return PyAV's frame around an RGB image on the CPU.

    Args:
        image: [height, width, 3], uint8 or uint16. It is copied only if its pixels are not contiguous.
    """
    from av import VideoFrame

    array = image.numpy()
    if array.strides[1:] != (3 * array.itemsize, array.itemsize):
        array = packed(image, -1).numpy()
    return VideoFrame.from_numpy_buffer(array, "rgb24" if array.itemsize == 1 else "rgb48le")


def planes_of(picture: Any) -> list[torch.Tensor]:
    """Return the planes of PyAV's frame without a copy.

    Returns:
        For each plane its samples, [height, width], interleaved components as further columns; uint8, or int16 for more
        than 8 bits.
    """
    deep = any(component.bits > 8 for component in picture.format.components)
    planes = []
    for plane in picture.planes:
        data = torch.frombuffer(plane, dtype=torch.int16 if deep else torch.uint8)
        columns = plane.line_size // data.itemsize
        planes.append(data.view(-1, columns)[: plane.height])
    return planes


def rgb_pixels(picture: Any) -> torch.Tensor:
    """Return the pixels of PyAV's frame in rgb24 or rgb48le without a copy: [height, width, 3], uint8 or uint16."""
    plane = picture.planes[0]
    dtype = np.dtype(np.uint16 if picture.format.name == "rgb48le" else np.uint8)
    steps = plane.line_size, 3 * dtype.itemsize, dtype.itemsize
    # NumPy makes the view in one step; each of torch's would take longer.
    return torch.from_numpy(np.ndarray((picture.height, picture.width, 3), dtype, plane, strides=steps))


def parts_in_cache(target: torch.Tensor, source: torch.Tensor, dim: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the same rows of two images, on a CPU so many that operations on them find them in the cache of a core.

    Args:
        target: The image to fill.
        source: The image to read, of the same shape.
        dim: The dim of the rows.
    """
    height = source.shape[dim]
    rows = height if source.is_cuda else max(1, _CACHED * height // max(1, source.numel()))
    yield from zip(target.split(rows, dim), source.split(rows, dim), strict=True)


def moved(target: torch.Tensor, source: torch.Tensor, channels: int) -> torch.Tensor:
    """Copy an image into memory where its channels lie otherwise, as planes or pixel by pixel; return ``target``.

    On a CPU, NumPy copies samples of 8 and 16 bits channel by channel in a quarter of the time of torch's copy.

    Args:
        target: The image to fill.
        source: The image to read, of the same shape and dtype.
        channels: The dim of the channels.
    """
    if source.is_cuda or source.dtype not in (torch.uint8, torch.uint16):
        return target.copy_(source)
    for plane, samples in zip(target.unbind(channels), source.unbind(channels), strict=True):
        np.copyto(plane.numpy(), samples.numpy())
    return target


def packed(image: torch.Tensor, channels: int) -> torch.Tensor:
    """Return an image in contiguous memory: itself, or a copy; ``channels`` is the dim of its channels."""
    if image.is_contiguous():
        return image
    return moved(torch.empty(image.shape, dtype=image.dtype, device=image.device), image, channels)


def to_levels(pixels: torch.Tensor) -> torch.Tensor:
    """Return 16-bit pixels as levels 0..255 with fractions, float32 of the same shape."""
    return pixels.float().mul_(1 / LEVEL)


def to_8_bits(pixels: torch.Tensor) -> torch.Tensor:
    """Return pixels rounded to 8 bits; uint8 as they are."""
    return pixels if pixels.dtype == torch.uint8 else to_levels(pixels).round_().to(torch.uint8)


def chosen(condition: torch.Tensor, pixels: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Return ``pixels`` where the condition holds, else ``others``: both uint8 or both uint16."""
    if pixels.dtype == torch.uint8:
        return torch.where(condition, pixels, others)
    # Torch lacks it for uint16 on the GPU.
    return torch.where(condition, pixels.view(torch.int16), others.view(torch.int16)).view(torch.uint16)


def changed(pixels: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Return 16-bit pixels with the changes that were made to a copy of 8 bits; all other pixels keep their codes.

    Args:
        pixels: uint16 [height, width, 3].
        before: The same rounded to 8 bits, uint8.
        after: The changed copy, uint8.
    """
    drawn = (after.to(torch.int32) * LEVEL).to(torch.uint16)
    return chosen((before != after).any(-1, keepdim=True), drawn, pixels)


def _is_rgb(picture: Any) -> bool:
    return picture is not None and picture.format.name in ("rgb24", "rgb48le")
