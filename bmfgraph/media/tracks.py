"""Read the packets of the streams of a file beside its video."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from bmfgraph.media.demuxing import Demuxer
from bmfgraph.media.opening import open_video
from bmfgraph.media.pipes import close_pipe
from bmfgraph.media.reading import Clock, FileReading
from bmfgraph.media.track_facts import is_picture, kept_metadata

if TYPE_CHECKING:
    from av import AudioFrame, Packet
    from av.stream import Stream
    from av.subtitles.subtitle import SubtitleSet

__all__ = ["TrackPacket", "TrackPackets", "TrackReader", "Tracks"]

_MARGIN = Fraction(1)
"""Seconds before ``start`` to which the file is sought."""
_LEAD = Fraction(1, 10)
"""Seconds of audio before ``start`` that are read, because a decoder needs some packets to begin."""


@dataclass(frozen=True)
class Tracks:
    """The streams of a file beside its video; an encoder makes its own streams of them."""

    streams: tuple[Stream, ...]
    pictures: dict[int, bytes] = field(default_factory=dict)
    """Data of cover pictures, by stream index."""
    chapters: tuple[Any, ...] = ()
    """As PyAV has them, with times from the start of the clip."""
    metadata: dict[str, str] = field(default_factory=dict)
    """Tags of the file; likewise ``video_metadata`` of the video stream."""
    video_metadata: dict[str, str] = field(default_factory=dict)
    locks: dict[int, threading.Lock] = field(default_factory=dict)
    """Locks of the decoders, by stream index: several encoders may use one."""
    zero: Fraction = Fraction(0)
    """Seconds of the file that count as 0."""
    trimmed: bool = False
    """Whether the file is read from a later point than its beginning: packets before 0 then only help to decode."""
    length: Fraction | None = None
    """Seconds of the clip that are read; None: all."""


class TrackPacket:
    """A packet of a stream beside the video. Several encoders may take it, and it is decoded once.

    Attributes:
        packet: The packet, with times of the file.
        start: Its time from the start of the clip, in seconds; likewise ``end``.
        damaged: Whether it cannot be decoded; known once that was tried.
    """

    def __init__(self, packet: Packet[Any], tracks: Tracks) -> None:
        """Compute the times.

        Args:
            packet: A packet with a presentation time.
            tracks: All streams of its file.
        """
        assert packet.pts is not None
        base = Fraction(packet.time_base)
        self.packet, self._zero, self._lock = packet, tracks.zero, tracks.locks[packet.stream_index]
        self.start = packet.pts * base - tracks.zero
        end = self.start + (packet.duration or 0) * base
        self.end = end if tracks.length is None else min(end, tracks.length)
        self._decoded: list[Any] | None = None
        self.damaged = False

    def copy(self) -> Packet[Any]:
        """Return a packet with the same data, flags, and side data, and times from the start of the clip."""
        import av

        packet, base = self.packet, Fraction(self.packet.time_base)
        # The start may lie between two ticks of the stream.
        fine = 1 if (self._zero / base).denominator == 1 else max(1, round(base * 48_000))
        shift = round(self._zero / base * fine)
        copy: Packet[Any] = av.Packet(bytes(packet))
        copy.pts = (packet.pts or 0) * fine - shift
        copy.dts = None if packet.dts is None else packet.dts * fine - shift
        copy.duration, copy.time_base = round((self.end - self.start) / base * fine), base / fine
        copy.is_keyframe = packet.is_keyframe
        for side in packet.iter_sidedata():
            copy.set_sidedata(side)
        return copy

    def frames(self) -> list[tuple[AudioFrame, Fraction]]:
        """Decode audio.

        Returns:
            The frames that are ready, and their times from the start of the clip in seconds; none if it is damaged.
        """
        with self._lock:
            if self._decoded is None:
                frames = self._decode(self.packet.decode)
                self._decoded = [
                    (frame, frame.pts * Fraction(frame.time_base) - self._zero)
                    for frame in frames
                    if frame.pts is not None and frame.time_base is not None
                ]
            return self._decoded

    def subtitles(self) -> list[SubtitleSet]:
        """Decode a subtitle; the list has one item, or none."""
        with self._lock:
            if self._decoded is None:
                subtitle = self._decode(lambda: self.packet.stream.codec_context.decode2(self.packet))
                self._decoded = [subtitle] if subtitle else []
            return self._decoded

    def _decode(self, decode: Callable[[], Any]) -> Any:
        from av import FFmpegError

        try:
            return decode()
        except FFmpegError:
            self.damaged = True
            return []


@dataclass(frozen=True)
class TrackPackets:
    """Packets of the streams beside the video, in file order."""

    packets: tuple[TrackPacket, ...]


class TrackReader:
    """Read the packets of the streams of a file beside its video.

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
        self._zero_seconds = self._clock.origin + self._clock.counted_from
        self._over: set[int] = set()
        """Indices of the tracks that were read up to ``end``."""
        self.ended = False
        self._open()
        self._enter()

    def read(self, count: int) -> list[TrackPacket]:
        """Return up to ``count`` packets of the tracks, or fewer at the end."""
        packets: list[TrackPacket] = []
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
        if self._reading.live:
            close_pipe(self._reading.path)

    def _open(self) -> None:
        reading, clock = self._reading, self._clock
        self._container: Any = open_video(
            reading.path, reading.protocols, reading.picture_rate, whole=True, hwaccel=self._hwaccel()
        )
        streams = tuple(self._container.streams[index] for index in reading.tracks)
        pictures = _pictures(self._container, [stream.index for stream in streams if is_picture(stream)])
        carried = (stream for stream in streams if stream.type in ("audio", "subtitle", "data"))
        locks = {stream.index: threading.Lock() for stream in carried}
        length = None if clock.end is None else clock.end - (clock.start or 0)
        self.tracks = Tracks(
            streams,
            pictures=pictures,
            chapters=tuple(_chapters(self._container.chapters(), self._zero_seconds, length)),
            metadata=kept_metadata(self._container.metadata),
            video_metadata=kept_metadata(self._container.streams[reading.video].metadata),
            locks=locks,
            zero=self._zero_seconds,
            trimmed=clock.start is not None and clock.start > 0,
            length=length,
        )
        self._restart()

    def _hwaccel(self) -> str:
        """Return the hardware that decodes."""
        return "none"

    def _enter(self) -> None:
        """Seek to ``start``, and begin to read packets."""
        self._seek()
        self._packets: Iterator[Packet[Any]] = iter(self._demuxer)

    def _restart(self) -> None:
        self._demuxer = Demuxer(self._container, self._reading.path, self._note_hole)

    def _note_hole(self) -> None:
        """Note that bytes before the next packet cannot be read."""

    def _seek(self) -> None:
        from av import FFmpegError

        if self._clock.start is None or self._clock.start <= _MARGIN:
            return
        try:
            self._container.seek(int((self._zero_seconds - _MARGIN) * 1_000_000))
        except FFmpegError:
            self._container.close()
            self._open()
        self._restart()

    def _track_packet(self, packet: Any) -> TrackPacket | None:
        """Return a packet with times from the start of the clip; None outside ``start`` and ``end``."""
        # PyAV ends each stream with an empty packet.
        if (
            packet.stream_index not in self.tracks.locks
            or not packet.size
            or packet.pts is None
            or packet.time_base is None
        ):
            return None
        track = TrackPacket(packet, self.tracks)
        if self.tracks.length is not None and track.start >= self.tracks.length:
            self._over.add(packet.stream_index)
            return None
        sound = packet.stream.type == "audio"
        if self.tracks.trimmed and track.start < 0 and track.end <= (-_LEAD if sound else 0):
            return None
        return track

    def _tracks_past_end(self) -> bool:
        """Return whether nothing of the tracks is left to read before ``end``."""
        return self._clock.end is not None and all(
            stream.type != "audio" or stream.index in self._over for stream in self.tracks.streams
        )


def _pictures(container: Any, indices: Sequence[int]) -> dict[int, bytes]:
    """Read the cover pictures: FFmpeg gives them before all other packets, and again after a seek."""
    if not indices:
        return {}
    packets = (packet for packet in container.demux(indices) if packet.size)
    # The order keeps zip() from reading on behind the last picture.
    return {packet.stream_index: bytes(packet) for _, packet in zip(indices, packets, strict=False)}


def _chapters(chapters: Sequence[Any], zero: Fraction, length: Fraction | None) -> Iterator[Any]:
    """Yield the chapters that lie in the clip, with times from its start."""
    for chapter in chapters:
        base = Fraction(chapter["time_base"] or Fraction(1, 1000))
        shift = round(zero / base)
        start, end = max(0, chapter["start"] - shift), chapter["end"] - shift
        if length is not None:
            end = min(end, round(length / base))
        if start < end:
            yield chapter | {"start": start, "end": end}
