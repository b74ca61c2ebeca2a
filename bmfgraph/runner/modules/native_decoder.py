"""Run BMF's decoder, and keep the frames of exactly the part that is read."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from bmfgraph.runner.modules.native import NativeModule

__all__ = ["NativeDecoderModule"]


class NativeDecoderModule(NativeModule):
    """Run BMF's decoder, which may read a frame too many on both sides."""

    def _item(self, packet: Any) -> Any:
        wrapped = super()._item(packet)
        start, end = (Fraction(str(second or 0)) for second in (self.config.params.start, self.config.params.end))
        time = wrapped.get(None).items[0].time
        return None if (start and time < 0) or (end and time >= end - start) else wrapped
