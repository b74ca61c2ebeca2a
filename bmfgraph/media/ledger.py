"""Account for every packet of a video stream: the frame that it became, or its loss."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

__all__ = ["FrameLedger", "Loss"]

_NAMED = 5
"""Times that a message names."""
_KEPT = 1000
"""Times of lost frames that are kept; more are only counted."""
_VP8_SHOWN = 0x10
"""Bit of a VP8 packet's first byte that is set if its frame is shown (RFC 6386, 9.1)."""


@dataclass(frozen=True)
class Loss:
    """The part of a file that could not be read. Times in seconds from the start of the clip."""

    frames: int = 0
    """Packets that became no frame, and frames whose packets are missing."""
    times: tuple[float, ...] = ()
    """Where they lie, as far as that is known."""
    leading: int = 0
    """Frames at the start that refer to others before the file's start."""
    corrupt: int = 0
    """Packets that the container reports as damaged."""
    spliced: int = 0
    """Places where the times jump, and were joined."""
    reasons: tuple[str, ...] = ()
    """What was noticed, each once."""

    def __bool__(self) -> bool:
        return bool(self.frames or self.leading or self.corrupt or self.spliced or self.reasons)

    def __str__(self) -> str:
        """Return what was lost in one line, such as ``2 frames could not be decoded (at 0.120 s, 0.160 s)``."""
        parts = []
        if self.frames:
            shown = ", ".join(f"{time:.3f} s" for time in self.times[:_NAMED])
            more = ", ..." if len(self.times) > _NAMED else ""
            places = f" (at {shown}{more})" if shown else ""
            parts.append(f"{self.frames} frame{'s' * (self.frames != 1)} could not be decoded{places}")
        if self.leading:
            parts.append(f"{self.leading} at its start need frames that are not in it")
        if self.corrupt:
            parts.append(f"{self.corrupt} packet{'s are' if self.corrupt != 1 else ' is'} damaged")
        if self.spliced:
            parts.append(f"its times jump {self.spliced} time{'s' * (self.spliced != 1)}, and were joined")
        return "; ".join((*parts, *self.reasons))


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
        self._due: Counter[int] = Counter()
        """Times of packets without a frame yet, in ticks."""
        self._untimed = 0
        self._missing: list[int] = []
        self._missing_count = 0
        self.corrupt = 0

    def send(self, packet: Any) -> None:
        """Note a packet that goes to the decoder."""
        self.corrupt += packet.is_corrupt
        if packet.is_discard or (self._hides_frames and not bytes(packet)[0] & _VP8_SHOWN):
            return
        if packet.pts is None:
            self._untimed += 1
        else:
            self._due[packet.pts] += 1

    def receive(self, picture: Any) -> None:
        """Note a decoded frame."""
        pts = picture.pts
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

    def lost(self) -> tuple[int, list[int]]:
        """Return the number of lost frames so far, and the times of those whose time is known, in ticks."""
        times = sorted(self._due.elements())
        count = len(times) + max(0, self._untimed) + self._missing_count
        return count, sorted((times + self._missing)[:_KEPT])

    def _settle(self, pts: int) -> None:
        self._due[pts] -= 1
        if self._due[pts] <= 0:
            del self._due[pts]
