"""Takes real video frames for training, and finds the sequences that hold no cut."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from .resample import Picture, area_shrink

WINDOW = 7
"""Frames in the temporal network's window."""

_CUT_DIFFERENCE = 22.0  # grey levels between neighbouring frames; a sequence with this much holds a cut
_LEAST_SPREAD = 14.0  # standard deviation of the middle frame, grey levels; less is a black or blank frame

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clip:
    """Frames of one video.

    Attributes:
        name: the file's name.
        frames: uint8 (T, H, W, 3), RGB.
        starts: int64 (N,), the indices at which a sequence of usable frames begins.
    """

    name: str
    frames: Picture
    starts: NDArray[np.int64]


def decode_rgb(path: Path, limit: int) -> Iterator[Picture]:
    """Yields the first frames of a video's first video stream as uint8 (H, W, 3) RGB.

    Rotation metadata is not applied.

    Args:
        path: the video's file.
        limit: most frames to yield.

    Raises:
        ValueError: the file has no video stream.
        av.error.FFmpegError: the file cannot be read or decoded.
    """
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise ValueError(f"{path} has no video stream")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for index, frame in enumerate(container.decode(stream)):
            if index == limit:
                return
            rgb = frame.reformat(format="rgb24", interpolation="BICUBIC")
            yield rgb.to_ndarray().astype(np.uint8, copy=False)


def read_clip(path: Path, limit: int, length: int = WINDOW, factor: int = 1) -> Clip:
    """Reads a video as high-resolution training frames.

    Frames are area-shrunk to sides that are multiples of four, so that they can be halved twice.

    Args:
        path: the video's file.
        limit: most frames to read.
        length: frames of a sequence.
        factor: by which the frames shrink.

    Raises:
        ValueError: the file holds fewer frames than a sequence.
    """
    frames = []
    for frame in decode_rgb(path, limit):
        height, width = frame.shape[:2]
        width, height = width // factor // 4 * 4, height // factor // 4 * 4
        part = frame[: height * factor, : width * factor]
        frames.append(area_shrink(part, width, height) if factor > 1 else part)
    if len(frames) < length:
        raise ValueError(f"{path} has {len(frames)} frames; a sequence needs {length}")
    stacked = np.stack(frames)
    clip = Clip(path.name, stacked, sequence_starts(stacked, length))
    _log.info("%s: frames %s, %d sequences", clip.name, clip.frames.shape, len(clip.starts))
    return clip


def sequence_starts(frames: Picture, length: int = WINDOW) -> NDArray[np.int64]:
    """Indices at which ``length`` frames begin that hold no cut and whose middle frame is not blank.

    Args:
        frames: uint8 (T, H, W, 3), T at least ``length``.
        length: frames of a sequence.

    Returns:
        int64 (N,).
    """
    sampled = frames[:, ::4, ::4].astype(np.int16)  # a sixteenth of the pixels is enough to see a cut
    differences = np.abs(np.diff(sampled, axis=0)).mean(axis=(1, 2, 3))
    starts = [
        start
        for start in range(len(frames) - length + 1)
        if differences[start : start + length - 1].max() < _CUT_DIFFERENCE
        and frames[start + length // 2].std() > _LEAST_SPREAD
    ]
    return np.array(starts, np.int64)
