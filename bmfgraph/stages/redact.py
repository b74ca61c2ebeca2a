"""Run the node kind ``redact``: replace the pixels of detected objects."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from bmfgraph.nodes.redact import RedactParams
from bmfgraph.stages.base import Stage
from bmfgraph.stages.canvas import FAR
from bmfgraph.stages.cuda import constant, uploaded
from bmfgraph.stages.items import Frame
from bmfgraph.stages.pictures import LEVEL, chosen, new_frame
from bmfgraph.stages.results import Detections

__all__ = ["Area", "Redact", "areas_of", "redact"]

_LEAST_BLOCK = 4
"""Pixels of a block's side at least, so that small objects do not stay as they are."""
_SAME = 0.3
"""Overlap (intersection over union) from which two boxes are taken for the same object in two frames."""


@dataclass(frozen=True)
class Area:
    """Pixels of a frame that are replaced."""

    corners: NDArray[np.float32]
    """The box of the object, float32 [4]."""
    left: int
    top: int
    right: int
    bottom: int
    mask: NDArray[np.bool_] | None
    """Which pixels of the rectangle, bool [height, width]; None: all."""

    @property
    def size(self) -> int:
        """Pixels of the rectangle."""
        return (self.right - self.left) * (self.bottom - self.top)


class Redact(Stage):
    """Replace the pixels of the objects of each frame, and of those that were lost a few frames ago."""

    params: RedactParams

    def open(self) -> None:
        self._earlier: deque[list[Area]] = deque(maxlen=self.params.hold)
        """Areas of the last frames, the newest first."""

    def process(self, *items: Any) -> Iterable[Frame]:
        frame, *results = items
        assert isinstance(frame, Frame)
        areas = [area for result in results for area in areas_of(result, *frame.size, self.params)]
        found = list(areas)
        for earlier in self._earlier:
            known = [area.corners for area in areas]
            areas += [area for area in earlier if not _overlaps(area.corners, known)]
        self._earlier.appendleft(found)
        if self.device == "cuda":
            image = frame.pixels().clone()
            redact(image, frame.pixels(), areas, self.params)
            return (frame.with_image(image),)
        copy, pixels = new_frame(frame)
        pixels.copy_(frame.pixels())
        redact(pixels, frame.pixels(), areas, self.params)
        return (copy,)


def areas_of(result: Detections, width: int, height: int, params: RedactParams) -> list[Area]:
    """Return the area of each object that is redacted.

    Args:
        result: The objects.
        width: Of the frame.
        height: Of the frame.
        params: Labels, score, shape and margin.
    """
    chosen = result.scores >= params.threshold
    if params.labels is not None:
        chosen &= np.array([label in params.labels for label in result.labels], bool)
    chosen &= ~np.isnan(result.corners).any(axis=1)
    return [
        area for place in np.flatnonzero(chosen).tolist() if (area := _area(result, place, width, height, params)).size
    ]


def redact(pixels: torch.Tensor, original: torch.Tensor, areas: Sequence[Area], params: RedactParams) -> None:
    """Replace the pixels of areas. Where areas overlap, the largest counts: its blocks are the coarsest.

    Args:
        pixels: RGB [height, width, 3], uint8 or uint16, which is changed; any device.
        original: The same image, which is read.
        areas: The areas.
        params: Style, blocks and colour.
    """
    for area in sorted(areas, key=lambda area: area.size):
        part = (slice(area.top, area.bottom), slice(area.left, area.right))
        if params.style == "fill":
            unit = LEVEL if pixels.dtype == torch.uint16 else 1
            new = constant(tuple(value * unit for value in params.color), pixels.device, pixels.dtype)
        else:
            new = _in_blocks(original[part], params)
        if area.mask is not None:
            new = chosen(uploaded(area.mask, pixels.device)[..., None], new, pixels[part])
        pixels[part] = new


def _in_blocks(image: torch.Tensor, params: RedactParams) -> torch.Tensor:
    """Return an image of which the mean colours of a few blocks are left."""
    height, width = image.shape[:2]
    block = max(max(height, width) / params.blocks, _LEAST_BLOCK)
    means = F.adaptive_avg_pool2d(
        image.permute(2, 0, 1)[None].float(), (max(1, int(height / block)), max(1, int(width / block)))
    )
    if params.style == "blur":
        new = F.interpolate(means, (height, width), mode="bilinear", align_corners=False)
    else:
        new = F.interpolate(means, (height, width), mode="nearest-exact")
    return new[0].permute(1, 2, 0).round().to(image.dtype)


def _area(result: Detections, place: int, width: int, height: int, params: RedactParams) -> Area:
    """Return the area of one object, cut at the edges of the frame."""
    corners = result.corners[place].clip(-FAR, FAR)
    angle = float(result.angles[place]) if result.angles is not None else 0.0
    centre, extent = (corners[:2] + corners[2:]) / 2, corners[2:] - corners[:2]
    half = extent / 2 + extent * params.margin
    cosine, sine = abs(np.cos(angle)), abs(np.sin(angle))
    # A ten-thousandth less, so that rounding does not add a row.
    reach = np.array([half[0] * cosine + half[1] * sine, half[0] * sine + half[1] * cosine]) - 1e-4
    limits = np.array([width, height])
    left, top = np.floor(centre - reach).clip(0, limits).astype(int).tolist()
    right, bottom = np.ceil(centre + reach).clip(0, limits).astype(int).tolist()
    mask = None
    if params.shape == "mask" and result.masks is not None:
        x, y, patch = result.masks.patch(place, corners)
        # Rounding can make the rectangle one pixel smaller than the patch.
        left, top = min(left, x), min(top, y)
        right, bottom = max(right, x + patch.shape[1]), max(bottom, y + patch.shape[0])
        mask = np.zeros((bottom - top, right - left), bool)
        mask[y - top : y - top + patch.shape[0], x - left : x - left + patch.shape[1]] = patch
        mask = _grown(mask, round(float(extent.max()) * params.margin))
    elif params.shape == "ellipse" or angle:
        dx, dy = np.arange(left, right) + 0.5 - centre[0], np.arange(top, bottom)[:, None] + 0.5 - centre[1]
        # Half a pixel more on each side, so that pixels that the edge cuts belong to the area.
        along = (dx * np.cos(angle) + dy * np.sin(angle)) / (half[0] + 0.5)
        across = (dy * np.cos(angle) - dx * np.sin(angle)) / (half[1] + 0.5)
        mask = along**2 + across**2 <= 1 if params.shape == "ellipse" else np.maximum(abs(along), abs(across)) <= 1
    return Area(corners, left, top, right, bottom, mask)


def _grown(mask: NDArray[np.bool_], margin: int) -> NDArray[np.bool_]:
    """Return a mask that also covers the pixels up to ``margin`` columns and rows away."""
    if not margin or not mask.size:
        return mask
    x = torch.from_numpy(mask)[None].float()
    x = F.max_pool2d(x, (2 * margin + 1, 1), 1, (margin, 0))
    grown: NDArray[np.bool_] = (F.max_pool2d(x, (1, 2 * margin + 1), 1, (0, margin))[0] > 0).numpy()
    return grown


def _overlaps(corners: NDArray[np.float32], others: Sequence[NDArray[np.float32]]) -> bool:
    """Return whether a box is about the same as another one."""
    if not others:
        return False
    boxes = np.stack(others)
    common = np.minimum(corners[2:], boxes[:, 2:]) - np.maximum(corners[:2], boxes[:, :2])
    shared = common.clip(min=0).prod(axis=1)
    areas = (corners[2:] - corners[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return bool((shared > _SAME * (areas - shared)).any())
