"""Write the streams beside the video: copied, or encoded again where the container demands it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from bmfgraph.media.track_facts import is_picture, kept_metadata
from bmfgraph.media.tracks import TrackPacket, Tracks

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.stream import Stream

__all__ = ["TrackWriter", "TrackWriting"]

_EDIT_LISTS = ("mp4", "mov")
"""Containers that can hide the beginning of a stream."""
_PRIMING = Fraction(1, 20)
"""Seconds of hidden audio that are copied all the same, because the first packet that is played needs them."""
_GAP = 0.01
"""Seconds of silence between two packets that are filled: shorter ones are rounded times."""
_LAYOUTS: dict[str, tuple[str, ...]] = {
    "aac": ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1"),
    "libopus": ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1"),
    "libmp3lame": ("mono", "stereo"),
    "flac": ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1"),
}
"""Channel layouts of encoders that do not take every one."""
_QUICKTIME = {
    "deu": "ger",
    "nld": "dut",
    "swe": "sve",
    "ell": "gre",
    "isl": "ice",
    "zho": "chi",
    "sqi": "alb",
    "mkd": "mac",
}
"""Languages that FFmpeg's muxer of mov knows by another name only."""
_TYPES = {"png": "image/png", "mjpeg": "image/jpeg", "bmp": "image/bmp", "gif": "image/gif", "webp": "image/webp"}
"""Media types of cover pictures by codec."""


@dataclass(frozen=True)
class TrackWriting:
    """How a stream of the source is written."""

    stream: int
    """Index among all streams of the source."""
    encoder: str | None = None
    """FFmpeg's name; None: its packets are copied."""
    rate: int = 0
    """Samples per second of encoded audio."""
    bit_rate: int | None = None
    """Bits per second of encoded audio; None: the encoder's own."""


class TrackWriter:
    """Write the streams beside the video of one file.

    Attributes:
        damaged: Number of packets that could not be decoded, and are left out.
    """

    def __init__(self, container: OutputContainer, writings: Sequence[TrackWriting]) -> None:
        self._container = container
        self._writings = {writing.stream: writing for writing in writings}
        self._tracks: dict[int, _Copied] = {}
        """What writes each stream of the source, by its index there."""
        self.damaged = 0

    def open(self, tracks: Tracks) -> None:
        """Add the streams; called before the first packet of any stream is written.

        Raises:
            ValueError: The container cannot hold a stream.
            av.FFmpegError: An encoder cannot be opened.
        """
        pictures: list[tuple[Any, bytes]] = []
        for stream in tracks.streams:
            writing = self._writings.get(stream.index)
            if writing is None:
                continue
            if stream.type == "attachment":
                self._attach(stream, stream.data)  # type: ignore[attr-defined]
            elif is_picture(stream) and self._container.format.name == "matroska":
                self._attach(stream, tracks.pictures[stream.index])
            elif is_picture(stream):
                pictures.append((self._add(stream), tracks.pictures[stream.index]))
            else:
                self._tracks[stream.index] = self._track(stream, writing, tracks)
        for stream, data in pictures:
            self._container.mux_one(_picture(stream, data))

    def write(self, packets: Iterable[TrackPacket]) -> None:
        """Write packets of the source's streams.

        Raises:
            av.FFmpegError: They cannot be written, or not decoded and encoded.
        """
        for packet in packets:
            if (track := self._tracks.get(packet.packet.stream_index)) is not None:
                for written in track.packets(packet):
                    self._container.mux_one(written)
                self.damaged += packet.damaged

    def finish(self) -> None:
        """Write what encoders still hold."""
        for track in self._tracks.values():
            for packet in track.rest():
                self._container.mux_one(packet)

    def _track(self, stream: Stream, writing: TrackWriting, tracks: Tracks) -> _Copied:
        if writing.encoder is None and stream.type == "audio":
            if self._container.format.name in _EDIT_LISTS:
                return _Copied(self._add(stream))
            return _Played(self._add(stream), tracks.trimmed)
        if writing.encoder is None:
            return _Shown(self._add(stream))
        if stream.type == "subtitle":
            target = self._tagged(self._container.add_stream(writing.encoder), stream)
            with tracks.locks[stream.index]:
                return _Subtitles(target, stream)
        sound: Any = self._container.add_stream(writing.encoder, rate=writing.rate)
        return _Sound(self._tagged(sound, stream), stream, writing, tracks, fill=self._container.format.name == "avi")

    def _add(self, stream: Stream) -> Any:
        return self._tagged(self._container.add_stream_from_template(stream, opaque=True), stream)

    def _tagged(self, target: Any, stream: Stream) -> Any:
        target.metadata.update(kept_metadata(stream.metadata))
        if self._container.format.name == "mov" and (language := target.metadata.get("language")) in _QUICKTIME:
            target.metadata["language"] = _QUICKTIME[language]
        target.disposition = stream.disposition
        return target

    def _attach(self, stream: Stream, data: bytes) -> None:
        codec = stream.codec_context.codec.canonical_name if stream.codec_context else ""
        media_type = _TYPES.get(codec, "application/octet-stream")
        name = f"cover.{'jpg' if codec == 'mjpeg' else codec}" if codec else f"attachment-{stream.index}"
        tags = stream.metadata
        self._container.add_attachment(tags.get("filename", name), tags.get("mimetype", media_type), data)


class _Copied:
    """Write the packets of a stream as they are."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def packets(self, packet: TrackPacket) -> Iterator[Any]:
        """Yield what is written for a packet of the source."""
        copy = packet.copy()
        copy.stream = self._stream
        yield copy

    def rest(self) -> Iterator[Any]:
        """Yield what is written at the end."""
        return iter(())


class _Played(_Copied):
    """Write the packets of audio into a container that cannot hide its beginning."""

    def __init__(self, stream: Any, trimmed: bool) -> None:
        super().__init__(stream)
        self._earliest = Fraction(0) if trimmed else -_PRIMING

    def packets(self, packet: TrackPacket) -> Iterator[Any]:
        """Yield the packet, if it is played or next to one that is."""
        hidden = packet.packet.is_discard or self._earliest == 0
        if not (hidden and packet.start < self._earliest):
            yield from super().packets(packet)


class _Shown(_Copied):
    """Write the packets of a stream that is shown, not played: what begins before 0 begins at 0."""

    def packets(self, packet: TrackPacket) -> Iterator[Any]:
        """Yield the packet."""
        for copy in super().packets(packet):
            if copy.pts < 0:
                copy.duration = max(0, copy.duration + copy.pts)
                copy.pts = copy.dts = 0
            yield copy


class _Subtitles(_Copied):
    """Write text subtitles in another format."""

    def __init__(self, stream: Any, source: Any) -> None:
        super().__init__(stream)
        source.codec_context.open(strict=False)
        stream.codec_context.subtitle_header = source.codec_context.subtitle_header
        stream.time_base = Fraction(1, 1000)

    def packets(self, packet: TrackPacket) -> Iterator[Any]:
        """Yield the subtitle, encoded."""
        for subtitle in packet.subtitles():
            written = self._stream.codec_context.encode_subtitle(subtitle)
            start = max(Fraction(0), packet.start)
            written.time_base = Fraction(1, 1000)
            written.pts = written.dts = round(start * 1000)
            written.duration = round(packet.end * 1000) - written.pts
            written.is_keyframe = True
            written.stream = self._stream
            yield written


class _Sound(_Copied):
    """Encode audio: from 0 to the end of the clip, to the sample."""

    def __init__(self, stream: Any, source: Any, writing: TrackWriting, tracks: Tracks, *, fill: bool) -> None:
        """Configure the encoder.

        Args:
            stream: The written stream.
            source: The stream of the source.
            writing: How it is encoded.
            tracks: The part of the source that is read.
            fill: Whether audio that begins late is filled with silence from 0 on.
        """
        super().__init__(stream)
        context = stream.codec_context
        context.layout = _layout(str(writing.encoder), source.codec_context.layout)
        context.time_base = Fraction(1, writing.rate)
        if writing.encoder == "flac" and source.codec_context.format.name.startswith("s32"):
            context.format = "s32"
        if writing.bit_rate:
            context.bit_rate = writing.bit_rate
        first = ":first_pts=0" if fill else ""
        self._steps = [("aresample", f"{writing.rate}:async=1:min_hard_comp={_GAP}{first}")]
        end = "" if tracks.length is None else f":end_pts={round(tracks.length * writing.rate)}"
        self._steps.append(("atrim", f"start_pts=0{end}"))
        self._ends: tuple[Any, Any] | None = None

    def packets(self, packet: TrackPacket) -> Iterator[Any]:
        """Yield the encoded packets that are ready."""
        for frame, start in packet.frames():
            source, sink = self._ends or self._configured(frame)
            frame.pts, frame.time_base = round(start * frame.sample_rate), Fraction(1, frame.sample_rate)
            source.push(frame)
            yield from self._encoded(sink)

    def rest(self) -> Iterator[Any]:
        """Yield the last packets."""
        if self._ends is None:
            return
        source, sink = self._ends
        source.push(None)
        yield from self._encoded(sink)
        yield from self._stream.encode(None)

    def _encoded(self, sink: Any) -> Iterator[Any]:
        from av import error

        while True:
            try:
                frame = sink.pull()
            except (error.BlockingIOError, error.EOFError):
                return
            yield from self._stream.encode(frame)

    def _configured(self, frame: Any) -> tuple[Any, Any]:
        from av.filter import Graph

        self._graph = graph = Graph()
        base = Fraction(1, frame.sample_rate)
        chain = [
            graph.add_abuffer(
                sample_rate=frame.sample_rate, format=frame.format.name, layout=frame.layout.name, time_base=base
            )
        ]
        chain += [graph.add(name, options) for name, options in self._steps]
        chain.append(graph.add("abuffersink"))
        graph.link_nodes(*chain).configure()
        self._ends = (chain[0], chain[-1])
        return self._ends


def _layout(encoder: str, source: Any) -> str:
    """Return the channel layout that an encoder gets: the source's, else one of as many channels, else stereo."""
    from av import AudioLayout

    allowed = _LAYOUTS.get(encoder, (source.name,))
    if source.name in allowed:
        return str(source.name)
    same = [name for name in allowed if AudioLayout(name).nb_channels == source.nb_channels]
    return same[0] if same else "stereo"


def _picture(stream: Any, data: bytes) -> Any:
    from av import Packet

    packet: Any = Packet(data)
    packet.pts = packet.dts = 0
    packet.is_keyframe, packet.stream = True, stream
    return packet
