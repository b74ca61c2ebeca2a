"""Cuts the listed training clips to the frames worth training on, without their black sides.

python -m bmfgraph.models.training.cut_clips --sources src --out clips
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from .picture_sources import CLIP_LIST, listed_pictures


@dataclass(frozen=True)
class Cut:
    """Which part of a clip is kept: frames from ``start`` on, without ``side`` px left and right."""

    start: int = 0
    frames: int = 240
    side: int = 0


CUTS = {
    "crystal.mp4": Cut(side=8),
    "frog.mp4": Cut(side=8),
    "rabbit.mp4": Cut(side=8),
    "flower.mp4": Cut(),
    "friday.mp4": Cut(side=16),
    "stream-of-water.webm": Cut(),
    "bottle-detection.mp4": Cut(start=897, side=16),
    "one-by-one-person-detection.mp4": Cut(start=638),
}
"""By the file's name in its source.  The two clips of a fixed camera start where most moves."""


def cut_clip(source: Path, out: Path, cut: Cut) -> None:
    """Writes a part of a clip as H.264 at CRF 10.

    Args:
        source: the clip's file.
        out: the file to write.
        cut: which part.

    Raises:
        av.error.FFmpegError: the clip cannot be read.
    """
    with av.open(str(source)) as clip, av.open(str(out), "w") as container:
        stream = clip.streams.video[0]
        coded: VideoStream = container.add_stream("libx264", rate=stream.average_rate or 25, options={"crf": "10"})
        coded.pix_fmt = "yuv420p"
        coded.height, coded.width = stream.height, stream.width - 2 * cut.side
        for frame in itertools.islice(clip.decode(stream), cut.start, cut.start + cut.frames):
            pixels = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
            kept = np.ascontiguousarray(pixels[:, cut.side : cut.side + coded.width])
            container.mux(coded.encode(av.VideoFrame.from_ndarray(kept, format="rgb24")))
        container.mux(coded.encode())


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="Cut the training clips.")
    parser.add_argument("--sources", type=Path, default=Path("src"), help="folder that sources.sh filled")
    parser.add_argument("--out", type=Path, default=Path("clips"))
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for clip in listed_pictures(options.sources, CLIP_LIST):
        cut_clip(clip.path, options.out / f"{clip.path.stem}.mp4", CUTS[clip.path.name])


if __name__ == "__main__":
    main()
