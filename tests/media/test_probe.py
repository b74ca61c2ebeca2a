"""Test the probe against the properties of generated clips, and against PyAV."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from bmfgraph.media.probe import MediaError, probe
from bmfgraph.plan.types import AudioSpec, ColorSpec, TrackSpec
from tests.tools import cut

Clip = Callable[..., Path]


def frame_times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [Fraction(frame.pts) * frame.time_base for frame in container.decode(video=0)]  # type: ignore[operator, arg-type]


def test_a_plain_clip(clip: Clip) -> None:
    media = probe(clip(size=(96, 64), frames=7, rate=Fraction(30000, 1001)))
    frames = media.frames
    assert (frames.width, frames.height, frames.pixel_format) == (96, 64, "yuv420p")
    assert (frames.rate, frames.variable_rate) == (Fraction(30000, 1001), False)
    assert (media.frame_count, media.exact_count) == (7, True)
    assert media.duration == pytest.approx(7 * 1001 / 30000, abs=1e-4)
    assert media.time_grid == Fraction(1001, 30000)
    assert (media.container, media.audio, media.rotation) == ("mov", None, 0)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.avi", "a.ts"])
@pytest.mark.parametrize("frames", [2, 9])
def test_containers(clip: Clip, name: str, frames: int) -> None:
    path = clip(name, frames=frames)
    media = probe(path)
    assert media.frames.rate == 25
    assert not media.frames.variable_rate
    assert media.time_grid == Fraction(1, 25)
    if media.exact_count:
        assert media.frame_count == frames == len(frame_times(path))
    else:
        assert abs(media.frame_count - frames) <= 1


@pytest.mark.parametrize(("degrees", "size"), [(90, (48, 64)), (180, (64, 48)), (270, (48, 64))])
def test_rotation_is_applied_to_the_size(clip: Clip, degrees: int, size: tuple[int, int]) -> None:
    media = probe(clip(rotation=degrees))
    assert (media.frames.width, media.frames.height) == size
    # The matrix turns clockwise, the frame's rotation is counted the other way.
    assert media.rotation == 360 - degrees


@pytest.mark.parametrize("options", [{}, {"bf": "2", "preset": "veryfast"}], ids=["no B frames", "B frames"])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_uneven_times(clip: Clip, name: str, options: dict[str, str]) -> None:
    times = [0, 0.04, 0.1, 0.12, 0.3, 0.32, 0.36, 0.4, 0.42]
    path = clip(name, times=times, options=options)
    media = probe(path)
    assert media.frames.variable_rate
    measured = frame_times(path)
    assert [float(time) for time in measured] == pytest.approx(times, abs=0.002)
    assert all((time - measured[0]) % media.time_grid == 0 for time in measured)


@pytest.mark.parametrize(
    ("options", "color"),
    [
        ({}, ColorSpec("bt601", False, tagged=False)),
        ({"size": (64, 578)}, ColorSpec("bt709", False, tagged=False)),
        ({"size": (64, 576)}, ColorSpec("bt601", False, tagged=False)),
        ({"size": (1280, 32)}, ColorSpec("bt709", False, tagged=False)),
        ({"color": (1, 1)}, ColorSpec("bt709", False)),
        ({"color": (1, 2)}, ColorSpec("bt709", True)),
        ({"color": (5, 1)}, ColorSpec("bt601", False)),
        ({"color": (6, 1)}, ColorSpec("bt601", False)),
        ({"color": (7, 1)}, ColorSpec("bt601", False)),
        ({"color": (9, 1)}, ColorSpec("bt2020", False)),
        ({"name": "a.mkv", "codec": "ffv1", "pix_fmt": "bgr0"}, ColorSpec("rgb", True)),
        ({"name": "a.mkv", "codec": "ffv1", "pix_fmt": "gbrp10le"}, ColorSpec("rgb", True)),
    ],
    ids=str,
)
def test_colour(clip: Clip, options: dict[str, Any], color: ColorSpec) -> None:
    assert probe(clip(options.pop("name", "a.mp4"), frames=1, **options)).frames.color == color


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
def test_pixel_formats(clip: Clip, name: str) -> None:
    assert probe(clip(pix_fmt=name, frames=1)).frames.pixel_format == name


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "chroma"),
    [
        ("a.mp4", "libx264", "yuv420p", "left"),
        ("a.avi", "mpeg4", "yuv420p", "left"),
        ("a.mkv", "mjpeg", "yuvj420p", "center"),
        ("a.mkv", "ffv1", "yuv420p", ""),
    ],
)
def test_where_the_chroma_lies(clip: Clip, name: str, codec: str, pix_fmt: str, chroma: str) -> None:
    assert probe(clip(name, codec=codec, pix_fmt=pix_fmt, frames=2)).frames.chroma == chroma


@pytest.mark.parametrize(
    ("name", "codec", "canonical"),
    # The decoder of MP3 is named mp3float, but containers depend on the codec.
    [("a.mp4", "aac", "aac"), ("a.mp4", "libmp3lame", "mp3"), ("a.webm", "libopus", "opus"), ("a.mkv", "flac", "flac")],
)
def test_audio(clip: Clip, name: str, codec: str, canonical: str) -> None:
    path = clip(name, audio=codec, frames=12)
    media = probe(path)
    assert media.audio == AudioSpec((TrackSpec(1, "audio", canonical, "", 48_000, 1),))
    silent = probe(path, audio=None)
    assert silent.audio is None


def test_the_samples(samples: Any) -> None:
    media = probe(samples["bigbuckbunny"])
    assert (media.frames.width, media.frames.height, media.frame_count) == (1280, 720, 132)
    assert media.audio == AudioSpec((TrackSpec(1, "audio", "aac", "", 48_000, 6),), metadata=("creation_time",))
    media = probe(samples["carphone"])
    assert (media.frames.width, media.frames.height, media.frame_count, media.audio) == (176, 144, 120, None)


def refused(path: Path, **options: Any) -> tuple[str, str]:
    with pytest.raises(MediaError) as caught:
        probe(path, **options)
    return str(caught.value), caught.value.hint


def test_files_without_video(clip: Clip, tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("not a video\n" * 100)
    empty = tmp_path / "empty.mp4"
    empty.write_bytes(b"")
    for path in (text, empty):
        message, hint = refused(path)
        assert message == (
            f"input {str(path)!r} is not a video that FFmpeg can read (Invalid data found when processing input)"
        )
        assert "play it" in hint
    assert refused(tmp_path / "no.mp4") == (
        f"input '{tmp_path}/no.mp4' does not exist",
        "check the path; it is relative to this folder",
    )
    assert refused(tmp_path) == (
        f"input {str(tmp_path)!r} is a folder without pictures",
        "name a video file in it, or a folder of png, jpg, webp, bmp or tif files",
    )


def test_audio_without_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame(format="s16", layout="mono", samples=800)
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    message, _ = refused(path)
    assert message == f"input {str(path)!r} has no video stream (it has: audio)"


def test_a_missing_stream(clip: Clip) -> None:
    path = clip(audio="aac")
    assert refused(path, video=2) == (
        f"input {str(path)!r} has 1 video stream: there is no stream 2",
        "set `video` to one of: 0",
    )
    assert refused(path, audio=1) == (
        f"input {str(path)!r} has 1 audio stream: there is no stream 1",
        "set `audio` to one of: 0",
    )
    silent = clip("silent.mp4")
    assert refused(silent, audio=1) == (
        f"input {str(silent)!r} has no audio stream: there is no stream 1",
        "leave `audio` out",
    )
    # Audio stream 0 may be missing, because it is the default.
    assert probe(silent, audio=0).audio is None


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_file_that_was_cut_off(clip: Clip, tmp_path: Path, share: float) -> None:
    # The index comes first, as in files for streaming, so only samples are missing.
    with av.open(str(clip("whole.mp4", size=(320, 240), frames=20))) as source:
        front = tmp_path / "front.mp4"
        with av.open(str(front), "w", options={"movflags": "faststart"}) as out:
            stream = out.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    out.mux(packet)
    assert probe(front).frame_count == 20
    path = cut(front, tmp_path / "cut.mp4", share)
    message, hint = refused(path)
    missing = front.stat().st_size - path.stat().st_size
    damage = f"its box 'mdat' ends {missing:,} bytes behind the file's end"
    assert message == f"input {str(path)!r} is cut off or damaged: {damage}"
    assert "decoder.on_error=skip" in hint
    assert 0 < probe(path, complete=False).frame_count < 20


def test_a_file_whose_index_is_cut_off_cannot_be_read(clip: Clip, tmp_path: Path) -> None:
    message, _ = refused(cut(clip(frames=20), tmp_path / "cut.mp4", 0.6))
    assert "is not a video that FFmpeg can read" in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(clip: Clip) -> None:
    path = clip()
    path.chmod(0)
    assert refused(path) == (f"input {str(path)!r} may not be read", f"chmod u+r {path}")


def test_a_file_is_probed_again_only_after_a_change(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    path, other = clip(frames=3, audio="aac"), clip("other.mp4", frames=5)
    opened, open_file = [], av.open

    def record(file: str, **options: Any) -> Any:
        opened.append(file)
        return open_file(file, **options)

    monkeypatch.setattr(av, "open", record)
    first, count = probe(path), len(opened)
    assert probe(path) is first
    assert len(opened) == count
    assert probe(path, audio=None).audio is None
    assert len(opened) == 2 * count
    other.replace(path)
    assert probe(path).frame_count == 5
    path.unlink()
    assert "does not exist" in refused(path)[0]


def test_probing_is_repeatable_and_frozen(clip: Clip) -> None:
    path = clip(audio="aac")
    assert probe(path) == probe(path)
    with pytest.raises(dataclasses.FrozenInstanceError):
        probe(path).duration = 3.0  # type: ignore[misc]
