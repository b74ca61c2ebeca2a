"""Describe the files that are written: extensions, what they can hold, and the options of FFmpeg's muxers."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Literal

from bmfgraph.media.naming import PICTURE_NUMBER

__all__ = [
    "AUDIO_IN",
    "CONTAINERS",
    "JOINED",
    "MOST_FRAMES",
    "PICTURES",
    "PIPED",
    "SEGMENTED",
    "STANDARD_OUTPUT",
    "UNHELD",
    "UNTAGGED",
    "VIDEO_IN",
    "Container",
    "container_of",
    "default_codec",
    "is_pattern",
    "is_several_files",
    "mux_options",
    "written_time_base",
]

Container = Literal[
    "mp4",
    "mov",
    "matroska",
    "webm",
    "avi",
    "mpegts",
    "hls",
    "dash",
    "gif",
    "webp",
    "image2",
    "nut",
    "yuv4mpegpipe",
    "rawvideo",
    "null",
]
JOINED = ("mp4", "mov", "matroska", "webm", "mpegts", "nut")
"""Containers whose files can be joined without coding again."""
STANDARD_OUTPUT = "-"
"""The path that stands for standard output."""
CONTAINERS: dict[str, Container] = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".avi": "avi",
    ".ts": "mpegts",
    ".m3u8": "hls",
    ".mpd": "dash",
    ".gif": "gif",
    ".webp": "webp",
    ".png": "image2",
    ".jpg": "image2",
    ".jpeg": "image2",
    ".tif": "image2",
    ".tiff": "image2",
    ".bmp": "image2",
    ".nut": "nut",
    ".y4m": "yuv4mpegpipe",
    ".yuv": "rawvideo",
    ".rgb": "rawvideo",
}
"""Container by file extension."""
PICTURES = {".png": "png", ".jpg": "mjpeg", ".jpeg": "mjpeg", ".tif": "tiff", ".tiff": "tiff", ".bmp": "bmp"}
PICTURES |= {".webp": "webp"}
"""Codec by the extension of a picture."""
_NVENC = {"nvenc", "hevc_nvenc", "av1_nvenc"}
_VIDEO = {"x264", "x265", "svtav1", "vp9", "prores", "ffv1", "mpeg4", "mjpeg", *_NVENC}
VIDEO_IN: dict[str, set[str]] = {
    "mp4": {"x264", "x265", "svtav1", "vp9", "mpeg4", "mjpeg", *_NVENC},
    "mov": {"x264", "x265", "prores", "mpeg4", "mjpeg", "nvenc", "hevc_nvenc"},
    "matroska": {*_VIDEO, "raw"},
    "webm": {"vp9", "svtav1", "av1_nvenc"},
    "avi": {"x264", "mpeg4", "mjpeg", "ffv1", "raw"},
    "mpegts": {"x264", "x265", "mpeg4", "nvenc", "hevc_nvenc"},
    "hls": {"x264", "x265", "nvenc", "hevc_nvenc"},
    "dash": {"x264", "x265", "svtav1", "vp9", *_NVENC},
    "gif": {"gif"},
    "webp": {"webp"},
    "image2": set(PICTURES.values()),
    "nut": {*_VIDEO, "raw"} - {"prores"},
    "yuv4mpegpipe": {"raw"},
    "rawvideo": {"raw"},
    "null": {*_VIDEO, "gif", "webp", "raw", *PICTURES.values()},
}
"""Codecs that each container holds."""
AUDIO_IN: dict[str, set[str]] = {
    "mp4": {"aac", "mp3", "ac3", "eac3"},
    "mov": {"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s24le"},
    "webm": {"opus", "vorbis"},
    "avi": {"mp3", "ac3", "aac", "pcm_s16le"},
    "mpegts": {"aac", "mp3", "ac3", "eac3", "mp2", "opus"},
}
"""Audio codecs that FFmpeg 4 of the back end bmf copies into each container; one that is not listed holds all."""
SEGMENTED = ("hls", "dash")
"""Containers of a list and many files with pieces of the video, each of which begins with a key frame."""
PIPED = ("matroska", "webm", "nut", "mpegts", "gif", "yuv4mpegpipe", "rawvideo")
"""Containers that are written from the first byte to the last, so that a pipe can take them."""
UNTAGGED = {
    "avi": {"mpeg4", "ffv1", "raw"},
    "mpegts": {"mpeg4"},
    "mov": {"mpeg4"},
    "nut": {"mpeg4", "ffv1", "raw"},
    "yuv4mpegpipe": {"raw"},
    "rawvideo": {"raw"},
}
"""Codecs without colour tags of their own, by containers that have no place for them either."""
UNHELD = ("avi", "mpegts", "hls", "webp", "image2", "nut", "yuv4mpegpipe", "rawvideo")
"""Containers that do not store how long the last frame is shown."""
MOST_FRAMES = {"gif": 50, "webp": 1000}
"""Frames per second that a container's clock counts, and that its players show."""
_DEFAULT_CODECS = {"webm": "vp9", "gif": "gif", "webp": "webp", "yuv4mpegpipe": "raw", "rawvideo": "raw"}
_CLOCKS = {"gif": Fraction(1, 100), "webp": Fraction(1, 1000)}
"""Seconds per tick of containers with a clock of their own."""
_STEADY = ("avi", "yuv4mpegpipe", "rawvideo")
"""Containers with a constant frame rate."""


def container_of(path: str) -> Container | None:
    """Return the container by a path's extension; None if there is none for it."""
    container = CONTAINERS.get(Path(path).suffix.lower())
    return "image2" if container == "webp" and is_pattern(path) else container


def default_codec(container: str, path: str) -> str:
    """Return the codec for a container, and for pictures the one of the path's extension."""
    if container == "image2":
        return PICTURES.get(Path(path).suffix.lower(), "png")
    return _DEFAULT_CODECS.get(container, "x264")


def is_pattern(path: str) -> bool:
    """Return whether a path stands for numbered pictures, such as ``frame_%05d.png``."""
    return len(PICTURE_NUMBER.findall(Path(path).name)) == 1


def is_several_files(container: str, path: str) -> bool:
    """Return whether a path stands for several files: numbered pictures, or segments with their list."""
    return container in SEGMENTED or (container == "image2" and is_pattern(path))


def mux_options(codec: str, container: str, path: str, *, faststart: bool) -> tuple[tuple[str, str], ...]:
    """Return the options of FFmpeg's muxer.

    Args:
        codec: FFmpeg's name of the encoder.
        container: FFmpeg's name of the format.
        path: The final file, whose name the segments get.
        faststart: Put the index of an mp4 at its start.
    """
    stem = Path(path).stem
    if container in ("matroska", "webm"):
        # FFmpeg shifts the streams at the first packet before 0, mostly audio, and not from the start of the file.
        return (("avoid_negative_ts", "disabled"),)
    if container == "hls":
        options = (("hls_time", "6"), ("hls_playlist_type", "vod"))
        if codec in ("x264", "nvenc"):
            return (*options, ("hls_segment_filename", f"{stem}_%05d.ts"))
        # H.265 in HLS lies in fragments of MPEG-4, by Apple's rules.
        parts = (("hls_segment_filename", f"{stem}_%05d.m4s"), ("hls_fmp4_init_filename", f"{stem}_init.mp4"))
        return (*options, ("hls_segment_type", "fmp4"), *parts)
    if container == "dash":
        names = f"{stem}-$RepresentationID$"
        return (("init_seg_name", f"{names}-init.m4s"), ("media_seg_name", f"{names}-$Number%05d$.m4s"))
    if container == "yuv4mpegpipe":
        # More than 8 bits count as an extension of the format.
        return (("strict", "-1"),)
    if container == "gif":
        return (("loop", "0"),)
    if container == "image2" and not is_pattern(path):
        return (("update", "1"),)
    flags = ["faststart"] if faststart and container in ("mp4", "mov") else []
    # MPEG-4's own header has no colour tags.
    flags += ["write_colr"] if codec == "mpeg4" and container == "mp4" else []
    moov = (("movflags", "+".join(flags)),) if flags else ()
    # Streams can begin late by multiples of it only, and FFmpeg's own is a millisecond.
    return (*moov, ("movie_timescale", "48000")) if container in ("mp4", "mov") else moov


def written_time_base(time_grid: Fraction | None, rate: Fraction, container: str, codec: str) -> Fraction:
    """Return the seconds per tick of the written frame times.

    Args:
        time_grid: Seconds of which every frame's time is a multiple; None: one step of the rate.
        rate: Frames per second.
        container: FFmpeg's name of the format.
        codec: The codec.
    """
    if container in _CLOCKS:
        return _CLOCKS[container]
    steady = time_grid is None or container in _STEADY
    grid = 1 / rate if time_grid is None or steady else time_grid
    if codec == "mpeg4":
        # MPEG-4's own header has 16 bits for the time base.
        return grid if grid.denominator <= 65535 else Fraction(1, 60_000)
    # MPEG's clock of 90 kHz is fine enough for all others.
    return grid if steady or grid.denominator <= 90_000 else Fraction(1, 90_000)
