"""What a video file holds, read with PyAV: streams, geometry, colour, timing, and whether it is all there."""

from __future__ import annotations

import itertools
import math
import stat
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.errors import UnplacedError
from bmfgraph.plan.types import AudioSpec, Chroma, ColorSpec, FrameSpec, Matrix, default_matrix

__all__ = ["Media", "MediaError", "probe"]

# ITU-T H.273, table 4 (MatrixCoefficients), as far as swscale converts them.
_MATRICES: dict[int, Matrix] = {
    0: "rgb",
    1: "bt709",
    4: "bt601",
    5: "bt601",
    6: "bt601",
    7: "bt601",
    9: "bt2020",
    10: "bt2020",
}
# Where codecs have the chroma samples of 4:2:0, as FFmpeg's decoders tag them.
_CHROMA: dict[str, Chroma] = {
    **dict.fromkeys(("h264", "hevc", "mpeg2video", "mpeg4", "vc1", "wmv3"), "left"),
    **dict.fromkeys(("mjpeg", "mpeg1video", "h263", "msmpeg4v2", "msmpeg4v3", "flv1"), "center"),
}
# Rates to try where a file does not say its own.
_RATES = tuple(
    Fraction(rate) for rate in ("24000/1001", "24", "25", "30000/1001", "30", "48", "50", "60000/1001", "60", "120")
)
_EXACT = Fraction(1, 2000)
"""Seconds; frame times are kept at least that well."""
_MOST_PACKETS, _MOST_BYTES = 20_000, 64 << 20
"""As much of a file is read to learn its frame times; of longer ones, samples."""
_SAMPLES = 8
_REORDERED = 16
"""Frames that may be stored out of order."""
_FULL_RANGE = 2


class MediaError(UnplacedError):
    """A file cannot be used as video input; the text says why, ``hint`` what to do."""


@dataclass(frozen=True)
class Media:
    """One video stream of a file with the audio stream chosen beside it."""

    path: Path
    container: str
    frames: FrameSpec
    audio: AudioSpec | None
    frame_count: int
    """Frames to expect (0: unknown); exact where the container has an index of all of them."""
    exact_count: bool
    duration: float
    """Seconds (0: unknown)."""
    rotation: int
    video_stream: int
    """Index of the stream among all of the file's streams; likewise ``audio_stream``."""
    audio_stream: int | None
    origin: Fraction
    """Seconds; the first time of any stream, as FFmpeg 4 has it. Times are counted from it, but if it is negative."""
    time_grid: Fraction
    """The longest duration, in seconds, of which all frame times are multiples."""


def probe(path: Path, *, video: int = 0, audio: int | None = 0, complete: bool = True) -> Media:
    """Open ``path``, decode its first frame, and describe what BMF's decoder will deliver from it.

    ``video`` and ``audio`` count the streams of their kind from 0; ``audio=None`` leaves audio out.
    ``complete=False`` accepts a file whose end is missing. Raises MediaError for a file that is missing,
    unreadable, damaged, cut off, or holds no such stream.
    """
    import av

    try:
        mode = path.stat().st_mode
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
    if stat.S_ISDIR(mode):
        raise MediaError(f"input {str(path)!r} is a folder", "name a video file in it", code=codes.FILE_EXPECTED)
    if not stat.S_ISREG(mode):
        raise MediaError(
            f"input {str(path)!r} is a pipe or a device, no file", "write it to a file first", code=codes.FILE_EXPECTED
        )
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            return _describe(path, container, video, audio, complete)
    except PermissionError:
        raise MediaError(
            f"input {str(path)!r} may not be read", f"chmod u+r {path}", code=codes.UNREADABLE_FILE
        ) from None
    except av.FFmpegError as error:
        reason = (error.log or (0, "", error.strerror))[-1]
        raise MediaError(
            f"input {str(path)!r} is not a video that FFmpeg can read ({reason})",
            "it may be cut off, still being written, or no media file at all; try to play it",
            code=codes.UNREADABLE_VIDEO,
        ) from None


def _describe(path: Path, container: Any, video: int, audio: int | None, complete: bool) -> Media:
    import av

    streams = [stream for stream in container.streams.video if not stream.disposition & _attached_picture()]
    if not streams:
        found = ", ".join(stream.type for stream in container.streams) or "no streams"
        raise MediaError(
            f"input {str(path)!r} has no video stream (it holds: {found})",
            "name a file with video",
            code=codes.NO_VIDEO_STREAM,
        )
    if video >= len(streams):
        raise _no_stream(path, "video", len(streams), video)
    sounds = list(container.streams.audio)
    if audio is not None and audio >= len(sounds) and audio > 0:
        raise _no_stream(path, "audio", len(sounds), audio)
    stream = streams[video]
    sound = sounds[audio] if audio is not None and audio < len(sounds) else None

    if complete:
        _check_complete(path, container)
    first = next(container.decode(stream), None)
    if first is None:
        raise MediaError(
            f"input {str(path)!r}: its video stream holds no frame that can be decoded",
            "try to play it",
            code=codes.UNDECODABLE_VIDEO,
        )

    rotation = round(first.rotation / 90) * 90 % 360
    width, height = (first.height, first.width) if rotation in (90, 270) else (first.width, first.height)
    exact = stream.frames > 0 and len(stream.index_entries) == stream.frames
    with av.open(str(path), metadata_errors="replace") as again:
        # From its first packet on: seeking to the start may skip sound that begins before 0.
        timing = _timing(again, again.streams[stream.index])
    duration = _duration(container, stream, timing)
    return Media(
        path=path,
        container=container.format.name.split(",")[0],
        frames=FrameSpec(
            width=width,
            height=height,
            pixel_format=first.format.name,
            color=_color(first),
            rate=timing.rate,
            time_base=Fraction(stream.time_base),
            variable_rate=timing.variable,
            time_grid=None if timing.time_grid == 1 / timing.rate else timing.time_grid,
            chroma=_CHROMA.get(stream.codec_context.codec.canonical_name, ""),
        ),
        audio=AudioSpec(sound.codec_context.codec.canonical_name, sound.codec_context.sample_rate, sound.channels, True)
        if sound
        else None,
        frame_count=stream.frames or timing.count or round(duration * timing.rate),
        exact_count=exact,
        duration=duration,
        rotation=rotation,
        video_stream=stream.index,
        audio_stream=sound.index if sound else None,
        origin=timing.origin,
        time_grid=timing.time_grid,
    )


def _duration(container: Any, stream: Any, timing: _Timing) -> float:
    """Seconds of video. Some containers only say how long the longest stream is; unless a file is cut off, its
    frames tell."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    whole = (container.duration or 0) / 1e6
    origin = float(timing.origin)
    if timing.count and whole - (float(timing.end) - origin) < max(0.5, whole / 50):
        return float(timing.length + 1 / timing.rate)
    return whole


def _no_stream(path: Path, kind: str, count: int, wanted: int) -> MediaError:
    there = f"{count} {kind} streams, counted from 0" if count > 1 else f"{count or 'no'} {kind} stream"
    return MediaError(
        f"input {str(path)!r} has {there}: there is no number {wanted}",
        f"set `{kind}` to one of: {', '.join(map(str, range(count)))}" if count else f"leave `{kind}` out",
        code=codes.STREAM_NOT_FOUND,
    )


def _attached_picture() -> Any:
    from av.stream import Disposition

    return Disposition.attached_pic


def _check_complete(path: Path, container: Any) -> None:
    """An MP4's index says where every sample lies: one beyond the end means that the file was cut off."""
    size = path.stat().st_size
    for stream in container.streams:
        entries = stream.index_entries
        if len(entries) == 0 or stream.frames != len(entries):
            continue
        missing = sum(1 for entry in entries if entry.pos + entry.size > size)
        if missing:
            raise MediaError(
                f"input {str(path)!r} is cut off: {missing} of {len(entries)} {stream.type} samples lie beyond its end",
                "copy it again, or set decoder.allow_truncated=true to use what is there",
                code=codes.TRUNCATED_FILE,
            )


def _color(frame: Any) -> ColorSpec:
    """The stream's matrix and range; for untagged video those that players take."""
    name = frame.format.name
    if name.startswith(("rgb", "bgr", "gbr", "argb", "abgr", "rgba", "bgra", "0rgb", "0bgr", "pal")):
        return ColorSpec("rgb", True)
    full = int(frame.color_range) == _FULL_RANGE or name.startswith("yuvj")
    code = int(frame.colorspace)
    if code in _MATRICES and code != 0:
        return ColorSpec(_MATRICES[code], full)
    return ColorSpec(default_matrix(frame.width, frame.height), full, tagged=False)


@dataclass(frozen=True)
class _Timing:
    rate: Fraction
    time_grid: Fraction
    variable: bool
    origin: Fraction
    count: int = 0
    """Frames, where all of them were seen."""
    length: Fraction = Fraction(0)
    """Seconds up to the last frame, where all of them were seen."""
    end: Fraction = Fraction(0)
    """Seconds; where the last packet that was seen ends, of any stream."""


def _timing(container: Any, stream: Any) -> _Timing:
    """When the frames are shown, counted from the file's start as BMF's decoder does."""
    base = Fraction(stream.time_base)
    found = _shown_times(container, stream)
    origin = Fraction(container.start_time or 0, 1_000_000)
    if container.format.name.startswith("matroska"):
        # Newer versions of FFmpeg leave out the sound that a decoder only needs to get going.
        origin = min(origin, found.first)
    zero = round(max(origin, Fraction(0)) / base)
    runs = [[time - zero for time in run] for run in found.runs]
    average = Fraction(stream.average_rate or stream.guessed_rate or stream.base_rate or 25)
    if not runs:
        return _Timing(average, 1 / average, False, origin)
    count = len(runs[0]) if found.whole else 0
    length = runs[0][-1] * base if found.whole else Fraction(0)
    finest = math.gcd(*itertools.chain(*runs)) * base if found.whole else base
    told = (average, *(Fraction(rate) for rate in (stream.guessed_rate, stream.base_rate) if rate))
    for rate in dict.fromkeys((*itertools.chain(*map(_likely, told)), *_RATES)):
        if _even(runs, base * rate):
            # Video that begins between two frames' places, counted from the sound's start, needs a finer grid.
            offset = runs[0][0] * base * rate
            on_grid = abs(offset - round(offset)) / rate <= max(base, _EXACT)
            time_grid = 1 / rate if on_grid or not finest else finest
            return _Timing(rate, time_grid, False, origin, count, length, found.end)
    return _Timing(average, finest or base, True, origin, count, length, found.end)


def _likely(rate: Fraction) -> tuple[Fraction, ...]:
    """A rate that was measured in milliseconds is more likely the usual one beside it."""
    near = min(_RATES, key=lambda usual: abs(usual - rate))
    return (near, rate) if abs(near - rate) < rate / 5000 else (rate,)


def _even(runs: list[list[int]], step: Fraction) -> bool:
    """Whether frames follow each other at 1 / ``step`` ticks, but for the rounding to whole ticks.

    Within a run no frame may be missing.
    """
    errors = []
    for run in runs:
        first = round((run[0] - runs[0][0]) * step)
        errors += [time - (first + place) / step for place, time in enumerate(run)]
    return max(errors) - min(errors) <= 1


@dataclass(frozen=True)
class _Found:
    runs: list[list[int]]
    """Presentation times without a gap."""
    whole: bool
    """One run is the whole file; of long files there are samples."""
    first: Fraction
    """Seconds: the least time of any stream, and where the last packet of any stream ends."""
    end: Fraction


def _shown_times(container: Any, stream: Any) -> _Found:
    times, whole, first, end = _read_times(container, stream, _MOST_PACKETS, _MOST_BYTES)
    if whole:
        return _Found([times] if times else [], True, first, end)
    runs = [times[:-_REORDERED]]
    for part in range(1, _SAMPLES):
        container.seek(container.duration * part // _SAMPLES + (container.start_time or 0))
        found, ended, _, _ = _read_times(container, stream, 100, _MOST_BYTES)
        # At its ends a run has gaps: frames are not stored in the order in which they are shown.
        run = found[_REORDERED:] if ended else found[_REORDERED:-_REORDERED]
        runs += [run] if run else []
    return _Found(runs, False, first, end)


def _read_times(container: Any, stream: Any, packets: int, size: int) -> tuple[list[int], bool, Fraction, Fraction]:
    times = set()
    first = end = Fraction(0)
    for packet in container.demux():
        if packet.pts is None or packet.time_base is None or packet.stream.type not in ("video", "audio"):
            continue
        if packet.stream_index == stream.index:
            times.add(packet.pts)
        first = min(first, packet.pts * packet.time_base)
        end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
        size -= packet.size
        if len(times) >= packets or size <= 0:
            return sorted(times), False, first, end
    return sorted(times), True, first, end
