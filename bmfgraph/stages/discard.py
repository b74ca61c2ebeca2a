"""Run the node kind ``encoder`` without a file: discard the frames of a measured pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bmfgraph.stages.base import Stage
from bmfgraph.stages.items import Frame

__all__ = ["Discard"]


class Discard(Stage):
    """Discard frames. A frame on the GPU counts as finished once the GPU has computed it."""

    def open(self) -> None:
        if self.device == "cuda":
            from bmfgraph.stages.cuda import AsyncDownload

            self._download: AsyncDownload[None] = AsyncDownload(self.batch)
            self._has_first = False

    def process(self, *items: Any) -> Iterable[Frame]:
        return self.process_batch([items])

    def process_batch(self, rows: Sequence[tuple[Any, ...]]) -> Iterable[Frame]:
        if self.device == "cuda":
            list(self._download.put((), lambda _: None))
            if not self._has_first:
                # The measurement starts with the first frame, so wait until it is complete.
                self._has_first = True
                list(self._download.drain())
        return ()

    def finish(self) -> Iterable[Frame]:
        if self.device == "cuda":
            list(self._download.drain())
        return ()
