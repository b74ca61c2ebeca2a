"""Read the streams, geometry, colour, timing and completeness of a video file with PyAV."""

from __future__ import annotations

import errno
import functools
import stat
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from bmfgraph import error_codes as codes
from bmfgraph.errors import UnplacedError
from bmfgraph.media.frame_facts import UPRIGHT, Fields, chroma_of, color_of, fields_of, orientation_of
from bmfgraph.media.opening import Protocol, is_playlist, open_video
from bmfgraph.media.structure import file_damage
from bmfgraph.media.timing import Timing, frame_timing
from bmfgraph.plan.types import AudioSpec, FrameSpec, TrackSpec

__all__ = ["Media", "MediaError", "probe"]


class MediaError(UnplacedError):
    """A file cannot be used as video input."""


@dataclass(frozen=True)
class Media:
    """A video stream of a file, and the selected audio stream."""

    path: Path
    container: str
    """FFmpeg's first name of the format, such as ``mov`` or ``matroska``."""
    frames: FrameSpec
    """Type of the frames after rotation."""
    audio: AudioSpec | None
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
    path: Path,
    *,
    video: int = 0,
    audio: Literal["all"] | int | None = 0,
    complete: bool = True,
    protocols: tuple[Protocol, ...] = (),
) -> Media:
    """Describe what BMF's decoder will deliver from a file. The first frame is decoded.

    The result is kept, and computed again when the file changes.

    Args:
        path: The file.
        video: Number of the video stream, counted from 0.
        audio: Number of the audio stream, counted from 0, or ``all``. None leaves audio out; 0 accepts a file without
            audio.
        complete: If false, a file whose end is missing is accepted.
        protocols: What the file may open besides itself. Without any, a playlist is refused.

    Raises:
        MediaError: The file is missing, unreadable, damaged or cut off, or lacks the stream.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise MediaError(
            f"input {str(path)!r} does not exist",
            "check the path; it is relative to this folder",
            code=codes.FILE_NOT_FOUND,
        ) from None
    except OSError as error:
        raise MediaError(
            f"input {str(path)!r} cannot be read ({error.strerror})", "check the path", code=codes.UNREADABLE_FILE
        ) from None
    if stat.S_ISDIR(status.st_mode):
        raise MediaError(f"input {str(path)!r} is a folder", "name a video file in it", code=codes.FILE_EXPECTED)
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(
            f"input {str(path)!r} is a pipe or a device, not a file",
            "write it to a file first",
            code=codes.FILE_EXPECTED,
        )
    stamp = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
    return _probe_version(path, stamp, video, audio, complete, protocols)


@functools.lru_cache(maxsize=256)
def _probe_version(
    path: Path,
    _stamp: tuple[int, ...],
    video: int,
    audio: Literal["all"] | int | None,
    complete: bool,
    protocols: tuple[Protocol, ...],
) -> Media:
    """Probe a file. ``_stamp`` changes with the file, so that the cache does not return an outdated result."""
    import av

    try:
        with open_video(path, protocols) as container:
            return _describe(path, container, video, audio, complete, protocols)
    except PermissionError:
        raise MediaError(
            f"input {str(path)!r} may not be read", f"chmod u+r {path}", code=codes.UNREADABLE_FILE
        ) from None
    except av.FFmpegError as error:
        if not protocols and is_playlist(path):
            raise MediaError(
                f"input {str(path)!r} is a playlist, which opens other files or addresses",
                "name the video itself, or allow it: decoder.protocols=[file], or [file,https]",
                code=codes.PLAYLIST_INPUT,
            ) from None
        reason = str((error.log or (0, "", error.strerror))[-1])
        if error.errno == errno.EINVAL:
            reason = "its format is not supported"
        raise MediaError(
            f"input {str(path)!r} is not a video that FFmpeg can read ({reason})",
            "it may be cut off, still being written, or not a media file; try to play it",
            code=codes.UNREADABLE_VIDEO,
        ) from None


def _describe(
    path: Path,
    container: Any,
    video: int,
    audio: Literal["all"] | int | None,
    complete: bool,
    protocols: tuple[Protocol, ...],
) -> Media:
    streams = [stream for stream in container.streams.video if not stream.disposition & _attached_picture()]
    if not streams:
        types = ", ".join(stream.type for stream in container.streams) or "no streams"
        raise MediaError(
            f"input {str(path)!r} has no video stream (it has: {types})",
            "name a file with video",
            code=codes.NO_VIDEO_STREAM,
        )
    if video >= len(streams):
        raise _no_stream(path, "video", len(streams), video)
    audio_streams = list(container.streams.audio)
    if isinstance(audio, int) and audio >= len(audio_streams) and audio > 0:
        raise _no_stream(path, "audio", len(audio_streams), audio)
    stream = streams[video]
    chosen = audio_streams if audio == "all" else audio_streams[audio:][:1] if audio is not None else []

    if complete and (damage := file_damage(path, container.format.name.split(",")[0])):
        raise MediaError(
            f"input {str(path)!r} is cut off or damaged: {damage}",
            "copy it again, or set decoder.on_error=skip to use the rest",
            code=codes.TRUNCATED_FILE,
        )
    frames = container.decode(stream)
    first = next(frames, None)
    if first is None:
        raise MediaError(
            f"input {str(path)!r}: no frame of its video stream can be decoded",
            "try to play it",
            code=codes.UNDECODABLE_VIDEO,
        )

    orientation = orientation_of(first) or UPRIGHT
    width, height = (first.height, first.width) if orientation.sideways else (first.width, first.height)
    fields = fields_of(stream, first, frames)
    with open_video(path, protocols) as unread:
        # Seeking to the start may skip audio that begins before 0, so the packets are read from a new container.
        timing = frame_timing(unread, unread.streams[stream.index])
    duration = _duration(container, stream, timing)
    return Media(
        path=path,
        container=container.format.name.split(",")[0],
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
        ),
        audio=AudioSpec(tuple(map(_track, chosen))) if chosen else None,
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


def _track(stream: Any) -> TrackSpec:
    context = stream.codec_context
    language = stream.language if stream.language not in (None, "und") else ""
    return TrackSpec(
        stream.index, "audio", context.codec.canonical_name, language, context.sample_rate, stream.channels
    )


def _duration(container: Any, stream: Any, timing: Timing) -> float:
    """Return the seconds of video. If the container only states its longest stream, a complete file's frames count."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    whole = (container.duration or 0) / 1e6
    origin = float(timing.origin)
    if timing.count and whole - (float(timing.end) - origin) < max(0.5, whole / 50):
        return float(timing.length)
    return whole


def _no_stream(path: Path, kind: str, count: int, number: int) -> MediaError:
    streams = f"{count} {kind} streams, counted from 0" if count > 1 else f"{count or 'no'} {kind} stream"
    return MediaError(
        f"input {str(path)!r} has {streams}: there is no stream {number}",
        f"set `{kind}` to one of: {', '.join(map(str, range(count)))}" if count else f"leave `{kind}` out",
        code=codes.STREAM_NOT_FOUND,
    )


def _attached_picture() -> Any:
    from av.stream import Disposition

    return Disposition.attached_pic
