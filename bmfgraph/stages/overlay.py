"""``overlay`` at work: boxes and labels drawn into a copy of the frame."""

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
from bmfgraph.stages.items import Box, Detections, Frame

__all__ = ["Draw", "draw_boxes"]


class Draw(Stage):
    """Frames and their detections to frames."""

    params: OverlayParams

    def process(self, *items: Any) -> Iterable[Frame]:
        frame, found = items
        assert isinstance(frame, Frame)
        assert isinstance(found, Detections)
        if self.device == "cuda":
            picture = frame.pixels().clone()
            draw_boxes(picture, found.boxes, self.params)
            return (Frame(frame.index, frame.video, frame.matrix, picture),)
        made, pixels = new_frame(frame)
        pixels.copy_(frame.pixels())
        draw_boxes(pixels, found.boxes, self.params)
        return (made,)


def draw_boxes(pixels: torch.Tensor, boxes: Iterable[Box], params: OverlayParams) -> None:
    """Draw into uint8 [height, width, 3] in place."""
    height, width = pixels.shape[:2]
    color, thick = constant(params.color, pixels.device, torch.uint8), params.thickness
    for box in boxes:
        x1, y1, x2, y2 = (round(value) for value in (box.x1, box.y1, box.x2, box.y2))
        for top, bottom, left, right in (
            (y1, y1 + thick, x1, x2),
            (y2 - thick, y2, x1, x2),
            (y1, y2, x1, x1 + thick),
            (y1, y2, x2 - thick, x2),
        ):
            pixels[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = color
        if params.label:
            patch = _label(f"{box.label} {box.score:.2f}", params.font_size, params.color)
            # Above the box, or inside its top where the frame ends.
            top = y1 - patch.shape[0] if y1 >= patch.shape[0] else max(0, y1)
            top = min(top, height)
            left = max(0, min(x1, width - patch.shape[1]))
            part = patch[: max(0, height - top), : width - left]
            if pixels.is_cuda:
                part = part.contiguous().pin_memory()
            pixels[top : top + part.shape[0], left : left + part.shape[1]].copy_(part, non_blocking=True)


@lru_cache(maxsize=256)
def _label(text: str, size: int, color: tuple[int, int, int]) -> torch.Tensor:
    """The text on a field of the box's colour, uint8 [height, width, 3]."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    margin = max(1, size // 5)
    image = Image.new("RGB", (round(right - left) + 2 * margin, round(bottom - top) + 2 * margin), color)
    dark = sum(part * weight for part, weight in zip(color, (299, 587, 114), strict=True)) < 128_000
    ImageDraw.Draw(image).text((margin - left, margin - top), text, font=font, fill=(255,) * 3 if dark else (0,) * 3)
    data = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return data.view(image.height, image.width, 3)
