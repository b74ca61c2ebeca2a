"""Pictures and videos for the tests of the recipe."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from av.video.stream import VideoStream

from bmfgraph.models.training.resample import Picture

CPU = torch.device("cpu")


def smooth_picture(height: int, width: int, seed: int = 0) -> Picture:
    """A picture of waves and a disc, with detail but without noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    planes = []
    for _ in range(3):
        a, b, c = random.uniform(0.03, 0.5, 3)
        planes.append(128 + 60 * np.sin(a * x + b * y) + 50 * np.cos(c * x - a * y))
    picture = np.stack(planes, -1)
    picture[(x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 4) ** 2] *= 0.5
    rounded: Picture = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return rounded


def write_video(path: Path, frames: Sequence[Picture]) -> None:
    with av.open(str(path), "w") as container:
        stream: VideoStream = container.add_stream("mpeg4", rate=Fraction(25), options={"qscale": "2"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def panning_frames(count: int, height: int, width: int, seed: int = 0) -> list[Picture]:
    """A camera that moves to the right by one pixel a frame."""
    wide = smooth_picture(height, width + count, seed)
    return [np.ascontiguousarray(wide[:, i : i + width]) for i in range(count)]
