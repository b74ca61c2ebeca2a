"""The stages of the pack's kinds."""

from __future__ import annotations

import importlib
from fractions import Fraction
from pathlib import Path

import torch

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
        for index in range(self.params.frames):
            size = (self.params.height, self.params.width, 3)
            image = torch.full(size, index % 200 + 20, dtype=torch.uint8)
            Pattern.made += 1
            yield Frame(index, index, Fraction(1, 25), image)


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
