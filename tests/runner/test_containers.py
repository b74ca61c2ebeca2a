"""Test that whole clips of every container are read whole, without a warning, and cut to the frame."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.runner.media_tools import SEEN, RecordSpec, Seen, Sound, decoder, frames_of, run, scene, write

COUNT = 24
PICTURES = [scene(index, 64, 48) for index in range(COUNT)]
AAC, MP3, MP2, OPUS, VORBIS, PCM = (
    Sound(codec, rate=48_000) for codec in ("aac", "libmp3lame", "mp2", "libopus", "vorbis", "pcm_s16le")
)
B_FRAMES = {"bf": "2", "g": "12", "preset": "veryfast"}

CLIPS: dict[str, dict[str, Any]] = {
    "h264.mp4": {"options": B_FRAMES, "sound": AAC},
    "fragmented.mp4": {"options": B_FRAMES, "container": {"movflags": "frag_keyframe+empty_moov"}, "sound": AAC},
    "hevc.mp4": {"codec": "libx265", "options": {"preset": "ultrafast", "x265-params": "log-level=none"}},
    "av1.mp4": {"codec": "libsvtav1", "options": {"preset": "12", "svtav1-params": "enable-stat-report=0"}},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "h264.mkv": {"options": B_FRAMES, "sound": OPUS},
    "vp8.webm": {"codec": "libvpx", "options": {"cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "8"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"cpu-used": "8", "lag-in-frames": "8"}, "sound": OPUS},
    "ffv1.mkv": {"codec": "ffv1"},
    "mpeg4.avi": {"codec": "mpeg4", "sound": MP3},
    "mpeg4.b.avi": {"codec": "mpeg4", "options": {"bf": "2"}},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "sound": PCM},
    "h264.ts": {"options": B_FRAMES, "sound": AAC},
    "mpeg2.ts": {"codec": "mpeg2video", "options": {"bf": "2"}, "sound": MP2},
    "mpeg1.mpg": {"codec": "mpeg1video", "sound": MP2},
    "mpeg2.vob": {"codec": "mpeg2video", "options": {"bf": "2"}},
    "flv.flv": {"options": B_FRAMES, "sound": AAC},
    "old.flv": {"codec": "flv"},
    "wmv.wmv": {"codec": "wmv2"},
    "mpeg2.mxf": {"codec": "mpeg2video", "options": {"bf": "0"}},
    "mpeg2.b.mxf": {"codec": "mpeg2video", "options": {"bf": "2"}, "sound": PCM},
    "h264.3gp": {"options": B_FRAMES},
    "h264.nut": {"options": B_FRAMES},
    "gif.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "raw.h264": {"options": B_FRAMES},
    "raw.m4v": {"codec": "mpeg4"},
    "raw.y4m": {"codec": "wrapped_avframe"},
    "raw.mjpeg": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
}


def seen(path: Path, **options: Any) -> list[Seen]:
    """Return the frames that reach a stage; there must be no warning and no loss."""
    result = run({"source": decoder(path, **options), "record": RecordSpec(inputs=("source.video",))})
    assert (result.problems, result.warnings, dict(result.losses)) == ((), (), {})
    return SEEN.pop("seen")


@pytest.mark.sample(12)
@pytest.mark.parametrize("name", CLIPS)
def test_a_whole_clip(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, PICTURES, **CLIPS[name])
    frames = seen(path)
    assert [frame.index for frame in frames] == list(range(COUNT))
    pictures = frames_of(path)
    times = [picture.pts * Fraction(picture.time_base or 1) for picture in pictures if picture.pts is not None]
    if len(times) == COUNT:  # The frames of raw streams have none.
        assert [frame.time - frames[0].time for frame in frames] == [time - times[0] for time in times]
    start, end = Fraction("0.3"), Fraction("0.8")
    part = seen(path, start=0.3, end=0.8)
    inside = [frame for frame in frames if start <= frame.time < end]
    assert len(part) == len(inside)
    assert all((one.pixels == other.pixels).all() for one, other in zip(part, inside, strict=True))
    assert all(abs(one.time + start - other.time) <= Fraction(1, 900) for one, other in zip(part, inside, strict=True))
