"""The stages of the pack's kinds."""

from __future__ import annotations

import importlib
from pathlib import Path

from bmfgraph.stages import Stage, new_frame
from bmfgraph.stages.items import Frame


class Invert(Stage):
    """Frames to frames."""

    def process(self, *items):
        frame = items[0]
        made, pixels = new_frame(frame)
        level = frame.pixels().float()
        pixels.copy_((level + self.params.amount * (255 - 2 * level)).round())
        return (made,)


class Pattern(Stage):
    """A source: ``process`` is called once, and its items are taken as there is room for them."""

    made = 0
    """Frames made so far, for tests."""

    def process(self):
        from bmf import VideoFrame, hmp as mp
        from bmf.lib._bmf.sdk import Rational

        for index in range(self.params.frames):
            info = mp.PixelInfo(mp.kPF_RGB24, mp.kCS_SMPTE170M, mp.kCR_MPEG)
            video = VideoFrame(mp.Frame(self.params.width, self.params.height, info))
            video.frame().plane(0).numpy()[:] = index % 200 + 20
            video.pts, video.time_base = index, Rational(1, 25)
            Pattern.made += 1
            yield Frame(index, video, "bt601")


class Checksums(Stage):
    """Frames to lines of a file."""

    def open(self):
        self.lines = []
        self.checksum = importlib.import_module(self.params.package).crc32

    def process(self, *items):
        frame = items[0]
        self.lines.append(f"{frame.index} {frame.time} {self.checksum(frame.pixels().numpy().tobytes()):08x}\n")
        return ()

    def finish(self):
        Path(self.params.path).write_text("".join(self.lines))
        return ()
