"""Read the video packets of a file for NVDEC, and give each decoded frame its pts."""

from __future__ import annotations

import contextlib
import heapq
import itertools
from collections.abc import Generator, Iterator
from typing import Any

import av

from bmfgraph.media.opening import open_video
from bmfgraph.media.reading import Clock
from bmfgraph.nodes.nvdec import NvdecParams

__all__ = ["PacketReader", "PtsMatcher", "converted_at_once"]

_SEEK_MARGIN = 1
"""Seconds to seek before the start: containers are searched by decoding time, which lies before presentation time."""


class PacketReader:
    """Read the compressed packets of a video stream in file order, as NVDEC expects them.

    H.264 and H.265 are converted to Annex B: start codes instead of lengths.

    Args:
        params: The file, and the part of it that is read.
        clock: Times of the file.
        count: Number of packets that are read at once.
    """

    def __init__(self, params: NvdecParams, clock: Clock, count: int) -> None:
        self._params, self._count = params, count
        self._seek_pts = self._seek_position(clock)

    def _seek_position(self, clock: Clock) -> int | None:
        """Return the ticks to seek to; None where that does not lead to a keyframe before the start."""
        if clock.start is None or clock.start <= _SEEK_MARGIN:
            return None
        base = self._params.time_base
        position = int((clock.origin + clock.start - _SEEK_MARGIN) / base)
        with open_video(self._params.path, self._params.protocols) as container:
            stream = container.streams[self._params.video]
            try:
                container.seek(position, stream=stream)
                first = next((packet for packet in container.demux(stream) if packet.size), None)
            except av.FFmpegError:
                return None
            if first is None or not first.is_keyframe or first.pts is None:
                return None
            return position if clock.is_before_start(first.pts, base) else None

    def __iter__(self) -> Generator[tuple[list[Any], bytes], None, None]:
        """Yield packets of PyAV, and their bytes. A damaged file ends at the damage, as for FFmpeg's decoder."""
        codec = self._params.codec
        with open_video(self._params.path, self._params.protocols) as container:
            stream = container.streams[self._params.video]
            converted = codec in ("h264", "hevc")
            annex_b = av.BitStreamFilterContext(f"{codec}_mp4toannexb", stream) if converted else None
            if self._seek_pts is not None:
                container.seek(self._seek_pts, stream=stream)
            packets = self._demuxed(container, stream)
            while chunk := list(itertools.islice(packets, self._count)):
                if annex_b is None:
                    yield chunk, b"".join(chunk)
                    continue
                try:
                    yield from converted_at_once(annex_b, chunk)
                except av.FFmpegError:
                    return

    def _demuxed(self, container: Any, stream: Any) -> Iterator[Any]:
        try:
            yield from (packet for packet in container.demux(stream) if packet.size)
        except av.FFmpegError:
            return


def converted_at_once(annex_b: Any, packets: list[Any]) -> Iterator[tuple[list[Any], bytes]]:
    """Yield packets and their bytes in Annex B, all together where possible.

    Each call into FFmpeg waits for the interpreter, which the threads of several clips share.

    Args:
        annex_b: PyAV's bitstream filter.
        packets: Packets in file order, at least one.

    Raises:
        av.FFmpegError: A packet is damaged; those before it have been yielded.
    """
    # New parameter sets, which a packet has beside its bytes, are for this packet and later ones.
    together: list[Any] = []
    if not any(packet.has_sidedata("new_extradata") for packet in packets):
        # One damaged packet makes the conversion of all fail.
        with contextlib.suppress(av.FFmpegError):
            together = annex_b.filter(av.Packet(b"".join(packets)))
    if together:
        yield packets, b"".join(together)
        return
    for packet in packets:
        if parts := annex_b.filter(packet):
            yield parts, b"".join(parts)


class PtsMatcher:
    """Match decoded frames, which come in presentation order, to the pts of the packets that were decoded."""

    def __init__(self) -> None:
        self._heap: list[int] = []
        self._pending: set[int] = set()

    def add(self, pts: int) -> None:
        """Register the pts of a packet that goes into the decoder."""
        heapq.heappush(self._heap, pts)
        self._pending.add(pts)

    def match(self, reported: int | None) -> int | None:
        """Return the pts of the next decoded frame.

        Args:
            reported: The pts that the decoder reports. None, or one that no packet has: the frame belongs to the
                earliest packet without a frame.

        Returns:
            The pts of the frame's packet; None where every packet already has a frame.
        """
        if reported is None or reported not in self._pending:
            if not self._heap:
                return None
            reported = self._heap[0]
        pts = None
        # Frames come in presentation order, so a packet before this one never gets a frame.
        while self._heap and self._heap[0] <= reported:
            pts = heapq.heappop(self._heap)
            self._pending.discard(pts)
        return pts
