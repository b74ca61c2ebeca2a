"""The pictures and frames that networks are scored on, and their scores: Y-PSNR, SSIM, flicker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchmetrics.functional.image import structural_similarity_index_measure

from .clips import WINDOW, decode_rgb
from .coding import Coding, code
from .pairs import SCORED
from .resample import Picture, area_shrink, luma, matlab_shrink, y_psnr
from .upscaler import AnyUpscaler

_MOST_FRAMES = 400
_WIDEST = 640  # px
_STILL_BORDER, _VIDEO_BORDER = 2, 6  # px left out on every side, for a factor of two
_BLANK = 8.0  # grey levels of standard deviation below which a window is not scored
# Frames that are coded together, before and from a window's first one on.
_FRAMES_BEFORE, _FRAMES_AFTER = 8, 12

INPUTS: Mapping[str, tuple[str, Coding | None]] = MappingProxyType(
    {
        "bicubic": ("bicubic", None),
        "area": ("area", None),
        "x264 CRF 23": ("bicubic", Coding(crf=23)),
        "x264 CRF 28": ("bicubic", Coding(crf=28)),
    }
)
"""How the small frames are made: shrinking filter and coding, by the name in the tables."""


class Scores(NamedTuple):
    """Scores of the luma of a picture or window.

    Attributes:
        psnr: dB.
        ssim: Z. Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE
            TIP 13(4), 2004.
        flicker: PSNR of the differences between consecutive frames, dB; NaN for single pictures.
    """

    psnr: float
    ssim: float
    flicker: float = float("nan")


class ScoredWindow(NamedTuple):
    """A window to score: seven small frames, and the large ones at positions 2, 3 and 4."""

    low: Picture
    high: Picture


def scores(output: Picture, target: Picture, border: int) -> Scores:
    """Scores frames, uint8 (N, H, W, 3); the border is left out on every side."""
    psnr = float(np.mean([y_psnr(got, wanted, border) for got, wanted in zip(output, target, strict=True)]))
    inside = slice(border, -border)
    got, wanted = (luma(frames)[:, inside, inside] for frames in (output, target))
    mine, theirs = (torch.from_numpy(planes[:, None]).float() for planes in (got, wanted))
    ssim = structural_similarity_index_measure(mine, theirs, data_range=255.0)
    assert isinstance(ssim, torch.Tensor)
    if len(output) == 1:
        return Scores(psnr, float(ssim))
    return Scores(psnr, float(ssim), _flicker(got, wanted))


def _flicker(got: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    error = np.diff(got, axis=0) - np.diff(wanted, axis=0)
    return 10 * float(np.log10(255**2 / max(float(np.mean(error**2)), 1e-9)))


def still_scores(model: AnyUpscaler, folder: Path) -> Scores:
    """Mean scores of a model for single pictures on one set.

    Args:
        model: what to measure.
        folder: holds ``*_HR.png`` and, for a factor of two, ``*_LR.png``; for four the small pictures are made.

    Raises:
        FileNotFoundError: the folder holds no such pictures.
    """
    files = sorted(folder.glob("*_HR.png"))
    if not files:
        raise FileNotFoundError(f"no *_HR.png in {folder}")
    found = []
    for file in files:
        high = _read(file)
        low = _read(file.with_name(file.name.replace("_HR", "_LR"))) if model.scale == 2 else matlab_shrink(high, 4)
        output = model(low[None])
        # The output is a row or column larger where the reference has an odd side, or smaller.
        height, width = (min(sides) for sides in zip(high.shape[:2], output.shape[1:3], strict=True))
        border = _STILL_BORDER * model.scale // 2
        found.append(scores(output[:, :height, :width], high[None, :height, :width], border))
    return mean_scores(found)


def mean_scores(found: Sequence[Scores]) -> Scores:
    """The means, of each score by itself."""
    return Scores(*(float(np.mean(values)) for values in zip(*found, strict=True)))


def _read(path: Path) -> Picture:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


class Passage(NamedTuple):
    """Frames of a video around a window, uint8 (H, W, 3), RGB; the window begins after ``lead`` of them."""

    frames: Sequence[Picture]
    lead: int


def read_passages(path: Path, count: int) -> list[Passage]:
    """Evenly spread passages of the first 400 frames of a video, without those whose middle is blank.

    Frames are area-shrunk to a width of 640 px if wider; their sides are multiples of four.

    Args:
        path: the video's file.
        count: how many.

    Raises:
        ValueError: there are fewer than 15 frames.
    """
    total = sum(1 for _ in decode_rgb(path, _MOST_FRAMES))
    first, last = WINDOW // 2, total - _FRAMES_AFTER
    if last < first:
        raise ValueError(f"{total} frames are too few; {first + _FRAMES_AFTER} are needed")
    starts = [int(start) for start in np.linspace(first, last, count)]
    ranges = [range(start - min(_FRAMES_BEFORE, start), start + _FRAMES_AFTER) for start in starts]
    wanted = {index for some in ranges for index in some}
    frames = {i: _evaluation_frame(frame) for i, frame in enumerate(decode_rgb(path, _MOST_FRAMES)) if i in wanted}
    passages = [
        Passage([frames[i] for i in some], start - some.start) for some, start in zip(ranges, starts, strict=True)
    ]
    return [passage for passage in passages if passage.frames[passage.lead + WINDOW // 2].std() >= _BLANK]


def _evaluation_frame(frame: Picture) -> Picture:
    height, width = frame.shape[:2]
    if width > _WIDEST:
        frame = area_shrink(frame, _WIDEST, round(height * _WIDEST / width))
    return frame[: frame.shape[0] // 4 * 4, : frame.shape[1] // 4 * 4]


def scored_window(passage: Passage, kind: str, scale: int = 2) -> ScoredWindow:
    """Shrinks, and perhaps codes, a passage, and takes the window out of it.

    Args:
        passage: of a video.
        kind: one of ``INPUTS``.
        scale: by which the small frames are smaller.
    """
    scaler, coding = INPUTS[kind]
    frames, lead = passage
    height, width = (side // (2 * scale) * 2 * scale for side in frames[0].shape[:2])
    cut = [frame[:height, :width] for frame in frames]
    high = np.stack(cut[lead : lead + WINDOW][SCORED])
    if coding is None:
        cut, lead = cut[lead : lead + WINDOW], 0
    low = [_SHRINKING[scaler](frame, scale) for frame in cut]
    if coding:
        low = code(low, coding)
    return ScoredWindow(np.stack(low[lead : lead + WINDOW]), high)


def _area(frame: Picture, scale: int) -> Picture:
    return area_shrink(frame, frame.shape[1] // scale, frame.shape[0] // scale)


_SHRINKING: Mapping[str, Callable[[Picture, int], Picture]] = {"bicubic": matlab_shrink, "area": _area}


def upscaled(model: AnyUpscaler, window: ScoredWindow) -> Picture:
    """The frames at positions 2, 3 and 4 of a window, enlarged."""
    return model(window.low if model.takes_windows else window.low[SCORED])


def window_scores(model: AnyUpscaler, windows: Sequence[ScoredWindow]) -> Scores:
    """Mean scores of a model over windows."""
    border = _VIDEO_BORDER * model.scale // 2
    return mean_scores([scores(upscaled(model, window), window.high, border) for window in windows])
