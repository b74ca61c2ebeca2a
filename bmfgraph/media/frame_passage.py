"""Pass decoded frames on: filtered, selected, and without alpha."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from bmfgraph.media.alpha import Flattener
from bmfgraph.media.frame_chain import FrameChain
from bmfgraph.media.frame_selection import Selected, Timed, selection_of
from bmfgraph.media.reading import VideoReading

__all__ = ["FramePassage"]


class FramePassage:
    """The way of frames from the decoder into the pipeline.

    Attributes:
        time_base: Seconds per tick of the frames' times.
    """

    def __init__(self, reading: VideoReading, zero: int) -> None:
        """Keep the settings.

        Args:
            reading: The frames that the plan expects, and the settings.
            zero: Time of the file that counts as 0, in ticks of the reading.
        """
        self._reading, self._zero = reading, zero
        self._chain = FrameChain(reading, reading.time_base)
        self._selection = selection_of(reading.every, reading.fps, reading.time_base, reading.rate)
        flattening = reading.flattening
        self._flattener = Flattener(flattening, reading.background) if flattening else None
        self.time_base = reading.time_base if reading.fps is None else 1 / reading.fps

    @property
    def changes(self) -> list[str]:
        """What was converted to the format of the other frames so far."""
        return self._chain.changes

    @property
    def selected(self) -> Selected | None:
        """Numbers of frames that were left out and repeated so far; None where all are passed on."""
        return self._selection.selected if self._selection else None

    def passed_on(self, items: Iterator[Any], aspect: Callable[[], Fraction]) -> Iterator[Any]:
        """Yield the frames that are passed on, with times from the start of the clip, and all other items as they are.

        Args:
            items: Decoded frames with their times in ticks of the file, as tuples, and other items.
            aspect: Returns the aspect of the pixels of the newest frame.
        """
        for item in self._selected(items, aspect):
            if isinstance(item, Timed) and self._flattener:
                item = item._replace(picture=self._flattener.blended(item.picture))
            yield item

    def _selected(self, items: Iterator[Any], aspect: Callable[[], Fraction]) -> Iterator[Any]:
        reading, chain, selection = self._reading, self._chain, self._selection
        # Fields are told apart by neighbours; without them, frames that are left out need no filters.
        selects_first = selection is not None and reading.fps is None and not reading.deinterlace
        for item in items:
            if not isinstance(item, tuple):
                yield item
                continue
            picture, pts = item
            timed = Timed(picture, pts - self._zero, (picture.duration or 0) * reading.subticks)
            if selection is None:
                yield from chain.push(timed, aspect())
            elif selects_first:
                for selected in selection.push(timed):
                    yield from chain.push(selected, aspect())
            else:
                for filtered in chain.push(timed, aspect()):
                    yield from selection.push(filtered)
        if selection is None:
            yield from chain.finish()
        elif selects_first:
            for selected in selection.finish():
                yield from chain.push(selected, aspect())
            yield from chain.finish()
        else:
            for filtered in chain.finish():
                yield from selection.push(filtered)
            yield from selection.finish()
