"""Draw boxes and their labels into a batch of frames by two CUDA kernels.

Python draws an object in a tenth of a millisecond, which is too slow for many objects. Here it only fills arrays for
the whole batch. The kernels find places for the labels, and draw what :func:`bmfgraph.stages.overlay.draw_results`
draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray

from bmfgraph.nodes.overlay import OverlayParams
from bmfgraph.nodes.palette import COLORS
from bmfgraph.stages.canvas import FAR
from bmfgraph.stages.cuda import uploaded
from bmfgraph.stages.cuda_kernels import compiled
from bmfgraph.stages.items import Result
from bmfgraph.stages.labels import contrast, spacing, text_picture
from bmfgraph.stages.results import Detections

__all__ = ["BoxPainter"]

_BLOCK = (32, 8)
"""Threads of a block, across and down; each draws one pixel."""
_TEXTS = 4096
"""Rendered texts that are kept on the GPU."""
_FIELDS = 8
"""Numbers of an object: left, top, right, bottom, place in the palette, and up to three texts, -1 for none."""
_HUNDREDTHS = tuple(f"{number / 100:.2f}" for number in range(101))

_PLACE = """
extern "C" __global__ void place(const int* objects, const int* starts, const int* texts, int* places, int frames,
                                 int width, int height, int line, int edge, int gap)
{
    // A thread for each frame: the place of a label depends on those of the labels before.
    int frame = blockIdx.x * blockDim.x + threadIdx.x;
    if (frame >= frames) return;
    for (int i = starts[frame]; i < starts[frame + 1]; i++) {
        const int* object = objects + i * FIELDS;
        int wide = 2 * edge - gap;
        for (int k = 5; k < FIELDS; k++)
            if (object[k] >= 0) wide += texts[2 * object[k] + 1] + gap;
        int left = max(0, min(object[0], width - wide)), upper = object[1], lower = object[3];
        int tops[6] = {upper - line, max(0, upper), lower, lower - line, upper - 2 * line, upper + line};
        int top = max(0, min(tops[0], height - line));
        bool fits = false, free = false;
        for (int k = 0; k < 6 && !free; k++) {
            if (tops[k] < 0 || tops[k] > height - line) continue;
            free = true;
            for (int j = starts[frame]; j < i && free; j++) {
                const int* other = places + 3 * j;
                free = left >= other[0] + other[2] || other[0] >= left + wide
                    || tops[k] >= other[1] + line || other[1] >= tops[k] + line;
            }
            if (free || !fits) top = tops[k];
            fits = true;
        }
        places[3 * i] = left, places[3 * i + 1] = top, places[3 * i + 2] = wide;
    }
}
"""

_DRAW = """
extern "C" __global__ void draw(unsigned char* pixels, const int* objects, const int* starts, const int* places,
                                const int* texts, const unsigned char* coverage, const int* palette, int width,
                                int height, int thickness, int labels, int line, int edge, int gap, int row)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    int first = starts[blockIdx.z], last = starts[blockIdx.z + 1];
    unsigned char* pixel = pixels + (((long long)blockIdx.z * height + y) * width + x) * 3;
    // Labels lie over all boxes, and the last object over those before.
    for (int i = last - 1; labels && i >= first; i--) {
        const int *label = places + 3 * i, *object = objects + i * FIELDS;
        if (y < label[1] || y >= label[1] + line || x < label[0] || x >= label[0] + label[2]) continue;
        int column = x - label[0] - edge, share = 0;
        for (int k = 5; k < FIELDS && column >= 0; k++) {
            if (object[k] < 0) continue;
            const int* text = texts + 2 * object[k];
            if (column < text[1]) share = coverage[(long long)(y - label[1]) * row + text[0] + column];
            column -= text[1] + gap;
        }
        const int* color = palette + 4 * object[4];
        for (int k = 0; k < 3; k++) pixel[k] = (color[k] * (255 - share) + color[3] * share + 127) / 255;
        return;
    }
    for (int i = last - 1; i >= first; i--) {
        const int* box = objects + i * FIELDS;
        if (y < box[1] || y >= box[3] || x < box[0] || x >= box[2]) continue;
        if (x >= box[0] + thickness && x < box[2] - thickness && y >= box[1] + thickness && y < box[3] - thickness)
            continue;
        for (int k = 0; k < 3; k++) pixel[k] = palette[4 * box[4] + k];
        return;
    }
}
"""


@lru_cache(maxsize=1)
def _kernels() -> tuple[Callable[..., None], Callable[..., None]] | None:
    """Return the kernels ``place`` and ``draw``; None where torch cannot compile kernels."""
    place, draw = (compiled(source, name, {"FIELDS": _FIELDS}) for source, name in ((_PLACE, "place"), (_DRAW, "draw")))
    return None if place is None or draw is None else (place, draw)


def _is_plain(result: Result) -> TypeGuard[Detections]:
    """Return whether a result is upright boxes and nothing else."""
    return (
        isinstance(result, Detections) and result.masks is None and result.angles is None and result.keypoints is None
    )


class BoxPainter:
    """Draws boxes and labels on the GPU, and keeps the rendered texts there.

    Args:
        params: How results are drawn.
        device: The GPU.
    """

    def __init__(self, params: OverlayParams, device: torch.device) -> None:
        self._params, self._device = params, device
        self._kernels = _kernels()
        colors = [params.color] if params.color else COLORS
        self._palette = uploaded(np.array([(*color, contrast(color)[0]) for color in colors], np.int32), self._device)
        self._forget_texts()

    def drawn(self, images: Sequence[torch.Tensor], results: Sequence[Sequence[Result]]) -> torch.Tensor | None:
        """Return copies of the images with the results, without a wait.

        Args:
            images: uint8 RGB [height, width, 3] each, of one size, on the GPU.
            results: Those of each image.

        Returns:
            New images, [count, height, width, 3]; None where torch cannot compile kernels, or where a result is no
            upright boxes and nothing else.
        """
        boxes = [[result for result in own if _is_plain(result)] for own in results]
        if self._kernels is None or list(map(len, boxes)) != list(map(len, results)):
            return None
        if len(self._texts) > _TEXTS:
            self._forget_texts()
        drawn = torch.stack(tuple(images))
        objects, starts = self._arrays(boxes)
        if self._params.label and self._rendered != len(self._texts):
            self._upload_texts()
        if len(objects):
            self._launch(*self._kernels, drawn, objects, starts)
        return drawn

    def _launch(
        self,
        place: Callable[..., None],
        draw: Callable[..., None],
        images: torch.Tensor,
        objects: NDArray[np.int32],
        starts: NDArray[np.int32],
    ) -> None:
        count, height, width = images.shape[:3]
        # One copy to the GPU takes less time than two.
        numbers = uploaded(np.concatenate([objects.ravel(), starts]), self._device)
        texts, there = self._table, [numbers[: objects.size], numbers[objects.size :]]
        places, label = numbers.new_empty((len(objects), 3)), self._params.label
        line, row = self._coverage.shape
        label_sizes = [line, *spacing(self._params.font_size)]
        if label:
            grid, block = (-(-count // _BLOCK[0]), 1, 1), (_BLOCK[0], 1, 1)
            place(grid=grid, block=block, args=[*there, texts, places, count, width, height, *label_sizes])
        tensors = [images, *there, places, texts, self._coverage, self._palette]
        draw(
            grid=(-(-width // _BLOCK[0]), -(-height // _BLOCK[1]), count),
            block=(*_BLOCK, 1),
            args=[*tensors, width, height, self._params.thickness, int(label), *label_sizes, row],
        )

    def _arrays(self, results: Sequence[Sequence[Detections]]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the numbers of each object, int32 [n, 8], and of each frame's first object, int32 [frames + 1]."""
        rows = [result for own in results for result in own]
        frames = np.repeat(np.arange(len(results)), [sum(len(result.scores) for result in own) for own in results])
        objects = np.full((len(frames), _FIELDS), -1, np.int32)
        if not len(frames):
            return objects, np.zeros(len(results) + 1, np.int32)
        corners = np.concatenate([result.corners for result in rows])
        valid = ~np.isnan(corners).any(axis=1)
        objects[:, :4] = np.rint(np.nan_to_num(corners).clip(-FAR, FAR))
        classes = np.concatenate([result.classes for result in rows])
        objects[:, 4] = 0 if self._params.color else classes % len(COLORS)
        if self._params.label:
            objects[:, 5] = np.concatenate([self._numbers(result) for result in rows])
            objects[:, 6] = np.concatenate([self._classes(result.names)[result.classes] for result in rows])
            objects[:, 7] = self._scores(np.concatenate([result.scores for result in rows]))
        return objects[valid], np.searchsorted(frames[valid], range(len(results) + 1)).astype(np.int32)

    def _numbers(self, result: Detections) -> list[int]:
        if result.ids is None:
            return [-1] * len(result.scores)
        return [self._text(f"#{number}") for number in result.ids.tolist()]

    def _classes(self, names: tuple[str, ...]) -> NDArray[np.int32]:
        """Return the number of the text of each class."""
        if names not in self._names:
            self._names[names] = np.array([self._text(name) for name in names], np.int32)
        return self._names[names]

    def _scores(self, scores: NDArray[np.float32]) -> NDArray[np.int32]:
        """Return the number of the text of each score."""
        # As a text has it: the product is exact as float64, and a half becomes even.
        hundredths = np.rint(scores.astype(np.float64) * 100)
        usual = (hundredths > 0) & (hundredths <= 100)
        texts = self._hundredths[np.where(usual, hundredths, 0).astype(np.int64)]
        for number in np.flatnonzero(~usual).tolist():
            texts[number] = self._text(f"{scores[number]:.2f}")
        return texts

    def _text(self, text: str) -> int:
        return self._texts.setdefault(text, len(self._texts))

    def _forget_texts(self) -> None:
        self._texts: dict[str, int] = {}
        self._names: dict[tuple[str, ...], NDArray[np.int32]] = {}
        self._hundredths = np.array([self._text(text) for text in _HUNDREDTHS], np.int32)
        self._pictures: list[NDArray[np.uint8]] = []
        self._rendered = 0
        self._table = self._coverage = torch.zeros((1, 1), device=self._device)

    def _upload_texts(self) -> None:
        """Render the new texts, and upload all: how much of each pixel they cover, and the columns of each."""
        new = list(self._texts)[self._rendered :]
        self._pictures += [text_picture(text, self._params.font_size) for text in new]
        self._rendered = len(self._pictures)
        widths = np.array([picture.shape[1] for picture in self._pictures], np.int32)
        self._table = uploaded(np.stack([np.cumsum(widths, dtype=np.int32) - widths, widths], axis=1), self._device)
        self._coverage = uploaded(np.concatenate(self._pictures, axis=1), self._device)
