"""Describe what is read of a file, and compute the times of its frames and packets from the start of the clip."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from bmfgraph.media.opening import Protocol

__all__ = ["Clock", "FileReading", "VideoReading"]

_SEEK_MARGIN = Fraction(1)
"""Seconds to seek before the start: containers are searched by decoding time, which lies before presentation time."""


@dataclass(frozen=True)
class FileReading:
    """The part of a file that is read; times in seconds."""

    path: str
    video: int
    """Index among all streams of the file."""
    tracks: tuple[int, ...]
    """Indices of the streams that are copied: audio, subtitles, attachments, data."""
    start: float | None
    end: float | None
    protocols: tuple[Protocol, ...]
    """What the file may open besides itself."""
    origin: Fraction
    """Time of the file, in seconds, from which frame times count if it is positive."""
    time_grid: Fraction
    """All frame times are multiples of it."""


@dataclass(frozen=True)
class VideoReading(FileReading):
    """The frames to read, and what was found out about them before."""

    threads: int | None
    hwaccel: str
    """``none``, or the hardware that decodes; its frames come to the CPU."""
    width: int
    """Width in pixels after rotation; likewise ``height``."""
    height: int
    pixel_format: str
    rotation: int
    """Degrees counterclockwise by which the stored frames are turned."""
    time_base: Fraction
    """Seconds per tick of the stream."""
    rate: Fraction
    """Frames per second."""


class Clock:
    """Convert a file's times to times from its start, or from ``start``.

    Attributes:
        seek: Seconds of the file to seek to before reading; None to read from the beginning.
    """

    def __init__(self, reading: FileReading) -> None:
        # str() keeps the decimals that the user wrote; the float itself is a binary fraction near them.
        self._start = None if reading.start is None else Fraction(str(reading.start))
        self._end = None if reading.end is None else Fraction(str(reading.end))
        self.origin = max(reading.origin, Fraction(0))
        self.seek: Fraction | None = None
        if self._start is not None and self._start > _SEEK_MARGIN:
            self.seek = self.origin + self._start - _SEEK_MARGIN

    def zero(self, time_base: Fraction) -> int:
        """Return the time that counts as 0, in ticks of the file."""
        return round(self.origin / time_base) + round((self._start or 0) / time_base)

    def is_before_start(self, pts: int, time_base: Fraction) -> bool:
        """Return whether a time of the file lies before ``start``."""
        return self._start is not None and self._seconds(pts, time_base) < self._start

    def is_past_end(self, pts: int, time_base: Fraction) -> bool:
        """Return whether this time of the file, and so every later one, lies at or after ``end``."""
        return self._end is not None and self._seconds(pts, time_base) >= self._end

    def _seconds(self, pts: int, time_base: Fraction) -> Fraction:
        return (pts - round(self.origin / time_base)) * time_base
