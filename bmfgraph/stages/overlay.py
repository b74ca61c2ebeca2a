"""Run the node kind ``overlay``: draw results into a copy of the frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bmfgraph.nodes.overlay import OverlayParams
from bmfgraph.nodes.palette import COLORS, Color, color_of
from bmfgraph.nodes.segment import NO_CLASS
from bmfgraph.stages.base import Stage
from bmfgraph.stages.box_kernel import BoxPainter
from bmfgraph.stages.canvas import FAR, Canvas, Layer, composite
from bmfgraph.stages.cuda import uploaded
from bmfgraph.stages.items import Frame, Result
from bmfgraph.stages.labels import Places, contrast, label_picture
from bmfgraph.stages.pictures import changed, to_8_bits
from bmfgraph.stages.results import Classes, Detections, Segments, Texts

__all__ = ["Draw", "draw_results", "draw_segments", "segment_table", "with_segments"]


class Draw(Stage):
    """Draw the results of each frame: label maps first, then masks, boxes and keypoints, and labels on top."""

    params: OverlayParams

    def open(self) -> None:
        self._layers: dict[tuple[int, int], Layer] = {}
        self._tables: dict[int, torch.Tensor] = {}
        self._painter: BoxPainter | None = None

    def process(self, *items: Any) -> Iterable[Frame]:
        if self.device == "cuda":
            return self.process_batch([items])
        frame, *results = items
        image = frame.pixels()
        shallow = to_8_bits(image)
        drawn = shallow.clone(memory_format=torch.contiguous_format)
        for classes, background in self._maps(results):
            draw_segments(drawn.numpy(), classes.numpy(), segment_table(self.params, background))
        draw_results(Canvas(drawn.numpy()), results, self.params)
        return (_with_drawing(frame, image, shallow, drawn),)

    def process_batch(self, rows: Sequence[tuple[Any, ...]]) -> Iterable[Frame]:
        if self.device == "cpu":
            return super().process_batch(rows)
        images = [frame.pixels() for frame, *_ in rows]
        shallow = [to_8_bits(image) for image in images]
        drawn = self._drawn(shallow, [results for _, *results in rows])
        return [
            _with_drawing(row[0], *layers) for row, *layers in zip(rows, images, shallow, drawn.unbind(), strict=True)
        ]

    def _maps(self, results: Sequence[Result]) -> list[tuple[torch.Tensor, int]]:
        """Return the label maps with their background classes."""
        return [
            (result.classes, background)
            for result, background in zip(results, self.params.backgrounds, strict=True)
            if isinstance(result, Segments)
        ]

    def _drawn(self, images: Sequence[torch.Tensor], results: Sequence[Sequence[Result]]) -> torch.Tensor:
        """Return copies of images on the GPU, [count, height, width, 3], with the results drawn, without a wait."""
        (height, width), device = images[0].shape[:2], images[0].device
        below = [self._with_maps(image, own) for image, own in zip(images, results, strict=True)]
        boxes = [[result for result in own if not isinstance(result, Segments)] for own in results]
        self._painter = self._painter or BoxPainter(self.params, device)
        if (drawn := self._painter.drawn(below, boxes)) is not None:
            return drawn
        if (width, height) not in self._layers:
            self._layers[width, height] = Layer(width, height)
        layer, numbers, tiles = self._layers[width, height], [], []
        for place, own in enumerate(results):
            draw_results(layer, own, self.params)
            used, pixels = layer.take()
            numbers.append(used + place * layer.tiles)
            tiles.append(pixels)
        return composite(
            below,
            uploaded(np.concatenate(numbers), device),
            uploaded(np.concatenate(tiles), device),
        )

    def _with_maps(self, image: torch.Tensor, results: Sequence[Result]) -> torch.Tensor:
        """Return an image with the label maps among the results."""
        for classes, background in self._maps(results):
            if background not in self._tables:
                self._tables[background] = uploaded(segment_table(self.params, background), image.device)
            image = with_segments(image, classes, self._tables[background])
        return image


def _with_drawing(frame: Frame, image: torch.Tensor, shallow: torch.Tensor, drawn: torch.Tensor) -> Frame:
    """Return the frame with what was drawn on a copy of its image in 8 bits."""
    return frame.with_image(drawn if shallow is image else changed(image, shallow, drawn))


def draw_results(canvas: Canvas, results: Sequence[Result], params: OverlayParams) -> None:
    """Draw results other than label maps, whatever lies outside of the image left out.

    Args:
        canvas: The image.
        results: Results of one frame of the image's size.
        params: How they are drawn.
    """
    labels: list[tuple[tuple[str, ...], Color, NDArray[np.float32] | None]] = []
    for result, skeleton in zip(results, params.skeletons, strict=True):
        if isinstance(result, Detections):
            result = _with_places(result)
            _draw_detections(canvas, result, skeleton, params)
            labels += _detection_labels(result, params) if params.label else ()
        elif isinstance(result, Classes):
            labels += (
                ((label, f"{score:.2f}"), _color(number, params), None)
                for label, score, number in zip(result.labels, result.scores, result.classes.tolist(), strict=True)
            )
        elif isinstance(result, Texts):
            labels += _texts(canvas, result, params)
    _draw_labels(canvas, labels, params)


def draw_segments(pixels: NDArray[np.uint8], classes: NDArray[np.uint8], table: NDArray[np.uint8]) -> None:
    """Blend the colours of a label map into an image, in place.

    Args:
        pixels: uint8 RGB [height, width, 3].
        classes: uint8 [rows, columns], which is stretched to the image by its nearest values.
        table: New level of each class and level, uint8 [256, 256, 3].
    """
    height, width = pixels.shape[:2]
    if classes.shape != (height, width):
        classes = classes[_nearest(height, classes.shape[0])[:, None], _nearest(width, classes.shape[1])]
    first = classes.astype(np.uint16) << 8
    flat = np.ascontiguousarray(table.reshape(-1, 3).T)
    for channel in range(3):
        # For a few million pixels, a table is ten times as fast as arithmetic.
        pixels[..., channel] = flat[channel][first | pixels[..., channel]]


def segment_table(params: OverlayParams, background: int) -> NDArray[np.uint8]:
    """Return the level that each class makes of each level, uint8 [256 classes, 256 levels, 3]."""
    levels = np.arange(256, dtype=np.float32)[:, None]
    colors = np.array([_color(number, params) for number in range(256)], np.float32)[:, None]
    opacity = np.full((256, 1, 1), params.opacity, np.float32)
    opacity[[number for number in (background, NO_CLASS) if number >= 0]] = 0
    return (levels + (colors - levels) * opacity + 0.5).astype(np.uint8)


def with_segments(image: torch.Tensor, classes: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Return a new image as :func:`draw_segments` makes it, on any device."""
    height, width = image.shape[:2]
    rows, columns = (
        ((torch.arange(size, device=image.device) * 2 + 1) * small).div(2 * size, rounding_mode="floor")
        for size, small in ((height, classes.shape[0]), (width, classes.shape[1]))
    )
    classes = classes[rows[:, None], columns].int()[..., None]
    return table.view(-1)[(classes * 256 + image.int()) * 3 + torch.arange(3, device=image.device)]


def _nearest(size: int, small: int) -> NDArray[np.int64]:
    """Return the nearest cell of a coarser grid for each pixel, by the pixel's centre."""
    return (np.arange(size) * 2 + 1) * small // (2 * size)


def _color(number: int, params: OverlayParams) -> Color:
    return params.color or color_of(number)


def _with_places(result: Detections) -> Detections:
    """Return the objects whose boxes are numbers, with coordinates far outside moved nearer."""
    angles = result.angles if result.angles is not None else np.zeros(len(result.scores))
    valid = np.flatnonzero(~np.isnan(result.corners).any(axis=1) & np.isfinite(angles))
    result = result if len(valid) == len(angles) else result.select(valid)
    return replace(result, corners=result.corners.clip(-FAR, FAR))


def _draw_detections(
    canvas: Canvas, result: Detections, skeleton: tuple[tuple[int, int], ...], params: OverlayParams
) -> None:
    numbers = result.classes.tolist()
    colors = [_color(number, params) for number in numbers]
    rows = _palette(params.color)[result.classes % len(COLORS)]
    if result.masks is not None:
        for place, color in enumerate(colors):
            canvas.blend(*result.masks.patch(place, result.corners[place]), color, params.opacity)
    if result.angles is not None:
        quads = result.quads()
        sides = np.concatenate([quads, np.roll(quads, -1, axis=1)], axis=2).reshape(-1, 4)
        canvas.lines(sides, params.thickness, np.repeat(rows, 4, axis=0))
    else:
        for corners, color in zip(result.corners, colors, strict=True):
            canvas.box(corners, params.thickness, color)
    if result.keypoints is not None:
        _draw_keypoints(canvas, result.keypoints, rows, skeleton, params)


def _draw_keypoints(
    canvas: Canvas,
    keypoints: NDArray[np.float32],
    colors: NDArray[np.uint8],
    skeleton: tuple[tuple[int, int], ...],
    params: OverlayParams,
) -> None:
    """Draw the skeleton and the points of each object, with a centre that is visible on the lines."""
    seen = keypoints[..., 2] >= params.keypoint_score
    if skeleton:
        first, second = np.array(skeleton).T
        drawn = seen[:, first] & seen[:, second]
        lines = np.concatenate([keypoints[:, first, :2], keypoints[:, second, :2]], axis=2)
        canvas.lines(lines[drawn], params.thickness, np.repeat(colors, drawn.sum(axis=1), axis=0))
    points, rows = keypoints[seen][:, :2], np.repeat(colors, seen.sum(axis=1), axis=0)
    centres = {tuple(color): contrast(tuple(color)) for color in colors.tolist()}
    inner = np.array([centres[tuple(color)] for color in rows.tolist()], np.uint8).reshape(-1, 3)
    canvas.dots(points, 1.5 * params.thickness + 1, rows)
    canvas.dots(points, 0.75 * params.thickness, inner)


@lru_cache(maxsize=8)
def _palette(color: Color | None) -> NDArray[np.uint8]:
    return np.array([color or own for own in COLORS], np.uint8)


def _detection_labels(
    result: Detections, params: OverlayParams
) -> Iterable[tuple[tuple[str, ...], Color, NDArray[np.float32]]]:
    ids = [()] * len(result.scores) if result.ids is None else [(f"#{number}",) for number in result.ids.tolist()]
    corners = result.corners
    if result.angles is not None and len(corners):
        quads = result.quads()
        corners = np.concatenate([quads.min(axis=1), quads.max(axis=1)], axis=1)
    rows = zip(ids, result.labels, result.scores.tolist(), result.classes.tolist(), corners, strict=True)
    for number, label, score, cls, box in rows:
        yield (*number, label, f"{score:.2f}"), _color(cls, params), box


def _texts(
    canvas: Canvas, result: Texts, params: OverlayParams
) -> Iterable[tuple[tuple[str, ...], Color, NDArray[np.float32] | None]]:
    """Draw the boxes of texts, and return their labels. A text of the whole frame gets no box."""
    color = _color(0, params)
    whole = np.array([0, 0, canvas.width, canvas.height], np.float32)
    for place, text in enumerate(result.texts):
        box = result.corners[place] if place < len(result.corners) else whole
        inside = not np.array_equal(box, whole)
        if inside:
            canvas.box(box, params.thickness, color)
        yield (text,), color, box if inside else None


def _draw_labels(
    canvas: Canvas, labels: list[tuple[tuple[str, ...], Color, NDArray[np.float32] | None]], params: OverlayParams
) -> None:
    """Draw labels at their boxes, and those without a box below each other in the top left corner."""
    places, corner = None, 0
    for parts, color, box in sorted(labels, key=lambda label: label[2] is not None):
        if box is not None and np.isnan(box).any():
            continue
        picture = label_picture(parts, params.font_size, color)
        line, width = picture.shape[:2]
        places = places or Places(canvas.width, canvas.height, line)
        if box is None:
            left, tops = 0, [corner]
            corner += line
        else:
            left, upper, _, lower = np.rint(box.clip(-FAR, FAR)).astype(int).tolist()
            # Above the box, or inside its top where the image ends, or where it does not lie on another label.
            tops = [upper - line, max(0, upper), lower, lower - line, upper - 2 * line, upper + line]
        left, top = places.find(left, tops, width)
        canvas.paste(left, top, picture)
