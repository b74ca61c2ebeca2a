"""Read the video packets of a file for NVDEC, and give each decoded frame its pts."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av

from bmfgraph.media.opening import open_video
from bmfgraph.nodes.nvdec import NvdecParams

__all__ = ["FrameClock", "PacketReader", "PtsMatcher"]

_SEEK_MARGIN = Fraction(1)
"""Seconds to seek before the start: containers are searched by decoding time, which lies before presentation time."""


class FrameClock:
    """Convert the pts of a file to pts that count from the file's start or from ``start``, as BMF's decoder does.

    All pts are integers in the stream's time base.

    Attributes:
        seek_pts: Position to seek to before reading; None to read from the beginning.
    """

    def __init__(self, params: NvdecParams) -> None:
        base = params.time_base
        # str() keeps the decimals that the user wrote; the float itself is a binary fraction near them.
        self._start = None if params.start is None else Fraction(str(params.start))
        self._end = None if params.end is None else Fraction(str(params.end))
        self._base = base
        self._origin = round(max(params.origin, Fraction(0)) / base)
        self._shift = self._origin + round((self._start or 0) / base)
        self.seek_pts: int | None = None
        if self._start is not None and self._start > _SEEK_MARGIN:
            self.seek_pts = self._origin + int((self._start - _SEEK_MARGIN) / base)

    def shifted(self, pts: int) -> int:
        """Return the pts that the frame has in the pipeline."""
        return pts - self._shift

    def contains(self, pts: int) -> bool:
        """Return whether the frame lies between ``start`` and ``end``."""
        return not (self._start is not None and self._seconds(pts) < self._start) and not self.is_past_end(pts)

    def is_past_end(self, pts: int) -> bool:
        """Return whether this frame, and so every later one, lies at or after ``end``."""
        return self._end is not None and self._seconds(pts) >= self._end

    def _seconds(self, pts: int) -> Fraction:
        return (pts - self._origin) * self._base


class PacketReader:
    """Read the compressed packets of a video stream in file order, in the form that NVDEC expects.

    H.264 and H.265 packets are converted to Annex B (start codes instead of lengths).
    """

    def __init__(self, params: NvdecParams, clock: FrameClock) -> None:
        self._params = params
        self._seek_pts = clock.seek_pts if clock.seek_pts is not None and self._can_seek(clock) else None

    def _can_seek(self, clock: FrameClock) -> bool:
        """Return whether seeking leads to a keyframe before the start."""
        with open_video(self._params.path, self._params.protocols) as container:
            stream = container.streams[self._params.video]
            try:
                container.seek(clock.seek_pts or 0, stream=stream)
                first = next((packet for packet in container.demux(stream) if packet.size), None)
            except av.FFmpegError:
                return False
            return first is not None and first.is_keyframe and first.pts is not None and not clock.contains(first.pts)

    def __iter__(self) -> Iterator[Any]:
        """Yield PyAV's packets. A damaged file ends at the damage, as it does for FFmpeg's decoder."""
        codec = self._params.codec
        with open_video(self._params.path, self._params.protocols) as container:
            stream = container.streams[self._params.video]
            annex_b = av.BitStreamFilterContext(f"{codec}_mp4toannexb", stream) if codec in ("h264", "hevc") else None
            if self._seek_pts is not None:
                container.seek(self._seek_pts, stream=stream)
            try:
                for packet in container.demux(stream):
                    if packet.size:
                        yield from annex_b.filter(packet) if annex_b else (packet,)
            except av.FFmpegError:
                return


class PtsMatcher:
    """Match decoded frames, which come in presentation order, to the pts of the packets that were decoded."""

    def __init__(self) -> None:
        self._heap: list[int] = []
        self._pending: set[int] = set()

    def add(self, pts: int) -> None:
        """Register the pts of a packet that goes into the decoder."""
        heapq.heappush(self._heap, pts)
        self._pending.add(pts)

    def match(self, reported: int) -> int | None:
        """Return the pts of the next decoded frame.

        Args:
            reported: The pts that the decoder reports. A decoder that lost track invents one; then the frame belongs
                to the earliest packet without a frame.

        Returns:
            The pts of the frame's packet; None where every packet already has a frame.
        """
        if reported not in self._pending:
            reported = self._heap[0] if self._heap else -1
        pts = None
        # Frames come in presentation order, so a packet before this one never gets a frame.
        while self._heap and self._heap[0] <= reported:
            pts = heapq.heappop(self._heap)
            self._pending.discard(pts)
        return pts
