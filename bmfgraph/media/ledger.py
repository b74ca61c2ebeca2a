"""Account for every packet of a video stream: the frame that it became, or its loss."""

from __future__ import annotations

import bisect
import itertools
from collections import defaultdict, deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

__all__ = ["FrameLedger", "Loss"]

_NAMED = 5
"""Times that a message names."""
_KEPT = 1000
"""Times of lost frames that are kept; more are only counted."""
_REORDERED = 8
"""Frames before the last one of which a cut may have left out some."""
_VP8_SHOWN = 0x10
"""Bit of a VP8 packet's first byte that is set if its frame is shown (RFC 6386, 9.1)."""


@dataclass(frozen=True)
class Loss:
    """The part of a file that could not be read. Times in seconds from the start of the clip."""

    frames: int = 0
    """Packets that became no frame, and frames whose packets are missing."""
    times: tuple[float, ...] = ()
    """Where they lie, as far as that is known."""
    damaged: int = 0
    """Frames in which the decoder has replaced what it could not read."""
    damaged_times: tuple[float, ...] = ()
    """Where they lie."""
    leading: int = 0
    """Frames at the start that refer to others before the file's start."""
    corrupt: int = 0
    """Packets that the container reports as damaged."""
    spliced: int = 0
    """Places where the times jump, and were joined."""
    reasons: tuple[str, ...] = ()
    """What was noticed of damage, each once."""
    doubts: tuple[str, ...] = ()
    """What may be damage."""

    def __bool__(self) -> bool:
        return self.is_damage or bool(self.leading or self.corrupt or self.spliced or self.doubts)

    @property
    def is_damage(self) -> bool:
        """Whether a part of the video is missing or wrong for certain."""
        return bool(self.frames or self.damaged or self.reasons)

    def __str__(self) -> str:
        """Return what was lost in one line, such as ``2 frames could not be decoded (at 0.120 s, 0.160 s)``."""
        parts = []
        if self.frames:
            plural = "s" * (self.frames != 1)
            parts.append(f"{self.frames} frame{plural} could not be decoded{_places(self.times)}")
        if self.damaged:
            plural = "s are" if self.damaged != 1 else " is"
            parts.append(f"{self.damaged} frame{plural} damaged{_places(self.damaged_times)}")
        if self.leading:
            parts.append(f"{self.leading} at its start need frames that are not in it")
        if self.corrupt:
            parts.append(f"{self.corrupt} packet{'s are' if self.corrupt != 1 else ' is'} damaged")
        if self.spliced:
            parts.append(f"its times jump {self.spliced} time{'s' * (self.spliced != 1)}, and were joined")
        return "; ".join((*parts, *self.reasons, *self.doubts))


class FrameLedger:
    """Match decoded frames with the packets of one video stream."""

    def __init__(self, rate: Fraction, time_base: Fraction, codec: str) -> None:
        """Start with no packet.

        Args:
            rate: Frames per second.
            time_base: Seconds per tick of the stream.
            codec: FFmpeg's name.
        """
        self._step = max(1, round(1 / rate / time_base))
        self._hides_frames = codec == "vp8"
        self._due: defaultdict[int, int] = defaultdict(int)
        """Number of packets without a frame yet, by time in ticks."""
        self._untimed = 0
        self._missing: list[int] = []
        self._missing_count = 0
        self._last_sent: deque[int] = deque(maxlen=4 * _REORDERED)
        self.corrupt = 0
        self.damaged: list[int] = []
        """Times of the frames that the decoder calls damaged, in ticks."""

    def send(self, packet: Any) -> None:
        """Note a packet that goes to the decoder."""
        self.corrupt += packet.is_corrupt
        if packet.is_discard or (self._hides_frames and not bytes(packet)[0] & _VP8_SHOWN):
            return
        if packet.pts is None:
            self._untimed += 1
        else:
            self._due[packet.pts] += 1
            self._last_sent.append(packet.pts)

    def receive(self, picture: Any) -> None:
        """Note a decoded frame."""
        pts = picture.pts
        if picture.is_corrupt and pts is not None:
            self.damaged.append(pts)
        if self._missing and pts is not None and _has_near(self._missing, pts, self._step):
            # It comes later than its time, as behind a splice.
            self._missing.remove(min(self._missing, key=lambda missing: abs(missing - pts)))
            self._missing_count -= 1
        if pts is None or pts not in self._due:
            # A time that no packet has is the decoder's guess for a packet without one.
            self._untimed -= 1
            return
        self._settle(pts)
        if picture.interlaced_frame:
            # A second field in a packet of its own lies between this frame and the next one.
            for other in [time for time in self._due if pts < time < pts + self._step]:
                self._settle(other)

    def skip(self, first: int, last: int) -> None:
        """Note that packets are missing in the file between two times, in ticks."""
        for pts in range(first + self._step, last - self._step // 2, self._step):
            self._missing_count += 1
            if len(self._missing) < _KEPT:
                self._missing.append(pts)

    def unsent(self) -> int:
        """Return the frames that are missing between the last packets: those stored behind a later one."""
        times = sorted(self._last_sent)[-_REORDERED:]
        return sum(max(0, round((after - before) / self._step) - 1) for before, after in itertools.pairwise(times))

    def lost(self) -> tuple[int, list[int]]:
        """Return the number of lost frames so far, and the times of those whose time is known, in ticks."""
        times = sorted(pts for pts, count in self._due.items() for _ in range(count))
        # A packet that became no frame leaves a gap, too.
        missing = [pts for pts in self._missing if not _has_near(times, pts, self._step)]
        count = len(times) + max(0, self._untimed) + self._missing_count - (len(self._missing) - len(missing))
        return count, sorted((times + missing)[:_KEPT])

    def _settle(self, pts: int) -> None:
        self._due[pts] -= 1
        if self._due[pts] <= 0:
            del self._due[pts]


def _has_near(times: list[int], pts: int, step: int) -> bool:
    """Return whether one of these sorted times lies within half a step."""
    position = bisect.bisect_left(times, pts - step // 2)
    return position < len(times) and times[position] <= pts + step // 2


def _places(times: tuple[float, ...]) -> str:
    shown = ", ".join(f"{time:.3f} s" for time in times[:_NAMED])
    return f" (at {shown}{', ...' if len(times) > _NAMED else ''})" if shown else ""
