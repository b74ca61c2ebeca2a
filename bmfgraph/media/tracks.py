"""Read the packets of the streams of a file that are copied beside its video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from bmfgraph.media.demuxing import Demuxer
from bmfgraph.media.opening import open_video
from bmfgraph.media.reading import Clock, FileReading

if TYPE_CHECKING:
    from av import Packet
    from av.stream import Stream

__all__ = ["TrackPackets", "TrackReader", "Tracks"]

_MARGIN = Fraction(1)
"""Seconds before ``start`` to which the file is sought."""


@dataclass(frozen=True)
class Tracks:
    """The streams of a file that are copied; an encoder makes its own streams of them."""

    streams: tuple[Stream, ...]
    chapters: tuple[Any, ...] = ()
    """As PyAV has them, with times from the start of the clip."""
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TrackPackets:
    """Packets of the copied streams in file order, with times from the start of the clip."""

    packets: tuple[Packet[Any], ...]


class TrackReader:
    """Read the packets of the copied streams of a file.

    Attributes:
        tracks: The streams.
        ended: Whether everything was read.
    """

    def __init__(self, reading: FileReading) -> None:
        """Open the file.

        Raises:
            av.FFmpegError: It cannot be opened.
            OSError: It is missing.
        """
        self._reading, self._clock = reading, Clock(reading)
        self._over: set[int] = set()
        """Indices of the tracks that were read up to ``end``."""
        self.ended = False
        self._open()
        self._packets: Iterator[Packet[Any]] | None = None

    def read(self, count: int) -> list[Packet[Any]]:
        """Return up to ``count`` packets of the tracks, or fewer at the end."""
        if self._packets is None:
            self._seek()
            self._packets = iter(self._demuxer)
        packets = []
        for packet in self._packets:
            if (track := self._track_packet(packet)) is not None:
                packets.append(track)
            if len(packets) == count:
                return packets
            if self._tracks_past_end():
                break
        self.ended = True
        return packets

    def close(self) -> None:
        """Close the file."""
        self._demuxer.close()
        self._container.close()

    def _open(self) -> None:
        self._container: Any = open_video(self._reading.path, self._reading.protocols)
        self.tracks = Tracks(tuple(self._container.streams[index] for index in self._reading.tracks))
        self._restart()

    def _restart(self) -> None:
        self._demuxer = Demuxer(self._container, self._reading.path, self._note_hole)

    def _note_hole(self) -> None:
        """Note that bytes before the next packet cannot be read."""

    def _seek(self) -> None:
        from av import FFmpegError

        if self._clock.start is None or self._clock.start <= _MARGIN:
            return
        try:
            self._container.seek(int((self._clock.origin + self._clock.start - _MARGIN) * 1_000_000))
        except FFmpegError:
            self._container.close()
            self._open()
        self._restart()

    def _track_packet(self, packet: Any) -> Any:
        """Return a packet with times from the start of the clip; None outside ``start`` and ``end``."""
        # PyAV ends each stream with an empty packet.
        if packet.stream_index not in self._reading.tracks or not packet.size:
            return None
        if packet.pts is None or packet.time_base is None:
            return None
        base = Fraction(packet.time_base)
        if self._clock.is_past_end(packet.pts, base):
            self._over.add(packet.stream_index)
            return None
        if self._clock.is_before_start(packet.pts, base):
            return None
        zero = self._clock.zero(base)
        packet.pts -= zero
        if packet.dts is not None:
            packet.dts -= zero
        return packet

    def _tracks_past_end(self) -> bool:
        """Return whether nothing of the tracks is left to read before ``end``."""
        return self._clock.end is not None and all(
            stream.type != "audio" or stream.index in self._over for stream in self.tracks.streams
        )
