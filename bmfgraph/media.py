"""What a video file holds, read with PyAV: streams, geometry, colour, timing, and whether it is all there."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from bmfgraph.ports import AudioSpec, ColorSpec, FrameSpec, Matrix

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
_UNSPECIFIED = 2
_FULL_RANGE = 2


class MediaError(Exception):
    """A file cannot be used as video input; the text says why, ``hint`` what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


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
    tick: Fraction
    """The longest duration, in seconds, of which all frame times are multiples."""


def probe(path: Path, *, video: int = 0, audio: int | None = 0, complete: bool = True) -> Media:
    """Open ``path``, decode its first frame, and describe what BMF's decoder will deliver from it.

    ``video`` and ``audio`` count the streams of their kind from 0; ``audio=None`` leaves audio out.
    ``complete=False`` accepts a file whose end is missing. Raises MediaError for a file that is missing,
    unreadable, damaged, cut off, or holds no such stream.
    """
    import av

    if not path.exists():
        raise MediaError(f"input {str(path)!r} does not exist", "check the path; it is relative to this folder")
    if path.is_dir():
        raise MediaError(f"input {str(path)!r} is a folder", "name a video file in it")
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            return _describe(path, container, video, audio, complete)
    except PermissionError:
        raise MediaError(f"input {str(path)!r} may not be read", f"chmod u+r {path}") from None
    except av.FFmpegError as error:
        reason = (error.log or (0, "", error.strerror))[-1]
        raise MediaError(
            f"input {str(path)!r} is not a video that FFmpeg can read ({reason})",
            "it may be cut off, still being written, or no media file at all; try to play it",
        ) from None


def _describe(path: Path, container: Any, video: int, audio: int | None, complete: bool) -> Media:
    streams = [stream for stream in container.streams.video if not stream.disposition & _attached_picture()]
    if not streams:
        found = ", ".join(stream.type for stream in container.streams) or "no streams"
        raise MediaError(f"input {str(path)!r} has no video stream (it holds: {found})", "name a file with video")
    if video >= len(streams):
        raise MediaError(f"input {str(path)!r} has {len(streams)} video stream(s), no number {video}")
    sounds = list(container.streams.audio)
    if audio is not None and audio >= len(sounds) and audio > 0:
        raise MediaError(f"input {str(path)!r} has {len(sounds)} audio stream(s), no number {audio}")
    stream = streams[video]
    sound = sounds[audio] if audio is not None and audio < len(sounds) else None

    if complete:
        _check_complete(path, container)
    first = next(container.decode(stream), None)
    if first is None:
        raise MediaError(f"input {str(path)!r}: its video stream holds no frame that can be decoded")

    rotation = round(first.rotation / 90) * 90 % 360
    width, height = (first.height, first.width) if rotation in (90, 270) else (first.width, first.height)
    rate = Fraction(stream.average_rate or stream.guessed_rate or stream.base_rate or 25)
    entries = stream.index_entries
    exact = stream.frames > 0 and len(entries) == stream.frames
    times = [entry.timestamp for entry in entries] if exact else _first_times(container, stream)
    tick, variable = _timing(times, stream.time_base, rate)
    duration = float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / 1e6
    return Media(
        path=path,
        container=container.format.name.split(",")[0],
        frames=FrameSpec(
            width=width,
            height=height,
            pixel_format=first.format.name,
            color=_color(first),
            rate=rate,
            time_base=Fraction(stream.time_base),
            variable_rate=variable,
        ),
        audio=AudioSpec(sound.codec_context.name, sound.codec_context.sample_rate, sound.channels, True)
        if sound
        else None,
        frame_count=stream.frames or int(duration * rate),
        exact_count=exact,
        duration=duration,
        rotation=rotation,
        video_stream=stream.index,
        audio_stream=sound.index if sound else None,
        tick=tick,
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
            )


def _color(frame: Any) -> ColorSpec:
    """The stream's matrix and range; untagged video takes BT.709 from 1280x720 up and BT.601 below, as players do."""
    name = frame.format.name
    if name.startswith(("rgb", "bgr", "gbr", "argb", "abgr", "rgba", "bgra", "0rgb", "0bgr", "pal")):
        return ColorSpec("rgb", True)
    full = int(frame.color_range) == _FULL_RANGE or name.startswith("yuvj")
    code = int(frame.colorspace)
    if code in _MATRICES and code != 0:
        return ColorSpec(_MATRICES[code], full)
    return ColorSpec("bt709" if frame.width >= 1280 or frame.height > 576 else "bt601", full, tagged=False)


def _first_times(container: Any, stream: Any, count: int = 300) -> list[int]:
    """Presentation times of the first packets, for containers without an index of all frames."""
    container.seek(0)
    packets = itertools.islice(container.demux(stream), count)
    return sorted(packet.pts for packet in packets if packet.pts is not None)


def _timing(timestamps: list[int], time_base: Fraction, rate: Fraction) -> tuple[Fraction, bool]:
    """The grid that all frame times lie on, and whether the frames are unevenly spaced."""
    steps = {after - before for before, after in itertools.pairwise(timestamps) if after > before}
    if not steps:
        return 1 / rate, False
    tick = math.gcd(*steps) * time_base
    # Containers round frame times to their own time base: steps that differ by one unit are even spacing.
    variable = max(steps) - min(steps) > 1
    return (tick, True) if variable else (1 / rate, False)
