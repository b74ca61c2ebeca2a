"""Read the streams, geometry, colour, timing and completeness of a video file with PyAV."""

from __future__ import annotations

import functools
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.errors import MediaError
from bmfgraph.media.alpha import has_alpha, is_transparent, picture_decoder
from bmfgraph.media.codec_names import codec_name
from bmfgraph.media.frame_facts import UPRIGHT, Fields, chroma_of, color_of, fields_of, orientation_of
from bmfgraph.media.hdr import hdr_metadata
from bmfgraph.media.opening import Protocol, format_of, is_url, open_video
from bmfgraph.media.picture_files import check_pictures, picture_files
from bmfgraph.media.pipes import is_pipe, pipe_at
from bmfgraph.media.refusals import no_decoder, unreadable
from bmfgraph.media.structure import file_damage
from bmfgraph.media.timing import Timing, frame_timing
from bmfgraph.media.track_facts import TrackChoice, is_picture, no_stream, tracks_of
from bmfgraph.plan.types import AudioSpec, FrameSpec

__all__ = ["Media", "MediaError", "probe"]

_PROMISING = frozenset(("mov", "matroska"))
"""Containers that say at their beginning how long they are."""


@dataclass(frozen=True)
class Media:
    """A video stream of a file, and the selected streams beside it."""

    path: Path | str
    """A file, a name of several pictures, an address, or a pipe."""
    pictures: tuple[str, ...]
    """The files, where ``path`` names several."""
    live: bool
    """Whether it can be read only once, and only forwards."""
    alpha: bool
    """Whether the frames have an alpha channel; it counts even where the first frame is opaque."""
    transparent: bool
    """Whether the first frame is not opaque."""
    container: str
    """FFmpeg's first name of the format, such as ``mov`` or ``matroska``."""
    codec: str
    """FFmpeg's name of the video codec."""
    frames: FrameSpec
    """Type of the frames after rotation."""
    audio: AudioSpec | None
    """What the file holds beside the video stream; None: nothing."""
    frame_count: int
    """Expected number of frames; 0 if unknown."""
    exact_count: bool
    """True if all packets of the file were counted."""
    duration: float
    """Seconds; 0 if unknown."""
    rotation: int
    """Degrees counterclockwise, 0, 90, 180 or 270, by which the stored frames are turned for display."""
    mirrored: bool
    """Whether left and right of the stored frames are exchanged before that."""
    fields: Fields
    """Whether the frames are interlaced."""
    video_stream: int
    """Index among all streams of the file."""
    origin: Fraction
    """Earliest time of any stream in seconds, as FFmpeg 4 computes it. Frame times count from it if it is positive."""
    zero: Fraction
    """Time of the file, in seconds, that counts as 0; see :class:`Timing`."""
    ties: int
    """Largest number of frames of equal times."""
    protocols: tuple[Protocol, ...]
    """What the file may open besides itself."""
    time_grid: Fraction
    """The longest duration in seconds of which all frame times are multiples."""


def probe(
    path: Path | str,
    *,
    video: int = 0,
    audio: TrackChoice = 0,
    subtitles: TrackChoice = None,
    complete: bool = True,
    protocols: tuple[Protocol, ...] = (),
    rate: Fraction | None = None,
) -> Media:
    """Describe what BMF's decoder will deliver from a clip. The first frame is decoded.

    The result is kept, and computed again when a file changes.

    Args:
        path: A file, an address, several pictures (see :func:`picture_files`), or a pipe.
        video: Number of the video stream, counted from 0.
        audio: Numbers, counted from 0, or languages of the audio streams, or ``all``. None leaves audio out; 0 accepts
            a file without audio.
        subtitles: The subtitle streams, likewise.
        complete: If false, a file whose end is missing is accepted.
        protocols: What the file may open besides itself. Without any, a playlist is refused.
        rate: Pictures per second; None for 25. Only for pictures.

    Raises:
        MediaError: The file is missing, unreadable, damaged or cut off, or lacks the stream.
    """
    try:
        pictures = () if is_url(path) else picture_files(path) or ()
        stamp = _stamp(path, pictures)
    except FileNotFoundError:
        raise MediaError(
            f"input {str(path)!r} does not exist",
            "check the path; it is relative to this folder",
            code=codes.FILE_NOT_FOUND,
        ) from None
    except OSError as error:
        raise MediaError(
            f"input {str(path)!r} cannot be read ({error.strerror})", "check the path", code=codes.UNREADABLE_FILE
        ) from None
    return _probe_version(path, pictures, stamp, video, (audio, subtitles), complete, protocols, rate)


def _stamp(path: Path | str, pictures: tuple[str, ...]) -> tuple[int, ...]:
    """Return numbers that change with what is read.

    Raises:
        FileNotFoundError: There is no such file.
        OSError: It cannot be asked for.
        MediaError: It is neither a file nor a pipe.
    """
    if is_url(path):
        return ()
    if is_pipe(path):
        return (pipe_at(path).number,)
    stamp: tuple[int, ...] = ()
    for file in pictures or (path,):
        try:
            status = Path(file).stat()
        except (NotADirectoryError, ValueError):
            raise FileNotFoundError from None
        if not stat.S_ISREG(status.st_mode):
            raise MediaError(
                f"input {str(file)!r} is a device, not a file", "write it to a file first", code=codes.FILE_EXPECTED
            )
        stamp += (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
    return stamp


@functools.lru_cache(maxsize=256)
def _probe_version(
    path: Path | str,
    pictures: tuple[str, ...],
    _stamp: tuple[int, ...],
    video: int,
    beside: tuple[TrackChoice, TrackChoice],
    complete: bool,
    protocols: tuple[Protocol, ...],
    rate: Fraction | None,
) -> Media:
    """Probe a clip. ``_stamp`` changes with its files, so that the cache does not return an outdated result."""
    import av

    check_pictures(str(path), pictures)
    try:
        with open_video(path, protocols, rate) as container:
            return _describe(path, pictures, container, video, beside, complete, protocols, rate)
    except PermissionError:
        raise MediaError(
            f"input {str(path)!r} may not be read", f"chmod u+r {path}", code=codes.UNREADABLE_FILE
        ) from None
    except av.FFmpegError as error:
        raise unreadable(path, protocols, error) from None
    except TimeoutError as error:
        raise MediaError(
            f"input {str(path)!r}: {error.strerror}", "start its writer first", code=codes.UNREADABLE_PIPE
        ) from None


def _describe(
    path: Path | str,
    pictures: tuple[str, ...],
    container: Any,
    video: int,
    beside: tuple[TrackChoice, TrackChoice],
    complete: bool,
    protocols: tuple[Protocol, ...],
    rate: Fraction | None,
) -> Media:
    streams = [stream for stream in container.streams.video if not is_picture(stream)]
    if not streams:
        types = ", ".join(stream.type for stream in container.streams) or "no streams"
        raise MediaError(
            f"input {str(path)!r} has no video stream (it has: {types})",
            "name a file with video",
            code=codes.NO_VIDEO_STREAM,
        )
    if video >= len(streams):
        raise no_stream(path, "video", [stream.language or "und" for stream in streams], video)
    stream = streams[video]
    if stream.codec_context is None:
        raise no_decoder(path, codec_name(container, stream))
    tracks = tracks_of(path, container, stream, audio=beside[0], subtitles=beside[1])

    name = format_of(container)
    if rate is not None and not (name == "image2" or name.endswith("_pipe")):
        raise MediaError(
            f"input {str(path)!r} has times of its own, and rate {float(rate):g} is for pictures",
            "leave `rate` out",
            code=codes.UNUSED_RATE,
        )
    live, local = is_pipe(path), not (is_url(path) or is_pipe(path) or pictures)
    if complete and local and (damage := file_damage(path, name)):
        raise MediaError(
            f"input {str(path)!r} is cut off or damaged: {damage}",
            "copy it again, or set decoder.on_error=skip to use the rest",
            code=codes.TRUNCATED_FILE,
        )
    frames = _frames(container, stream)
    first = next(frames, None)
    if first is None:
        raise MediaError(
            f"input {str(path)!r}: no frame of its video stream can be decoded",
            "try to play it",
            code=codes.UNDECODABLE_VIDEO,
        )

    orientation = orientation_of(first) or UPRIGHT
    width, height = (first.height, first.width) if orientation.sideways else (first.width, first.height)
    # More of a pipe than its beginning cannot be read here.
    fields = fields_of(stream, first, () if live else frames)
    with open_video(path, protocols, rate) as unread:
        # Seeking to the start may skip audio that begins before 0, so the packets are read from a new container.
        timing = frame_timing(unread, unread.streams[stream.index], live=live)
    promised = timing.count or not live or name in _PROMISING
    duration = _duration(container, stream, timing) if promised else 0.0
    return Media(
        path=path,
        pictures=pictures,
        live=live,
        alpha=has_alpha(first.format),
        transparent=is_transparent(first),
        container=name,
        codec=stream.codec_context.codec.canonical_name,
        frames=FrameSpec(
            width=width,
            height=height,
            pixel_format=first.format.name,
            color=color_of(first),
            rate=timing.rate,
            time_base=Fraction(stream.time_base) / timing.ties,
            variable_rate=timing.variable,
            time_grid=None if timing.time_grid == 1 / timing.rate else timing.time_grid,
            chroma=chroma_of(stream.codec_context.codec.canonical_name),
            aspect=Fraction(stream.sample_aspect_ratio or 1) or Fraction(1),
            hdr=hdr_metadata(first),
        ),
        audio=tracks,
        frame_count=timing.count or stream.frames - timing.hidden or round(duration * timing.rate),
        exact_count=bool(timing.count),
        duration=duration,
        rotation=orientation.rotation,
        mirrored=orientation.mirrored,
        fields=fields,
        video_stream=stream.index,
        origin=timing.origin,
        zero=timing.zero,
        ties=timing.ties,
        protocols=protocols,
        time_grid=timing.time_grid,
    )


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    """Yield the frames of a stream that can be decoded."""
    decoder = picture_decoder(stream)
    for packet in container.demux(stream):
        yield from decoder.decode(packet)


def _duration(container: Any, stream: Any, timing: Timing) -> float:
    """Return the seconds of video. If the container only states its longest stream, a complete file's frames count."""
    if timing.count and container.format.name in ("mpeg", "mpegts"):  # FFmpeg estimates their durations.
        return float(timing.length)
    if stream.duration:
        return float(stream.duration * stream.time_base)
    whole = (container.duration or 0) / 1e6
    origin = float(timing.origin)
    if timing.count and whole - (float(timing.end) - origin) < max(0.5, whole / 50):
        return float(timing.length)
    return whole
