"""Encode frames with PyAV, and write them to a file with copied streams."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from bmfgraph.media.track_writing import TrackWriter, TrackWriting
from bmfgraph.media.tracks import TrackPacket, Tracks

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
    tracks: tuple[TrackWriting, ...]
    """The streams beside the video."""
    chapters: bool
    """Whether the source's chapters are written; likewise ``metadata``."""
    metadata: bool


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
        self._tracks = TrackWriter(self._container, settings.tracks)

    def set_tracks(self, tracks: Tracks) -> None:
        """Add the streams beside the video; called before the first frame is written.

        Raises:
            ValueError: The container cannot hold a stream.
            av.FFmpegError: An encoder of audio cannot be opened.
        """
        if self._settings.metadata:
            self._container.metadata.update(tracks.metadata)
            self._video.metadata.update(tracks.video_metadata)
        if self._settings.chapters:
            self._container.set_chapters(list(tracks.chapters))
        self._tracks.open(tracks)

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

    def write_packets(self, packets: tuple[TrackPacket, ...]) -> None:
        """Write packets of the streams beside the video.

        Raises:
            av.FFmpegError: They cannot be written.
        """
        self._tracks.write(packets)

    def close(self) -> None:
        """Finish the file.

        Raises:
            av.FFmpegError: The end cannot be encoded or written.
        """
        self._mux_video(self._video.encode(None))
        self._tracks.finish()
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
        return stream
