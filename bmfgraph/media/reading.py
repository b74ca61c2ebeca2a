"""Describe what is read of a file, and compute the times of its frames and packets from the start of the clip."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from bmfgraph.media.filtering import FilterStep
from bmfgraph.media.frame_facts import Fields
from bmfgraph.media.opening import Protocol
from bmfgraph.plan.types import ColorSpec

__all__ = ["Clock", "FileReading", "VideoReading"]


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
    counted_from: float | None = field(metadata={"json": False})
    """Second of the clip that counts as 0."""
    protocols: tuple[Protocol, ...]
    """What the file may open besides itself."""
    picture_rate: Fraction | None
    """Pictures per second; None for a clip with times of its own, or the default."""
    live: bool
    """Whether it is a pipe, which can be read only once, and only forwards."""
    origin: Fraction
    """Time of the file, in seconds, from which frame times count if it is positive."""
    zero: Fraction
    """Time of the file, in seconds, that PyAV's back end counts as 0: the start of the video where it lies before 0."""
    time_grid: Fraction
    """All frame times are multiples of it."""


@dataclass(frozen=True)
class VideoReading(FileReading):
    """The frames to read, and what was found out about them before."""

    threads: int | None
    hwaccel: str
    """``none``, or the hardware that decodes; its frames come to the CPU."""
    width: int
    """Width in pixels after rotation, before ``crop``; likewise ``height``."""
    height: int
    pixel_format: str
    """Format after rotation."""
    color: ColorSpec
    rotation: int
    """Degrees counterclockwise by which the stored frames are turned."""
    mirrored: bool
    """Whether left and right are exchanged before that."""
    deinterlace: Fields | Literal["all"]
    """Frames to deinterlace: those ``flagged``, or all: by their own flags, or with that field first; "": none."""
    crop: tuple[int, int, int, int] | None
    """Left, top, width and height of the part that is passed on, in pixels after rotation."""
    size_change: Literal["refuse", "letterbox"]
    time_base: Fraction
    """Seconds per tick of the frame times."""
    subticks: int
    """Ticks of the frame times for one tick of the stream: more than 1 where the clip begins between two of its ticks,
    or where frames have equal times."""
    rate: Fraction
    """Frames per second of the file."""
    every: int
    """Each n-th frame is passed on."""
    fps: Fraction | None
    """Constant rate to which frames are repeated or left out, frames per second; None: as the file has it."""
    flattening: tuple[FilterStep, ...]
    """Filters that convert frames with alpha to RGBA, before they are blended; empty for frames without."""
    background: tuple[int, int, int]
    """RGB, 0..255, behind transparent pixels."""


class Clock:
    """Convert a file's times to times from its start, or from ``start``.

    Attributes:
        origin: Seconds of the file that count as 0.
        start: First second that is read, from ``origin``; None: from the beginning.
        end: Second before which reading ends; None: at the end.
        counted_from: Second that counts as 0, from ``origin``.
    """

    def __init__(self, reading: FileReading) -> None:
        # str() keeps the decimals that the user wrote; the float itself is a binary fraction near them.
        self.start = None if reading.start is None else Fraction(str(reading.start))
        self.end = None if reading.end is None else Fraction(str(reading.end))
        self.counted_from = Fraction(str(reading.counted_from or 0))
        self.origin = reading.zero

    def zero(self, time_base: Fraction) -> int:
        """Return the time that counts as 0, in ticks of the file."""
        return round((self.origin + self.counted_from) / time_base)

    def is_before_start(self, pts: int, time_base: Fraction) -> bool:
        """Return whether a time of the file lies before ``start``."""
        return self.start is not None and self.seconds(pts, time_base) < self.start

    def is_past_end(self, pts: int, time_base: Fraction) -> bool:
        """Return whether this time of the file, and so every later one, lies at or after ``end``."""
        return self.end is not None and self.seconds(pts, time_base) >= self.end

    def seconds(self, pts: int, time_base: Fraction) -> Fraction:
        """Return the seconds from the origin to a time of the file, in ticks."""
        return (pts - round(self.origin / time_base)) * time_base
