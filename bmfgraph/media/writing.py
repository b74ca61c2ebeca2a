"""Encode frames with PyAV, and write them to a file with copied streams."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from bmfgraph.media.tracks import Tracks

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import OutputContainer

__all__ = ["Writer", "Writing"]


@dataclass(frozen=True)
class Writing:
    """Settings of a written file. ``time_base`` in seconds per tick, bit rates in bits per second."""

    path: str | None
    container: str
    codec: str
    """FFmpeg's name of the encoder."""
    pixel_format: str
    options: tuple[tuple[str, str], ...]
    """Options of the encoder, as FFmpeg names them."""
    mux_options: tuple[tuple[str, str], ...]
    bit_rate: int | None
    threads: int | None
    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    aspect: Fraction
    """Width of a pixel divided by its height."""
    matrix: int
    """MatrixCoefficients of ITU-T H.273; likewise ``primaries`` and ``transfer``."""
    full_range: bool
    primaries: int
    transfer: int
    audio: str | None
    """``copy``, an audio codec, or None without other streams."""
    audio_bit_rate: int | None


class Writer:
    """Write one file: encoded frames, and the packets of other streams."""

    def __init__(self, settings: Writing) -> None:
        """Open the file and the video encoder.

        Args:
            settings: The settings; ``path`` is not None.

        Raises:
            av.FFmpegError: The encoder or the file cannot be opened.
        """
        import av

        self._settings = settings
        self._container: OutputContainer = av.open(
            str(settings.path), "w", format=settings.container, options=dict(settings.mux_options)
        )
        self._video = self._add_video()
        self._durations: dict[int, int] = {}
        """Ticks for which frames are shown, by pts."""
        self._newest: int | None = None
        self._waiting: deque[Packet[Any]] = deque()
        self._tracks: dict[int, Any] = {}
        """Output streams by the index of the stream that is copied."""

    def set_tracks(self, tracks: Tracks) -> None:
        """Add the streams that are copied; called before the first frame is written.

        Raises:
            ValueError: The container cannot hold a stream.
        """
        self._container.metadata.update(tracks.metadata)
        for stream in tracks.streams:
            copy = self._container.add_stream_from_template(stream, opaque=True)
            copy.metadata.update(stream.metadata)
            copy.disposition = stream.disposition
            self._tracks[stream.index] = copy

    def write(self, picture: VideoFrame, time: Fraction, duration: Fraction) -> None:
        """Encode a frame.

        Args:
            picture: The frame, in the pixel format of the settings.
            time: Its presentation time in seconds.
            duration: Seconds for which it is shown; 0: until the next one.

        Raises:
            av.FFmpegError: It cannot be encoded or written.
        """
        base = self._settings.time_base
        pts = round(time / base)
        if self._newest is not None:
            pts = max(pts, self._newest + 1)
            self._durations[self._newest] = pts - self._newest
        self._newest = pts
        self._durations[pts] = max(1, round((duration or 1 / self._settings.rate) / base))
        picture.pts, picture.time_base, picture.pict_type = pts, base, 0
        self._mux_video(self._video.encode(picture))

    def write_packets(self, packets: tuple[Packet[Any], ...]) -> None:
        """Write packets of copied streams.

        Raises:
            av.FFmpegError: They cannot be written.
        """
        for packet in packets:
            if (stream := self._tracks.get(packet.stream_index)) is not None:
                # Several files may get the same packet, and the muxer changes it.
                own = _copy(packet)
                own.stream = stream
                self._container.mux_one(own)

    def close(self) -> None:
        """Finish the file.

        Raises:
            av.FFmpegError: The end cannot be encoded or written.
        """
        self._mux_video(self._video.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Close the file as it is, after a failure."""
        import contextlib

        with contextlib.suppress(Exception):
            self._container.close()

    def _mux_video(self, packets: list[Packet[Any]]) -> None:
        for packet in packets:
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts, packet.duration or 0)
            self._container.mux_one(packet)

    def _add_video(self) -> Any:
        settings = self._settings
        stream: Any = self._container.add_stream(settings.codec, rate=settings.rate, options=dict(settings.options))
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = settings.width, settings.height, settings.pixel_format
        context.time_base = stream.time_base = settings.time_base
        context.sample_aspect_ratio = settings.aspect
        context.colorspace, context.color_range = settings.matrix, 2 if settings.full_range else 1
        context.color_primaries, context.color_trc = settings.primaries, settings.transfer
        context.thread_count = settings.threads or 0
        # PyAV's default divides each frame into slices, which costs x264 speed and quality.
        context.thread_type = "AUTO"
        return stream


def _copy(packet: Packet[Any]) -> Packet[Any]:
    """Return a packet with the same data, times, flags, and side data."""
    import av

    copy: Packet[Any] = av.Packet(bytes(packet))
    copy.pts, copy.dts, copy.duration, copy.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    copy.is_keyframe = packet.is_keyframe
    for side in packet.iter_sidedata():
        copy.set_sidedata(side)
    return copy
