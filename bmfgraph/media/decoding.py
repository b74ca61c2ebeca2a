"""Decode the video of a file with PyAV, and read the packets of its other streams beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from bmfgraph.media.filtering import FilterStep, FrameFilter
from bmfgraph.media.opening import open_video
from bmfgraph.media.reading import Clock, FileReading, VideoReading

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.stream import Stream

__all__ = ["DecodedFrame", "Decoder", "TrackPackets", "TrackReader", "Tracks"]

_TURNS: dict[int, tuple[FilterStep, ...]] = {
    0: (),
    90: (("transpose", "cclock"),),
    # vflip would make rows run backwards in memory.
    180: (("transpose", "clock"), ("transpose", "clock")),
    270: (("transpose", "clock"),),
}
"""Filters that turn a frame counterclockwise by degrees."""


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


@dataclass(frozen=True)
class DecodedFrame:
    """A frame, and its time in ticks of the stream from the start of the clip."""

    picture: VideoFrame
    pts: int
    duration: Fraction
    """Seconds for which it is shown; 0: unknown."""


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
        self._container: Any = open_video(reading.path, reading.protocols)
        streams = tuple(self._container.streams[index] for index in reading.tracks)
        self.tracks = Tracks(streams)
        self.ended = False
        self._packets = self._demuxed()

    def read(self, count: int) -> list[Packet[Any]]:
        """Return up to ``count`` packets of the tracks, or fewer at the end."""
        found = []
        for packet in self._packets:
            if (track := self._track_packet(packet)) is not None:
                found.append(track)
            if len(found) == count:
                return found
        self.ended = True
        return found

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _streams(self) -> list[Stream]:
        return [stream for stream in self.tracks.streams if stream.type in ("audio", "subtitle")]

    def _demuxed(self) -> Iterator[Packet[Any]]:
        streams = self._streams()
        if not streams:
            return
        if self._clock.seek is not None:
            self._container.seek(int(self._clock.seek * 1_000_000))
        yield from self._container.demux(streams)

    def _track_packet(self, packet: Packet[Any]) -> Packet[Any] | None:
        """Return a packet with times from the start of the clip; None outside ``start`` and ``end``."""
        # PyAV ends each stream with an empty packet.
        if packet.size == 0 or packet.pts is None or packet.time_base is None:
            return None
        base = Fraction(packet.time_base)
        if self._clock.is_before_start(packet.pts, base) or self._clock.is_past_end(packet.pts, base):
            return None
        zero = self._clock.zero(base)
        packet.pts -= zero
        if packet.dts is not None:
            packet.dts -= zero
        return packet


class Decoder(TrackReader):
    """Decode the frames of a file from ``start`` to ``end``, and read the packets of its tracks on the way."""

    def __init__(self, reading: VideoReading) -> None:
        """Open the file and its video decoder.

        Raises:
            av.FFmpegError: It cannot be opened.
            OSError: It is missing.
        """
        super().__init__(reading)
        self._video: Any = self._container.streams[reading.video]
        self._video.thread_type = "AUTO"
        if reading.threads:
            self._video.codec_context.thread_count = reading.threads
        self._base = reading.time_base
        self._zero = self._clock.zero(self._base)
        self._turn = FrameFilter(turn) if (turn := _TURNS[reading.rotation]) else None
        self._past_end = False

    def decode(self, count: int) -> tuple[list[DecodedFrame], list[Packet[Any]]]:
        """Decode at least ``count`` frames, or all up to the end.

        Returns:
            The frames, and the packets of the tracks that lie between them in the file.

        Raises:
            av.FFmpegError: The file cannot be decoded.
        """
        frames: list[DecodedFrame] = []
        packets: list[Packet[Any]] = []
        while len(frames) < count:
            packet = next(self._packets, None)
            if packet is None:
                self.ended = True
                break
            if packet.stream_index != self._video.index:
                if (track := self._track_packet(packet)) is not None:
                    packets.append(track)
            elif not self._past_end:
                for picture in packet.decode():
                    frames += self._shown(picture)
        return frames, packets

    def _streams(self) -> list[Stream]:
        return [self._container.streams[self._reading.video], *super()._streams()]

    def _shown(self, picture: Any) -> Iterator[DecodedFrame]:
        """Yield a frame if it lies between ``start`` and ``end``."""
        pts = picture.pts
        if self._past_end or self._clock.is_before_start(pts, self._base):
            return
        if self._clock.is_past_end(pts, self._base):
            self._past_end = True
            return
        duration = picture.duration * self._base
        for turned in self._turn.push(picture) if self._turn else (picture,):
            yield DecodedFrame(turned, pts - self._zero, duration)
