"""How close a clip is to another: peak signal-to-noise ratio of luma."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np

from bmfgraph.errors import RunError

__all__ = ["measure"]

_LIMIT = 100.0
"""Decibels given to frames that are equal."""


def measure(clip: Path, reference: Path) -> dict[str, Any]:
    """Frame by frame in presentation order, on 8-bit luma over the whole picture.

    ``psnr_y``: mean over the frames in dB; ``psnr_y_min``: the worst frame. Raises RunError when the two
    differ in size or in their number of frames.
    """
    import av

    values = []
    try:
        with av.open(str(clip)) as one, av.open(str(reference)) as other:
            for path, opened in ((clip, one), (reference, other)):
                if not opened.streams.video:
                    raise RunError(
                        "reference",
                        "quality",
                        f"{str(path)!r} has no video stream",
                        hint="name a video file",
                        code="E804",
                    )
            pairs = itertools.zip_longest(one.decode(video=0), other.decode(video=0))
            for number, (frame, wanted) in enumerate(pairs):
                if frame is None or wanted is None:
                    shorter = clip if frame is None else reference
                    raise _differ(f"{str(shorter)!r} ends after {number} frames, the other goes on")
                if (frame.width, frame.height) != (wanted.width, wanted.height):
                    raise _differ(
                        f"{str(clip)!r} is {frame.width}x{frame.height}, "
                        f"{str(reference)!r} is {wanted.width}x{wanted.height}"
                    )
                values.append(_psnr(_luma(frame), _luma(wanted)))
    except av.FFmpegError as error:
        raise RunError(
            "reference", "quality", f"cannot be compared ({error})", hint="name a video file", code="E804"
        ) from None
    if not values:
        raise _differ(f"neither {str(clip)!r} nor {str(reference)!r} holds a frame")
    return {
        "reference": str(reference),
        "frames": len(values),
        "psnr_y": round(sum(values) / len(values), 4),
        "psnr_y_min": round(min(values), 4),
    }


def _differ(text: str) -> RunError:
    return RunError("reference", "quality", text, hint="give a reference of the output's size and length", code="E804")


def _luma(frame: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    grey = frame if frame.format.name.startswith(("yuv", "nv", "gray")) else frame.reformat(format="yuv444p")
    if grey.format.components[0].bits != 8:
        grey = grey.reformat(format="yuv444p")
    plane = grey.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
    return rows.astype(np.float64)


def _psnr(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    error = float(np.mean((a - b) ** 2))
    return _LIMIT if error == 0 else min(_LIMIT, 10 * math.log10(255**2 / error))
