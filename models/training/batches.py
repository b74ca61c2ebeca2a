"""Makes training batches on the training device: random parts of crops and of coded pairs.

Nothing here reads a value back from the device, so that a step with its batch can be captured as a CUDA
graph.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .clips import WINDOW
from .crops import CROP_SIDE
from .degrade import Shrinker, Softener, margin, noisy, round_to_8_bits
from .pairs import SCORED, Pairs
from .presets import TrainingOptions
from .resample import Picture

_LOADED_AT_ONCE = 256  # pairs


class _Squares:
    """Random, randomly flipped squares.

    Args:
        side: of the squares.
        device: where the indices lie.
    """

    def __init__(self, side: int, device: torch.device) -> None:
        self.side = side
        self._axis = torch.arange(side, device=device)

    def starts(self, length: int, n: int) -> Tensor:
        """Random first rows or columns within ``length``, int64 (n,)."""
        return torch.randint(0, length - self.side + 1, (n,), device=self._axis.device)

    def flips(self, n: int) -> Tensor:
        """Random choice of the squares to mirror, bool (n, 1)."""
        return torch.randint(0, 2, (n, 1), device=self._axis.device) > 0

    def indices(self, starts: Tensor, flips: Tensor) -> Tensor:
        """Rows or columns, int64 (n, side)."""
        return torch.where(flips, self.side - 1 - self._axis, self._axis) + starts[:, None]


def _gathered(source: Tensor, first: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Squares out of pictures, float32 (n, 3, side, side) in 0..1.

    Args:
        source: uint8 (N, H, W, 3).
        first: index of the picture, int64 (n,).
        rows: int64 (n, side).
        columns: int64 (n, side).
    """
    pixels = source[first[:, None, None], rows[:, :, None], columns[:, None, :]]
    return pixels.permute(0, 3, 1, 2).float() / 255


class CropBatches:
    """Crops that are shrunk on the device.

    Args:
        crops: uint8 (N, 256, 256, 3), RGB.
        options: patch, scale and the shares of what is done to them.
        device: where the crops and the batches lie.
    """

    def __init__(self, crops: Picture, options: TrainingOptions, device: torch.device) -> None:
        self._options, self._margin = options, margin(options.scale)
        self._crops = torch.from_numpy(crops).to(device)
        side = options.patch * options.scale + 2 * self._margin
        self._squares = _Squares(side, device)
        self._soften = Softener(side, options.soft_share, device) if options.soft_share else None
        self._shrink = Shrinker(options.patch, options.scale, options.scalers, device)

    def __call__(self, n: int) -> tuple[Tensor, Tensor]:
        """Low resolution (n, 3, S, S) and target (n, 3, scale * S, scale * S), float32, 8-bit values in 0..1."""
        squares = self._squares
        index = torch.randint(0, self._crops.shape[0], (n,), device=self._crops.device)
        rows, columns = (squares.indices(squares.starts(CROP_SIDE, n), squares.flips(n)) for _ in range(2))
        high = _gathered(self._crops, index, rows, columns)
        if self._soften:
            high = self._soften(high)
        low = noisy(self._shrink(high), self._options.noisy_share, self._options.noise)
        inside = slice(self._margin, -self._margin)
        return round_to_8_bits(low), high[..., inside, inside]


class PairBatches:
    """Parts of stored pairs.

    Args:
        pairs: of one size and scale.
        patch: side of the low-resolution squares, pixels.
        device: where the pairs and the batches lie.

    Raises:
        ValueError: there are no pairs, or they are too small.
    """

    def __init__(self, pairs: Sequence[Pairs], patch: int, device: torch.device) -> None:
        if not sum(len(some.low) for some in pairs):
            raise ValueError("there are no pairs")
        self._scale = pairs[0].scale
        self._size = pairs[0].low.shape[2:4]
        if min(self._size) < patch:
            raise ValueError(f"pairs of {self._size[1]}x{self._size[0]}, need {patch} px a side")
        self._low = _on_device([some.low for some in pairs], device).flatten(0, 1)
        self._high = _on_device([some.high for some in pairs], device).flatten(0, 1)
        self._small, self._large = _Squares(patch, device), _Squares(patch * self._scale, device)

    def stills(self, n: int) -> tuple[Tensor, Tensor]:
        """Single frames and their partners, as ``CropBatches`` gives them."""
        frame = torch.randint(0, self._high.shape[0], (n,), device=self._high.device)
        pair, of_window = frame // 3, frame % 3
        low, high = self._parts(n)
        return (
            _gathered(self._low, pair * WINDOW + SCORED.start + of_window, *low),
            _gathered(self._high, frame, *high),
        )

    def windows(self, n: int) -> tuple[Tensor, Tensor]:
        """Windows, float32 (n, 21, S, S), and their scored frames, (n, 9, scale * S, scale * S)."""
        pair = torch.randint(0, self._high.shape[0] // 3, (n,), device=self._high.device)
        low, high = self._parts(n)
        frames = [_gathered(self._low, pair * WINDOW + i, *low) for i in range(WINDOW)]
        partners = [_gathered(self._high, pair * 3 + i, *high) for i in range(3)]
        return torch.cat(frames, 1), torch.cat(partners, 1)

    def _parts(self, n: int) -> tuple[list[Tensor], list[Tensor]]:
        """Rows and columns of the same random squares at either resolution."""
        low, high = [], []
        for length in self._size:
            starts, flips = self._small.starts(length, n), self._small.flips(n)
            low.append(self._small.indices(starts, flips))
            high.append(self._large.indices(starts * self._scale, flips))
        return low, high


def _on_device(parts: Sequence[Picture], device: torch.device) -> Tensor:
    """Joins memory-mapped arrays along their first axis on the device."""
    joined = torch.empty((sum(map(len, parts)), *parts[0].shape[1:]), dtype=torch.uint8, device=device)
    done = 0
    for part in parts:
        for start in range(0, len(part), _LOADED_AT_ONCE):
            piece = torch.from_numpy(part[start : start + _LOADED_AT_ONCE].copy())
            joined[done : done + len(piece)] = piece
            done += len(piece)
    return joined


class Batches:
    """The batches of a preset: from crops, pairs, or both.

    Args:
        crops: uint8 (N, 256, 256, 3); may be left out where nothing is taken from them.
        pairs: may be empty where nothing is taken from them.
        options: the preset.
        device: where the batches lie.

    Raises:
        ValueError: something that the preset needs is not there.
    """

    def __init__(
        self, crops: Picture | None, pairs: Sequence[Pairs], options: TrainingOptions, device: torch.device
    ) -> None:
        self._from_pairs = int(options.batch * options.pair_share)
        self._from_crops = options.batch - self._from_pairs
        self._windows = options.network == "temporal"
        self._pairs = PairBatches(pairs, options.patch, device) if self._from_pairs else None
        if self._from_crops and crops is None:
            raise ValueError(f"{options.network} needs crops")
        self._crops = CropBatches(crops, options, device) if self._from_crops and crops is not None else None

    def __call__(self) -> tuple[Tensor, Tensor]:
        """The next low resolution and target; a temporal network gets windows."""
        parts = []
        if self._pairs:
            make = self._pairs.windows if self._windows else self._pairs.stills
            parts.append(make(self._from_pairs))
        if self._crops:
            parts.append(self._crops(self._from_crops))
        low, high = (torch.cat(some) for some in zip(*parts, strict=True))
        # Swapping rows and columns of every other sample gives, with the flips, all eight orientations.
        return _transpose_some(low), _transpose_some(high)


def _transpose_some(x: Tensor) -> Tensor:
    return torch.cat([x[0::2], x[1::2].transpose(2, 3)])
