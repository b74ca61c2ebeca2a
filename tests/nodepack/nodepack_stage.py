"""``invert`` at work."""

from __future__ import annotations

from nodepack import Strength

from bmfgraph.stages.base import Stage
from bmfgraph.stages.bmf_frames import new_frame


class Invert(Stage):
    """Frames to frames."""

    params: Strength

    def process(self, *items):
        frame = items[0]
        made, pixels = new_frame(frame)
        level = frame.pixels().float()
        pixels.copy_((level + self.params.amount * (255 - 2 * level)).round())
        return (made,)
