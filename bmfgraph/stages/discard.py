"""The end of a pipeline that is measured: frames are taken and let go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bmfgraph.stages.base import Stage
from bmfgraph.stages.items import Frame

__all__ = ["Discard"]


class Discard(Stage):
    """Takes frames; those of the GPU count when they are complete."""

    def open(self) -> None:
        if self.device == "cuda":
            from bmfgraph.stages.cuda import AsyncDownload

            self._late: AsyncDownload[None] = AsyncDownload()
            self._begun = False

    def process(self, *items: Any) -> Iterable[Frame]:
        if self.device == "cuda":
            list(self._late.put((), lambda _: None))
            if not self._begun:
                # What is measured begins when the first frame is there.
                self._begun = True
                list(self._late.rest())
        return ()

    def finish(self) -> Iterable[Frame]:
        if self.device == "cuda":
            list(self._late.rest())
        return ()
