"""Draw boxes, lines, dots, masks and small pictures into an image in memory.

Whatever lies outside of the image is cut off; what is not a number is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bmfgraph.nodes.palette import Color

__all__ = ["FAR", "Canvas", "Layer", "composite"]

TILE = 32
"""Pixels of a tile's side."""
FAR = 1e6
"""Coordinates beyond it are moved to it."""
_CHUNK = 64
"""Lines that are drawn at once, which bounds the memory."""

Points = NDArray[np.float32]


class Canvas:
    """An image that is drawn on.

    Args:
        pixels: uint8 [height, width, 3] in RGB, which is changed. With a fourth channel, the image is a layer: its
            colours are multiplied by their opacity, which is the fourth channel.
    """

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels = pixels
        self.height, self.width, self._channels = pixels.shape
        # NumPy copies the bytes of a pixel at once four times as fast as its channels.
        self._cells = pixels.view(f"V{self._channels}")[..., 0]
        self._known: dict[Color, NDArray[np.void]] = {}

    def rectangle(self, left: int, top: int, right: int, bottom: int, color: Color) -> None:
        """Fill the pixels from ``left`` and ``top`` up to but without ``right`` and ``bottom``."""
        left, top, right, bottom = self._inside(left, top, right, bottom)
        if left < right and top < bottom:
            self._cells[top:bottom, left:right] = self._cell(color)
            self._touch(left, top, right, bottom)

    def box(self, corners: Points, thickness: int, color: Color) -> None:
        """Draw the outline of a box, inside its edges. Lines that are thicker than the box fill it.

        Args:
            corners: Left, top, right and bottom edge, float32 [4].
            thickness: In pixels.
            color: RGB.
        """
        if np.isnan(corners).any():
            return
        x1, y1, x2, y2 = np.rint(corners.clip(-FAR, FAR)).astype(int).tolist()
        if x1 >= x2 or y1 >= y2:
            return
        upper, lower = min(y1 + thickness, y2), max(y2 - thickness, y1)
        self.rectangle(x1, y1, x2, upper, color)
        self.rectangle(x1, lower, x2, y2, color)
        self.rectangle(x1, upper, min(x1 + thickness, x2), lower, color)
        self.rectangle(max(x2 - thickness, x1), upper, x2, lower, color)

    def lines(self, ends: Points, thickness: int, colors: NDArray[np.uint8]) -> None:
        """Draw straight lines with square ends, each centred on its points.

        Args:
            ends: x and y of both ends of each line, float32 [n, 4].
            thickness: In pixels.
            colors: RGB of each line, uint8 [n, 3].
        """
        drawn = np.flatnonzero(np.isfinite(ends).all(axis=1))
        for start in range(0, len(drawn), _CHUNK):
            chunk = drawn[start : start + _CHUNK]
            self._lines(ends[chunk].astype(np.float64).clip(-FAR, FAR), thickness, colors[chunk])

    def _lines(self, ends: NDArray[np.float64], thickness: int, colors: NDArray[np.uint8]) -> None:
        ends, kept = _clipped(ends, self.width, self.height, thickness)
        colors = colors[kept]
        if not len(ends):
            return
        start, delta = ends[:, :2], ends[:, 2:] - ends[:, :2]
        length = np.hypot(*delta.T)
        steps = np.maximum(np.abs(delta).max(axis=1), 1e-9)
        # Each pixel along the longer axis gets as many across it as make the line that thick at right angles.
        across = np.maximum(np.rint(thickness * length / steps), 1).astype(np.int32)
        across[length == 0] = thickness
        counts = np.floor(steps).astype(np.int32) + 1
        line = np.repeat(np.arange(len(ends)), counts)
        along = np.arange(len(line)) - np.repeat(np.cumsum(counts) - counts, counts)
        columns, rows = np.floor(start[line] + (delta / steps[:, None])[line] * along[:, None]).astype(np.int32).T
        offsets = np.arange(across.max(), dtype=np.int32)
        used = (offsets < across[:, None])[line]
        shift = (np.floor(0.5 - across / 2).astype(np.int32)[:, None] + offsets)[line]
        steep = (np.abs(delta[:, 1]) > np.abs(delta[:, 0]))[line][:, None]
        columns, rows = columns[:, None] + shift * steep, rows[:, None] + shift * ~steep
        self._points(
            columns[used], rows[used], np.broadcast_to(self._cells_of(colors)[line][:, None], used.shape)[used]
        )

    def dots(self, centres: Points, radius: float, colors: NDArray[np.uint8]) -> None:
        """Draw filled circles.

        Args:
            centres: x and y, float32 [n, 2].
            radius: In pixels.
            colors: RGB of each dot, uint8 [n, 3].
        """
        far = max(self.width, self.height) + radius
        valid = np.flatnonzero((np.abs(centres) <= far).all(axis=1))
        reach = np.arange(-np.ceil(radius), np.ceil(radius) + 1).astype(int)
        dy, dx = np.nonzero(reach[:, None] ** 2 + reach**2 <= radius**2)
        columns = np.floor(centres[valid, :1]).astype(int) + reach[dx]
        rows = np.floor(centres[valid, 1:]).astype(int) + reach[dy]
        self._points(columns.ravel(), rows.ravel(), np.repeat(self._cells_of(colors[valid]), len(dx)))

    def blend(self, left: int, top: int, mask: NDArray[np.bool_], color: Color, opacity: float) -> None:
        """Mix a colour into the pixels of a mask.

        Args:
            left: Column of the mask in the image; the mask lies inside of the image.
            top: Row of the mask.
            mask: The pixels, bool [height, width].
            color: RGB.
            opacity: 0..1.
        """
        height, width = mask.shape
        if not mask.any():
            return
        region = self.pixels[top : top + height, left : left + width]
        levels = region[mask].astype(np.float32)
        region[mask] = (levels + (self._color(color) - levels) * opacity + 0.5).astype(np.uint8)
        self._touch(left, top, left + width, top + height)

    def paste(self, left: int, top: int, picture: NDArray[np.uint8]) -> None:
        """Copy a small picture, uint8 [height, width, 3], into the image."""
        x1, y1, x2, y2 = self._inside(left, top, left + picture.shape[1], top + picture.shape[0])
        if x1 < x2 and y1 < y2:
            region = self.pixels[y1:y2, x1:x2]
            region[..., :3] = picture[y1 - top : y2 - top, x1 - left : x2 - left]
            region[..., 3:] = 255
            self._touch(x1, y1, x2, y2)

    def _points(self, columns: NDArray[Any], rows: NDArray[Any], cells: NDArray[np.void]) -> None:
        valid = (columns >= 0) & (columns < self.width) & (rows >= 0) & (rows < self.height)
        columns, rows = columns[valid], rows[valid]
        self._cells[rows, columns] = cells[valid]
        self._touch_points(columns, rows)

    def _cell(self, color: Color) -> NDArray[np.void]:
        """Return the bytes of a pixel."""
        if color not in self._known:
            self._known[color] = self._cells_of(np.array([color], np.uint8))
        return self._known[color]

    def _cells_of(self, colors: NDArray[np.uint8]) -> NDArray[np.void]:
        """Return the bytes of a pixel for each colour."""
        levels = np.full((len(colors), self._channels), 255, np.uint8)
        levels[:, :3] = colors
        return levels.view(f"V{self._channels}")[:, 0]

    def _inside(self, left: int, top: int, right: int, bottom: int) -> tuple[int, int, int, int]:
        return max(left, 0), max(top, 0), min(right, self.width), min(bottom, self.height)

    def _color(self, color: Color) -> tuple[int, ...]:
        return (*color, 255)[: self._channels]

    def _touch(self, left: int, top: int, right: int, bottom: int) -> None:
        """Note that pixels of this rectangle have changed."""

    def _touch_points(self, columns: NDArray[Any], rows: NDArray[Any]) -> None:
        """Note that these pixels have changed."""


class Layer(Canvas):
    """A transparent image to lay over a frame on the GPU, of which only the used tiles are uploaded.

    Args:
        width: Of the frame.
        height: Of the frame.

    Attributes:
        tiles: Number of tiles.
    """

    def __init__(self, width: int, height: int) -> None:
        self._used = np.zeros((-(-height // TILE), -(-width // TILE)), bool)
        rows, columns = self._used.shape
        self.tiles = rows * columns
        self._padded = np.zeros((rows * TILE, columns * TILE, 4), np.uint8)
        self._tiles = self._padded.reshape(rows, TILE, columns, TILE, 4).transpose(0, 2, 1, 3, 4)
        super().__init__(self._padded[:height, :width])

    def take(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Return the used tiles, and make the layer transparent again.

        Returns:
            Number of each tile, row by row, int64 [n], and its pixels, uint8 [n, 32, 32, 4].
        """
        numbers, tiles = np.flatnonzero(self._used), self._tiles[self._used]
        self._tiles[self._used] = 0
        self._used[:] = False
        return numbers, tiles

    def _touch(self, left: int, top: int, right: int, bottom: int) -> None:
        self._used[top // TILE : (bottom - 1) // TILE + 1, left // TILE : (right - 1) // TILE + 1] = True

    def _touch_points(self, columns: NDArray[Any], rows: NDArray[Any]) -> None:
        self._used[rows // TILE, columns // TILE] = True


def composite(images: Sequence[torch.Tensor], numbers: torch.Tensor, tiles: torch.Tensor) -> torch.Tensor:
    """Lay tiles over images.

    Args:
        images: uint8 RGB [height, width, 3] each, of one size.
        numbers: Place of each tile, as :meth:`Layer.take` returns it, on the images' device; the tiles of an image
            follow those of the image before.
        tiles: Pixels of each tile, uint8 [n, 32, 32, 4].

    Returns:
        New images, [count, height, width, 3].
    """
    (height, width), device, count = images[0].shape[:2], images[0].device, len(images)
    rows, columns = -(-height // TILE), -(-width // TILE)
    # One pixel more, for those of the tiles that lie outside of their image.
    room = torch.empty((count * height * width + 1, 3), dtype=torch.uint8, device=device)
    result = room[:-1].view(count, height, width, 3)
    torch.stack(tuple(images), out=result)
    inside = torch.arange(TILE, device=device)
    image, place = numbers // (rows * columns), numbers % (rows * columns)
    y = (place // columns * TILE)[:, None] + inside
    x = (place % columns * TILE)[:, None] + inside
    line = (image * height)[:, None] + y
    pixels = torch.where(
        (y < height)[:, :, None] & (x < width)[:, None], line[:, :, None] * width + x[:, None], len(room) - 1
    )
    layer = tiles.int()
    below = (room[pixels] * (255 - layer[..., 3:]) + 127) // 255
    room[pixels] = (below + layer[..., :3]).clamp(max=255).to(torch.uint8)
    return result


def _clipped(
    ends: NDArray[np.float64], width: int, height: int, margin: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Cut lines at the edges of an image and a margin around it, by the algorithm of Liang and Barsky.

    Args:
        ends: x and y of both ends, [n, 4].
        width: Of the image.
        height: Of the image.
        margin: In pixels.

    Returns:
        The ends of the lines that are left, [m, 4], and which lines they are, int64 [m].
    """
    start, delta = ends[:, :2], ends[:, 2:] - ends[:, :2]
    low, high = np.array([-margin, -margin]), np.array([width + margin, height + margin])
    with np.errstate(divide="ignore", invalid="ignore"):
        entries, exits = np.sort([(low - start) / delta, (high - start) / delta], axis=0)
    # A line along an edge enters and leaves nowhere: it is inside for its whole length, or not at all.
    still = delta == 0
    inside = (start >= low) & (start <= high)
    entries = np.where(still, np.where(inside, -np.inf, np.inf), entries).max(axis=1).clip(min=0)
    exits = np.where(still, np.where(inside, np.inf, -np.inf), exits).min(axis=1).clip(max=1)
    kept = np.flatnonzero(entries <= exits)
    first, last = entries[kept, None], exits[kept, None]
    return np.concatenate([start[kept] + delta[kept] * first, start[kept] + delta[kept] * last], axis=1), kept
