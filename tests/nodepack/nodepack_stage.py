"""``invert`` at work."""

from __future__ import annotations

from nodepack import Strength

from bmfgraph.nodes.modules.pictures import new_frame
from bmfgraph.nodes.modules.stage import Stage


class Invert(Stage):
    """Frames to frames."""

    work: Strength

    def process(self, *items):
        frame = items[0]
        source = frame.pixels()
        made, pixels = new_frame(frame, source.shape[1], source.shape[0], self.work.matrix)
        level = source.float()
        pixels.copy_((level + self.work.amount * (255 - 2 * level)).round())
        return (made,)
