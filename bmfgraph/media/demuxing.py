"""Read the packets of a file, note what is missing between them, and join times that jump."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from bmfgraph.media.opening import format_of
from bmfgraph.media.structure import hole_between, tags_between
from bmfgraph.system.untrusted import open_regular

if TYPE_CHECKING:
    from av import Packet

__all__ = ["Demuxer"]

_JUMP_BACK = Fraction(1, 4)
"""Seconds by which the decoding times of a stream may run backwards: some muxers interleave so."""
_JUMP_AHEAD = Fraction(10)
"""Seconds; a transport stream whose times jump farther ahead was spliced."""
_NEAR = 1024
"""Bytes between two packets that are not looked at."""


@dataclass
class _Track:
    """Times of one stream, in its ticks: integers, because they are computed for every packet."""

    base: Fraction
    """Seconds per tick."""
    sparse: bool
    """Whether its packets come at any time, such as subtitles."""
    back: int
    """Ticks by which its times may run backwards; likewise ahead."""
    ahead: float
    shift: int
    """Ticks that are added behind a splice."""
    newest: int | None = None
    """Where the last packet ends, by decoding time."""
    end: int = 0
    """Where the last packet ends, by presentation time."""


class Demuxer:
    """Read the packets of all streams of an open container, in file order.

    Attributes:
        spliced: Number of jumps of the times that were joined.
        faults: What is wrong with the file, each once.
    """

    def __init__(self, container: Any, path: str = "", note_hole: Callable[[], None] = lambda: None) -> None:
        """Take a container at the position from which it is read.

        Args:
            container: PyAV's container.
            path: Its file, in which holes are looked for; "" for none.
            note_hole: Called before the first packet behind bytes that cannot be read.
        """
        self._container, self._path, self._note_hole = container, path, note_hole
        self._format = format_of(container)
        self._file: IO[bytes] | None = None
        self._position = 0
        """Position in the file of the last packet."""
        self._behind = 0
        """Position in the file behind all packets so far, or a little before it."""
        self._tracks: dict[int, _Track] = {}
        self._shift = Fraction(0)
        """Seconds that are added to the file's times behind a splice."""
        self.spliced = 0
        self.faults: list[str] = []

    def __iter__(self) -> Iterator[Packet[Any]]:
        """Yield the packets, and PyAV's empty packet at the end of each stream. A read error ends the file."""
        from av import FFmpegError

        packets = self._container.demux()
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError as error:
                self._fault(f"it cannot be read any further ({error.strerror})")
                for stream in self._container.streams:
                    yield _end_of(stream)
                return
            if packet is None:
                self._check_end()
                self.close()
                return
            if packet.size:
                self._check_position(packet)
                self._join(packet)
            yield packet

    def _check_position(self, packet: Any) -> None:
        """Note bytes before a packet that are no elements of the format."""
        if not self._path or self._format not in ("matroska", "flv") or packet.pos is None or packet.pos < 0:
            return
        if self._format == "flv":
            if self._position and packet.pos > self._position and not self._file_has(tags_between, packet.pos):
                self._hole()
            self._position = packet.pos
            return
        if self._position and packet.pos - self._behind > _NEAR and self._file_has(hole_between, packet.pos):
            self._hole()
        self._position = max(self._position, packet.pos)
        self._behind = max(self._behind, packet.pos + packet.size)

    def _check_end(self) -> None:
        """Note bytes behind the last packet of a Matroska file that are no elements."""
        if self._path and self._format == "matroska" and self._position:
            try:
                size = Path(self._path).stat().st_size
            except OSError:
                return
            if self._file_has(hole_between, size):
                self._hole()

    def _file_has(self, test: Callable[[IO[bytes], int, int], bool], end: int) -> bool:
        """Test the bytes between the packet before and this position; a file that cannot be read has no holes."""
        try:
            self._file = self._file or open_regular(self._path)
            return test(self._file, self._position, end)
        except OSError:
            return test is tags_between

    def _hole(self) -> None:
        self._fault("a part of it is damaged")
        self._note_hole()

    def _join(self, packet: Any) -> None:
        """Shift the times of a packet so that its stream goes on without a jump."""
        track = self._tracks.get(packet.stream_index) or self._track(packet)
        decoding, duration = packet.dts if packet.dts is not None else packet.pts, packet.duration or 0
        if decoding is not None and not track.sparse:
            time = decoding + track.shift
            if track.newest is not None and not -track.back <= time - track.newest <= track.ahead:
                self._shift -= (time - track.newest) * track.base
                self.spliced += 1
                for other in self._tracks.values():
                    other.shift = round(self._shift / other.base)
                time = decoding + track.shift
            track.newest = time + duration
        if track.shift:
            packet.pts = packet.pts + track.shift if packet.pts is not None else None
            packet.dts = packet.dts + track.shift if packet.dts is not None else None
        if packet.pts is not None:
            track.end = max(track.end, packet.pts + duration)

    def _track(self, packet: Any) -> _Track:
        base = Fraction(packet.time_base)
        track = self._tracks[packet.stream_index] = _Track(
            base,
            packet.stream.type not in ("video", "audio"),
            round(_JUMP_BACK / base),
            float(_JUMP_AHEAD / base) if self._format in ("mpegts", "mpeg") else math.inf,
            round(self._shift / base),
        )
        return track

    @property
    def end(self) -> Fraction:
        """Seconds of the file at which the last packet of any stream ends, so far."""
        return max((track.end * track.base for track in self._tracks.values()), default=Fraction(0))

    def close(self) -> None:
        """Close the file whose bytes are checked; the container stays open."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def reached(self, stream: int) -> Fraction:
        """Return the seconds at which the packets of a stream end so far, by decoding time."""
        track = self._tracks.get(stream)
        return (track.newest or 0) * track.base if track else Fraction(0)

    def _fault(self, text: str) -> None:
        if text not in self.faults:
            self.faults.append(text)


def _end_of(stream: Any) -> Packet[Any]:
    """Return PyAV's empty packet, which makes a decoder give its last frames."""
    from av import Packet

    packet: Packet[Any] = Packet()
    packet.stream = stream
    return packet
