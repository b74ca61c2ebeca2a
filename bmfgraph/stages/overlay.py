"""Run the node kind ``overlay``: draw boxes and labels into a copy of the frame."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont

from bmfgraph.nodes.overlay import OverlayParams
from bmfgraph.stages.base import Stage
from bmfgraph.stages.bmf_frames import new_frame
from bmfgraph.stages.cuda import constant
from bmfgraph.stages.items import Frame
from bmfgraph.stages.results import Box, Detections

__all__ = ["Draw", "draw_boxes"]


class Draw(Stage):
    """Draw the detections of each frame."""

    params: OverlayParams

    def process(self, *items: Any) -> Iterable[Frame]:
        frame, detections = items
        assert isinstance(frame, Frame)
        assert isinstance(detections, Detections)
        if self.device == "cuda":
            image = frame.pixels().clone()
            draw_boxes(image, detections.boxes, self.params)
            return (Frame(frame.index, frame.video, frame.matrix, image),)
        result, pixels = new_frame(frame)
        pixels.copy_(frame.pixels())
        draw_boxes(pixels, detections.boxes, self.params)
        return (result,)


def draw_boxes(pixels: torch.Tensor, boxes: Iterable[Box], params: OverlayParams) -> None:
    """Draw boxes, and labels if ``params.label``, in place. Parts beyond the image are cut off.

    Args:
        pixels: uint8 RGB [height, width, 3] on any device.
        boxes: Boxes in pixels of this image.
        params: Colour, thickness in pixels, and font size.
    """
    height, width = pixels.shape[:2]
    color, thickness = constant(params.color, pixels.device, torch.uint8), params.thickness
    for box in boxes:
        x1, y1, x2, y2 = (round(value) for value in (box.x1, box.y1, box.x2, box.y2))
        # The lines of a box that is smaller than they are thick fill it.
        for top, bottom, left, right in (
            (y1, min(y1 + thickness, y2), x1, x2),
            (max(y2 - thickness, y1), y2, x1, x2),
            (y1, y2, x1, min(x1 + thickness, x2)),
            (y1, y2, max(x2 - thickness, x1), x2),
        ):
            pixels[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = color
        if params.label:
            label = _label_image(f"{box.label} {box.score:.2f}", params.font_size, params.color)
            # The label stands above the box, or inside its top where the image ends.
            top = y1 - label.shape[0] if y1 >= label.shape[0] else max(0, y1)
            top = min(top, height)
            left = max(0, min(x1, width - label.shape[1]))
            label = label[: max(0, height - top), : width - left]
            if pixels.is_cuda:
                label = label.contiguous().pin_memory()
            pixels[top : top + label.shape[0], left : left + label.shape[1]].copy_(label, non_blocking=True)


@lru_cache(maxsize=256)
def _label_image(text: str, size: int, color: tuple[int, int, int]) -> torch.Tensor:
    """Render the text on a background of that colour, uint8 RGB [height, width, 3]."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    margin = max(1, size // 5)
    image = Image.new("RGB", (round(right - left) + 2 * margin, round(bottom - top) + 2 * margin), color)
    # White text on dark colours, by ITU-R BT.601 luma times 1000.
    dark = sum(level * weight for level, weight in zip(color, (299, 587, 114), strict=True)) < 128_000
    ImageDraw.Draw(image).text((margin - left, margin - top), text, font=font, fill=(255,) * 3 if dark else (0,) * 3)
    data = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return data.view(image.height, image.width, 3)
