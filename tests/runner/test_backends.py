"""Test what the back end ``bmf`` refuses, and that it reads, writes and fails like the other one."""

from __future__ import annotations

import gc
import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import bmfgraph
from bmfgraph.errors import BmfgraphError, RunError
from bmfgraph.runner.run import run_plan
from tests.runner.media_tools import (
    Sound,
    compiled,
    decoder,
    encoder,
    frames_of,
    psnr,
    recorded,
    run,
    scene,
    soft_scene,
    sound_packets,
    through_rgb,
    transcode,
    video_times,
    write,
)

PICTURES = [scene(index, 64, 48) for index in range(12)]
UNEVEN = [Fraction(time, 1000) for time in (0, 30, 110, 120, 200, 290, 310, 400, 420, 500, 580, 590)]
FORMATS = {
    "ffv1": ("yuv411p", "yuv410p", "yuv440p", "yuva420p", "gray", "bgr0", "bgra", "yuv420p10le", "yuv422p10le"),
    "rawvideo": ("nv12", "p010le", "yuyv422", "rgb24"),
    "mjpeg": ("yuvj420p", "yuvj444p"),
}


def refusal(nodes: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the error of a pipeline that is refused."""
    with pytest.raises(BmfgraphError) as caught:
        run(nodes)
    return f"{caught.value.problems[0].code}: {caught.value}"


@pytest.mark.parametrize(("codec", "pix_fmt"), [(codec, name) for codec in FORMATS for name in FORMATS[codec]])
def test_pixels_are_those_of_the_other_back_end(tmp_path: Path, codec: str, pix_fmt: str) -> None:
    clip = write(tmp_path / "in.nut", PICTURES[:3], codec=codec, pix_fmt=pix_fmt)
    ours, native = recorded(clip), recorded(clip, backend="bmf")
    assert len(ours) == len(native) == 3
    for one, other in zip(ours, native, strict=True):
        assert one.time == other.time
        assert np.abs(one.pixels.astype(int) - other.pixels).max() <= 2


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "size", "words"),
    [
        ("ffv1", "yuv444p10le", (64, 48), r"E390: .*is yuv444p10le, and BMF's frames of more than 8 bits are yuv420p1"),
        ("ffv1", "yuv420p", (63, 48), r"E390: .*is 63x48 in yuv420p, and BMF cuts odd sizes"),
        ("libsvtav1", "yuv420p", (64, 64), r"E391: .*has no decoder for av1\n  → set pipeline.nodes.source.backend=py"),
    ],
)
def test_video_that_it_cannot_read(tmp_path: Path, codec: str, pix_fmt: str, size: tuple[int, int], words: str) -> None:
    options = {"preset": "12", "svtav1-params": "enable-stat-report=0"} if codec == "libsvtav1" else {}
    clip = write(tmp_path / "in.mkv", [scene(0, *size)], codec=codec, pix_fmt=pix_fmt, options=options)
    text = refusal({"source": decoder(clip, backend="bmf"), "sink": encoder(tmp_path / "o.mkv", "source.video")})
    assert re.match(words, text, re.DOTALL), text
    assert len(recorded(clip)) == 1


@pytest.mark.parametrize(
    ("name", "video"),
    [
        ("in.mp4", {"codec": "libsvtav1", "options": {"preset": "12", "svtav1-params": "enable-stat-report=0"}}),
        ("in.avif", {"codec": "libsvtav1", "options": {"preset": "12", "svtav1-params": "enable-stat-report=0"}}),
        ("in.mov", {"codec": "cfhd", "pix_fmt": "yuv422p10le"}),
    ],
)
def test_codecs_that_only_the_newer_ffmpeg_reads_well(tmp_path: Path, name: str, video: dict[str, Any]) -> None:
    pictures = [soft_scene(index, 320, 180) for index in range(1 if name == "in.avif" else 3)]
    seen = recorded(write(tmp_path / name, pictures, **video))
    assert len(seen) == len(pictures)
    assert min(psnr(one.pixels, picture) for one, picture in zip(seen, pictures, strict=True)) > 30


def test_a_failure_of_bmf_s_decoder_names_the_other_back_end(tmp_path: Path) -> None:
    clip = write(tmp_path / "in.mkv", PICTURES, codec="mpeg4")
    plan = compiled({"source": decoder(clip, backend="bmf"), "sink": encoder(tmp_path / "o.mkv", "source.video")})
    clip.write_bytes(bytes(1000))
    with pytest.raises(RunError, match=r"node 'source'.*\n.*or set pipeline.nodes.source.backend=pyav"):
        run_plan(plan)


@pytest.mark.parametrize(
    ("name", "words"),
    [("in.mkv", "its segment ends"), ("in.mp4", "its box 'mdat' ends"), ("in.avi", "its RIFF chunk ends")],
)
def test_skip_tells_what_it_could_not_decode(tmp_path: Path, name: str, words: str) -> None:
    container = {"movflags": "faststart"} if name == "in.mp4" else {}
    clip = write(tmp_path / name, PICTURES * 3, codec="mpeg4", container=container)
    nodes = {
        "source": decoder(clip, backend="bmf", on_error="skip"),
        "sink": encoder(tmp_path / "o.mkv", "source.video"),
    }
    assert run(nodes).exit_code == 0
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 6 // 10])
    result = run(nodes)
    assert result.exit_code == 3
    assert 0 < result.frames < 3 * len(PICTURES)
    assert words in str(result.losses["source"])
    assert any(words in warning for warning in result.warnings)


def test_a_format_that_it_decodes_to_another_one(tmp_path: Path) -> None:
    clip = write(tmp_path / "in.mov", PICTURES[:2], codec="qtrle", pix_fmt="argb")
    text = refusal({"source": decoder(clip, backend="bmf"), "sink": encoder(tmp_path / "o.mp4", "source.video")})
    assert "BMF decodes bgra, and PyAV argb" in text
    assert not (tmp_path / "o.mp4").exists()


def test_a_start_that_it_does_not_find(tmp_path: Path) -> None:
    clip = write(tmp_path / "in.ts", PICTURES, time_base=Fraction(1, 90_000))
    text = refusal(
        {"source": decoder(clip, backend="bmf", start=0.2), "sink": encoder(tmp_path / "o.mp4", "source.video")}
    )
    assert "E390" in text
    assert "is mpegts, in which BMF does not find a start exactly" in text


@pytest.mark.parametrize(("extension", "refused"), [(".mp4", True), (".mov", True), (".mkv", False), (".ts", False)])
def test_uneven_times(tmp_path: Path, extension: str, refused: bool) -> None:
    clip = write(tmp_path / "in.mkv", PICTURES, times=UNEVEN, time_base=Fraction(1, 1000))
    target = tmp_path / f"out{extension}"
    nodes = {"source": decoder(clip), "sink": encoder(target, "source.video", backend="bmf")}
    if refused:
        assert f"E390: pipeline.nodes.sink: the back end bmf writes {target.suffix[1:]} only if all" in refusal(nodes)
        return
    run(nodes)
    assert all(abs(time - other) <= Fraction(1, 1000) for time, other in zip(video_times(target), UNEVEN, strict=True))


def test_parts_end_to_the_frame(tmp_path: Path) -> None:
    for name in ("in.mp4", "in.mkv", "in.avi"):
        clip = write(tmp_path / name, PICTURES, codec="mpeg4")
        assert [seen.index for seen in recorded(clip, backend="bmf", end=0.24)] == list(range(6))


def test_several_audio_streams(tmp_path: Path) -> None:
    one = write(tmp_path / "one.mkv", PICTURES, sound=Sound(seconds=0.5))
    clip = tmp_path / "two.mkv"
    with av.open(str(one)) as source, av.open(str(clip), "w") as out:
        video, sound = source.streams.video[0], source.streams.audio[0]
        copies = [out.add_stream_from_template(stream) for stream in (video, sound, sound)]
        for packet in source.demux():
            if packet.size:
                data, times = bytes(packet), (packet.pts, packet.dts, packet.duration, packet.time_base)
                for copy in copies[:1] if packet.stream_index == video.index else copies[1:]:
                    again = av.Packet(data)
                    again.pts, again.dts, again.duration, again.time_base = times
                    again.is_keyframe, again.stream = packet.is_keyframe, copy
                    out.mux(again)
    sink = encoder(tmp_path / "out.mkv", "source.video", "source.audio", backend="bmf")
    text = refusal({"source": decoder(clip), "sink": sink})
    assert "the back end bmf writes one audio stream, and 2 streams come" in text
    assert "set decoder.audio=0" in text
    run({"source": decoder(clip, audio=1), "sink": sink})
    assert [data for _, data in sound_packets(tmp_path / "out.mkv")] == [data for _, data in sound_packets(one)]
    # BMF's decoder leaves the sound to PyAV's reader, which copies both.
    ours = encoder(tmp_path / "ours.mkv", "source.video", "source.audio")
    run({"source": decoder(clip, backend="bmf"), "sink": ours})
    with av.open(str(tmp_path / "ours.mkv")) as written:
        assert len(written.streams.audio) == 2


def test_it_is_quiet(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    clip = write(tmp_path / "in.mp4", PICTURES, sound=Sound(seconds=0.5))
    for codec, name in (("x264", "out.mp4"), ("mpeg4", "out.mkv"), ("vp9", "out.webm")):
        transcode(clip, tmp_path / name, codec=codec, backend="bmf", audio="none")
        assert len(frames_of(tmp_path / name)) == len(PICTURES)
    assert capfd.readouterr() == ("", "")


def test_formats_that_it_does_not_write(tmp_path: Path) -> None:
    clip = write(tmp_path / "in.mp4", PICTURES[:2])
    sink = encoder(tmp_path / "o.mkv", "source.video", pixel_format="yuv444p10le")
    text = refusal({"source": decoder(clip), "sink": {**sink, "backend": "bmf"}})
    assert (
        "codec x264 with backend: bmf supports pixel_format yuv420p, yuv422p, yuv444p, yuv420p10le, not yuv444p10le"
        in text
    )
    run({"source": decoder(clip), "sink": sink})


def test_ten_bits(tmp_path: Path) -> None:
    clip = write(tmp_path / "in.mkv", PICTURES[:3], pix_fmt="yuv420p10le", options={"crf": "4"})
    for backend in ("bmf", "pyav"):
        target = transcode(clip, tmp_path / f"{backend}.mkv", rgb=False, backend=backend, crf=4)
        assert {frame.format.name for frame in frames_of(target)} == {"yuv420p10le"}
        for one, other in zip(frames_of(clip), frames_of(target), strict=True):
            assert np.abs(one.to_ndarray().astype(int) - other.to_ndarray()).mean() < 8


@pytest.mark.parametrize("backend", ["pyav", "bmf"])
def test_an_abandoned_run_closes_its_files(tmp_path: Path, backend: str) -> None:
    clip = write(tmp_path / "in.mkv", PICTURES * 20, sound=Sound(seconds=9.0))
    nodes = {
        "source": decoder(clip, backend=backend),
        **through_rgb("source.video"),
        "sink": encoder(tmp_path / "out.mkv", "back", "source.audio", backend=backend),
    }
    frames = bmfgraph.Job({"name": "abandoned", "nodes": nodes}).stream("back")
    assert [next(frames).index for _ in range(3)] == [0, 1, 2]
    frames.close()
    gc.collect()
    opened = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    assert not [path for path in opened if tmp_path in path.parents]
    assert {path.name for path in tmp_path.iterdir()} == {"in.mkv"}
