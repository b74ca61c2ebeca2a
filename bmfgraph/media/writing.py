"""Encode frames with PyAV, and write them to a file with copied streams."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmfgraph.media.naming import PICTURE_NUMBER
from bmfgraph.media.track_writing import TrackWriter, TrackWriting
from bmfgraph.media.tracks import TrackPacket, Tracks
from bmfgraph.system.stdio import standard_output

if TYPE_CHECKING:
    from av import Packet, VideoFrame

__all__ = ["FrameLoss", "Writer", "Writing", "joined_options", "video_encoder"]


@dataclass(frozen=True)
class Writing:
    """Settings of a written file. ``time_base`` in seconds per tick, bit rates in bits per second."""

    path: str | None
    """The file; ``-`` for standard output."""
    container: str
    codec: str
    """FFmpeg's name of the encoder."""
    pixel_format: str
    options: tuple[tuple[str, str], ...]
    """Options of the encoder, as FFmpeg names them."""
    mux_options: tuple[tuple[str, str], ...]
    passes: int
    holds_last: bool
    """Whether the container stores how long the last frame is shown."""
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


class FrameLoss(Exception):
    """The encoder or the file has another number of frames than were written."""


class Writer:
    """Write one file, or several numbered ones: encoded frames, and the packets of other streams.

    Attributes:
        cut: Seconds by which the file shows the last frame shorter than the source.
    """

    def __init__(self, settings: Writing) -> None:
        """Open the file and the video encoder.

        Args:
            settings: The settings; ``path`` is not None.

        Raises:
            av.FFmpegError: The encoder or the file cannot be opened.
        """
        self._settings = settings
        self.cut = Fraction(0)
        self._palette = _Palette() if settings.codec == "gif" else None
        self._container: Any = _opened(settings)
        self._video = self._added_video(self._container, settings)
        self._durations: dict[int, int] = {}
        """Ticks for which frames are shown, by pts."""
        self._newest: int | None = None
        self._last: Packet[Any] | None = None
        """The packet that is written when the next one comes, because only the end shows that it is the last."""
        self._end = 0
        """Tick at which the last frame ends."""
        self._frames = self._packets = 0
        self._tracks = TrackWriter(self._container, settings.tracks)

    @property
    def damaged(self) -> int:
        """Number of packets beside the video that could not be decoded, and are left out."""
        return self._tracks.damaged

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
            FrameLoss: The path stands for one picture, and this is the second.
        """
        settings, base = self._settings, self._settings.time_base
        if self._frames and "update" in dict(settings.mux_options):
            raise FrameLoss("the path names one picture, and more frames come")
        pts = round(time / base)
        if self._newest is not None:
            pts = max(pts, self._newest + 1)
            self._durations[self._newest] = pts - self._newest
        self._newest = pts
        self._frames += 1
        usual = 1 / settings.rate
        self.cut = duration - usual if not settings.holds_last and duration > usual * 3 / 2 else Fraction(0)
        self._durations[pts] = max(1, round(((duration - self.cut) or usual) / base))
        picture = self._palette.applied(picture) if self._palette else picture
        picture.pts, picture.time_base, picture.pict_type = pts, base, 0
        picture.duration = self._durations[pts]
        self._mux_video(self._video.encode(picture))

    def write_packets(self, packets: Iterable[TrackPacket]) -> None:
        """Write packets of the streams beside the video.

        Raises:
            av.FFmpegError: They cannot be written.
        """
        self._tracks.write(packets)

    def close(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Finish the file.

        Args:
            stopped: Whether the run must end at once.

        Raises:
            av.FFmpegError: The end cannot be encoded or written.
            FrameLoss: The encoder or the file lost frames.
        """
        self._mux_video(self._rest())
        self._tracks.finish()
        self._mux_last()
        self._container.close()
        # This encoder makes one packet of the whole animation.
        if self._packets != self._frames and self._settings.codec != "libwebp_anim":
            raise FrameLoss(f"{self._frames} frames went into the encoder, and {self._packets} came out")
        if (held := self._held()) not in (None, self._frames):
            raise FrameLoss(f"{self._frames} frames were written, and the file holds {held}")

    def abandon(self) -> None:
        """Close the file as it is, after a failure."""
        with contextlib.suppress(Exception):
            self._container.close()

    def _added_video(self, container: Any, settings: Writing) -> Any:
        return _added_video(container, settings)

    def _rest(self) -> list[Packet[Any]]:
        """Return the packets that the encoder still holds."""
        return self._video.encode(None)  # type: ignore[no-any-return]

    def _held(self) -> int | None:
        """Return the number of frames in the closed file by its own index; None where it has none."""
        import av

        if self._settings.container not in ("mp4", "mov"):
            return None
        with av.open(_plain(str(self._settings.path)), format="mov") as file:
            return file.streams.video[0].frames

    def _mux_video(self, packets: list[Packet[Any]]) -> None:
        for packet in packets:
            self._packets += 1
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts, packet.duration or 0)
                self._end = max(self._end, packet.pts + packet.duration)
            if self._last is not None:
                self._container.mux_one(self._last)
            self._last = packet

    def _mux_last(self) -> None:
        """Write the last packet of the video; in an mp4, its end is the end of the track, also with B frames."""
        last = self._last
        if last is None:
            return
        if self._settings.container in ("mp4", "mov") and last.pts is not None:
            last.duration = max(last.duration or 0, self._end - last.pts)
        self._container.mux_one(last)


class _Palette:
    """Reduce each frame to 256 colours of its own."""

    def __init__(self) -> None:
        self._ends: tuple[Any, Any] | None = None

    def applied(self, picture: VideoFrame) -> VideoFrame:
        """Return the frame in pal8."""
        source, sink = self._ends or self._configured(picture)
        picture.pts, picture.time_base = 0, Fraction(1, 100)
        source.push(picture)
        result: VideoFrame = sink.pull()
        return result

    def _configured(self, picture: VideoFrame) -> tuple[Any, Any]:
        from av.filter import Graph

        self._graph = graph = Graph()
        source = graph.add_buffer(
            width=picture.width, height=picture.height, format=picture.format, time_base=Fraction(1, 100)
        )
        split, generate = graph.add("split"), graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
        use, sink = graph.add("paletteuse", "new=1:dither=sierra2_4a"), graph.add("buffersink")
        source.link_to(split)
        split.link_to(use, 0, 0)
        split.link_to(generate, 1, 0)
        generate.link_to(use, 0, 1)
        use.link_to(sink)
        graph.configure()
        self._ends = (source, sink)
        return self._ends


def joined_options(options: tuple[tuple[str, str], ...], extra: tuple[str, str] | None) -> tuple[tuple[str, str], ...]:
    """Return the options with another one; the encoder's own parameters, such as ``x265-params``, are joined."""
    if extra is None:
        return options
    merged = dict(options)
    key, value = extra
    merged[key] = f"{merged[key]}:{value}" if key in merged else value
    return tuple(merged.items())


def _opened(settings: Writing) -> Any:
    import av

    path = str(settings.path)
    options = dict(settings.mux_options)
    if settings.codec == "libsvtav1":
        # Its own log goes to the terminal.
        os.environ.setdefault("SVT_LOG", "1")
    if path == "-":
        # FFmpeg's pipe would write to descriptor 1, which is muted while BMF makes its graph.
        file = os.fdopen(standard_output(), "wb")
        if file.isatty():
            file.close()
            raise OSError("standard output is a terminal; send it to a file or to a program")
        return av.open(file, "w", format=settings.container, options=options)
    path = _plain(path)
    folder, name = os.path.split(path)
    if "hls_segment_filename" in options:
        options["hls_segment_filename"] = f"{folder}/{options['hls_segment_filename']}"
    if settings.container == "image2" and "update" not in options and (number := PICTURE_NUMBER.search(name)):
        before, after = name[: number.start()].replace("%", "%%"), name[number.end() :].replace("%", "%%")
        path = f"{folder.replace('%', '%%')}/{before}{number[0]}{after}"
    return av.open(path, "w", format=settings.container, options=options)


def _plain(path: str) -> str:
    """Return a path that FFmpeg does not take for an address: in a relative one, a colon ends a protocol."""
    return str(Path(path).absolute())


def _added_video(container: Any, settings: Writing) -> Any:
    codec = "wrapped_avframe" if settings.container == "yuv4mpegpipe" else settings.codec
    stream: Any = container.add_stream(codec, rate=settings.rate, options=dict(_options(settings)))
    stream.time_base = settings.time_base
    _configure(stream.codec_context, settings)
    return stream


def video_encoder(settings: Writing) -> Any:
    """Return PyAV's context of the video encoder alone, for packets that are not written."""
    import av

    context: Any = av.CodecContext.create(settings.codec, "w")
    context.framerate = settings.rate
    context.options = dict(_options(settings))
    _configure(context, settings)
    return context


def _configure(context: Any, settings: Writing) -> None:
    context.width, context.height = settings.width, settings.height
    context.pix_fmt = "pal8" if settings.codec == "gif" else settings.pixel_format
    context.time_base = settings.time_base
    context.sample_aspect_ratio = settings.aspect
    context.colorspace, context.color_range = settings.matrix, 2 if settings.full_range else 1
    context.color_primaries, context.color_trc = settings.primaries, settings.transfer
    context.thread_count = settings.threads or 0
    # PyAV's default divides each frame into slices, which costs x264 speed and quality.
    context.thread_type = "AUTO"


def _options(settings: Writing) -> Iterator[tuple[str, str]]:
    for key, value in settings.options:
        if key in ("qmin", "qmax"):
            # FFmpeg's quality factors count in these units.
            yield ("flags", "+qscale")
            yield ("global_quality", str(118 * int(float(value))))
        yield (key, value)
