"""Makes training batches on the training device: random crops, flips, shrinking and damage.

Nothing here reads a value back from the device, so that a step with its batch can be captured as a CUDA
graph.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .camera import MovingCamera
from .clips import WINDOW, Clip
from .crops import CROP_SIDE
from .degrade import BlockCodec, round_to_8_bits
from .presets import TrainingOptions
from .resample import MARGIN_BY_TWO, Picture, area_taps_by_two, halving_matrix

_HIGHEST_STILL_QUALITY = 95.0
# The area-shrunk samples begin here in the batch, so that some of the coded ones are area-shrunk too.
_AREA_SHARE_START = 0.2
_REAL_SHARE = 2, 5  # of the windows are real frames, the others moving stills
_FIRST_CLIP_SHARE = 0.7  # of the real windows; the other clips share the rest
_NOISY_SHARE, _NOISE = 0.3, 2 / 255  # share of the windows, and the largest standard deviation
_CODED_ONE_IN, _WINDOW_QUALITIES = 5, (60.0, 95.0)  # one window in five is coded


class _Sampler:
    """Cuts random, randomly flipped squares out of pictures."""

    def __init__(self, patch: int, device: torch.device) -> None:
        self.side = 2 * patch + 2 * MARGIN_BY_TWO
        self._device = device
        self._axis = torch.arange(self.side, device=device)
        self.colours = torch.arange(3, device=device)

    def below(self, bound: int, n: int) -> Tensor:
        """Random integers, int64 (n,)."""
        return torch.randint(0, bound, (n,), device=self._device)

    def rows_and_columns(self, n: int, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Row and column indices of ``n`` squares, int64 (n, side) each; a flip runs them backwards."""
        top, left = self.below(height - self.side + 1, n), self.below(width - self.side + 1, n)
        return self._flipped(top), self._flipped(left)

    def _flipped(self, starts: Tensor) -> Tensor:
        flip = (self.below(2, starts.shape[0]) > 0)[:, None]
        return torch.where(flip, (self.side - 1) - self._axis, self._axis) + starts[:, None]


class StillBatches:
    """Batches of single pictures.

    Args:
        crops: uint8 (N, 256, 256, 3), RGB.
        options: batch, patch and the shares of damage.
        device: where the crops and the batches lie.
    """

    def __init__(self, crops: Picture, options: TrainingOptions, device: torch.device) -> None:
        self._options, self._device = options, device
        self._crops = torch.from_numpy(crops).to(device)
        self._sampler = _Sampler(options.patch, device)
        self._half = torch.from_numpy(halving_matrix(options.patch)).to(device)
        self._area_half = torch.from_numpy(halving_matrix(options.patch, area_taps_by_two())).to(device)
        self._codec = BlockCodec(device)

    def __call__(self) -> tuple[Tensor, Tensor]:
        """The next low resolution (B, 3, S, S) and target (B, 3, 2S, 2S), float32, 8-bit values in 0..1."""
        options = self._options
        high = _transpose_some(self._crop(options.batch), options.batch // 2)
        low = shrink(high, self._half)
        if options.area_share > 0:
            first = int(options.batch * _AREA_SHARE_START)
            last = int(options.batch * (_AREA_SHARE_START + options.area_share))
            area = self._area_half @ high[first:last] @ self._area_half.T
            low = torch.cat([low[:first], area, low[last:]])
        if options.coded_share > 0:
            n = int(options.batch * options.coded_share)
            spread = _HIGHEST_STILL_QUALITY - options.lowest_quality
            quality = torch.rand(n, device=self._device) * spread + options.lowest_quality
            low = torch.cat([self._codec(round_to_8_bits(low[:n]), quality), low[n:]])
        return round_to_8_bits(low), round_to_8_bits(_without_margin(high))

    def _crop(self, n: int) -> Tensor:
        sampler = self._sampler
        index = sampler.below(self._crops.shape[0], n)
        rows, columns = sampler.rows_and_columns(n, CROP_SIDE, CROP_SIDE)
        pixels = self._crops[
            index[:, None, None, None],
            rows[:, None, :, None],
            columns[:, None, None, :],
            sampler.colours[None, :, None, None],
        ]
        return pixels.float() / 255


class WindowBatches:
    """Batches of seven-frame windows: stills under a moving camera and, where there are clips, real frames.

    Args:
        crops: uint8 (N, 256, 256, 3), RGB.
        clips: real frames, at least 2 * patch + 6 pixels a side; the first gives most of the real windows.
        options: batch and patch; the shares of damage are the recipe's own.
        device: where crops, frames and batches lie.

    Raises:
        ValueError: a clip's frames are too small.
    """

    def __init__(self, crops: Picture, clips: Sequence[Clip], options: TrainingOptions, device: torch.device) -> None:
        self._options, self._device = options, device
        self._crops = torch.from_numpy(crops).to(device)
        self._sampler = _Sampler(options.patch, device)
        for clip in clips:
            if min(clip.frames.shape[1:3]) < self._sampler.side:
                shape = "x".join(str(side) for side in clip.frames.shape[2:0:-1])
                raise ValueError(f"{clip.name}: frames of {shape}, need {self._sampler.side} px a side")
        self._clips = [
            (torch.from_numpy(clip.frames).to(device), torch.from_numpy(clip.starts).to(device)) for clip in clips
        ]
        self._half = torch.from_numpy(halving_matrix(options.patch)).to(device)
        self._camera = MovingCamera(self._sampler.side, device)
        self._codec = BlockCodec(device)
        self._times = torch.arange(WINDOW, device=device)

    def __call__(self) -> tuple[Tensor, Tensor]:
        """The next low resolution (B, 21, S, S) and target (B, 9, 2S, 2S), float32, 8-bit values in 0..1."""
        batch, patch = self._options.batch, self._options.patch
        windows = self._windows(batch)
        high = torch.cat([windows[0::2], windows[1::2].transpose(3, 4)])
        low = self._coded(self._noisy(shrink(high, self._half)))
        target = _without_margin(high[:, 2:5])
        return (
            round_to_8_bits(low).reshape(batch, 3 * WINDOW, patch, patch),
            round_to_8_bits(target).reshape(batch, 9, 2 * patch, 2 * patch),
        )

    def _windows(self, n: int) -> Tensor:
        """High-resolution windows, float32 (n, 7, 3, side, side): the moving stills first."""
        share, of = _REAL_SHARE
        real = n * share // of if self._clips else 0
        index = self._sampler.below(self._crops.shape[0], n - real)
        windows = [self._camera(self._crops[index].permute(0, 3, 1, 2).float() / 255)]
        left = real
        for i, (frames, starts) in enumerate(self._clips):
            last = i == len(self._clips) - 1
            clip_share = _FIRST_CLIP_SHARE if i == 0 else (1 - _FIRST_CLIP_SHARE) / (len(self._clips) - 1)
            count = left if last else round(real * clip_share)
            left -= count
            if count > 0:
                windows.append(self._real_windows(frames, starts, count))
        return torch.cat(windows)

    def _real_windows(self, frames: Tensor, starts: Tensor, n: int) -> Tensor:
        """Windows of a clip, some of them backwards in time, float32 (n, 7, 3, side, side)."""
        sampler = self._sampler
        times = starts[sampler.below(starts.numel(), n)][:, None] + self._times
        times = torch.where((sampler.below(2, n) > 0)[:, None], times.flip(1), times)
        rows, columns = sampler.rows_and_columns(n, frames.shape[1], frames.shape[2])
        pixels = frames[
            times[:, :, None, None, None],
            rows[:, None, None, :, None],
            columns[:, None, None, None, :],
            sampler.colours[None, None, :, None, None],
        ]
        return pixels.float() / 255

    def _noisy(self, low: Tensor) -> Tensor:
        """Adds Gaussian noise of a random strength to a share of the windows."""
        per_window = (low.shape[0], 1, 1, 1, 1)
        strength = torch.rand(per_window, device=self._device)
        strength = strength * (torch.rand(per_window, device=self._device) < _NOISY_SHARE) * _NOISE
        return low + torch.randn_like(low) * strength

    def _coded(self, low: Tensor) -> Tensor:
        """Codes a share of the windows, each at one quality for all its frames."""
        n, patch = low.shape[0] // _CODED_ONE_IN, self._options.patch
        worst, best = _WINDOW_QUALITIES
        quality = torch.rand(n, device=self._device) * (best - worst) + worst
        frames = round_to_8_bits(low[:n]).reshape(n * WINDOW, 3, patch, patch)
        coded = self._codec(frames, quality.repeat_interleave(WINDOW)).reshape(n, WINDOW, 3, patch, patch)
        return torch.cat([coded, low[n:]])


def shrink(high: Tensor, half: Tensor) -> Tensor:
    """Halves (..., 2S + 6, 2S + 6) to (..., S, S), rounding to 8 bits after the first direction like MATLAB.

    The caller rounds after the second.  The products must be full float32: with TF32 the sums would be off by
    more than MATLAB's rounding.
    """
    return round_to_8_bits(half @ high) @ half.T


def _transpose_some(x: Tensor, first: int) -> Tensor:
    """Swaps rows and columns from sample ``first`` on; with the flips this gives all eight orientations."""
    return torch.cat([x[:first], x[first:].transpose(2, 3)])


def _without_margin(high: Tensor) -> Tensor:
    return high[..., MARGIN_BY_TWO:-MARGIN_BY_TWO, MARGIN_BY_TWO:-MARGIN_BY_TWO]
