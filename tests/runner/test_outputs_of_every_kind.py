"""Test every codec in its containers: all frames come back, at their times, with their colours."""

from __future__ import annotations

import io
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from bmfgraph.errors import BmfgraphError
from bmfgraph.nodes.codecs import CODECS
from bmfgraph.nodes.containers import VIDEO_IN
from tests.runner.media_tools import Pixels, Sound, as_rgb, compiled, decoder, encoder, psnr, run, soft_scene, write

COUNT = 12
PICTURES = [soft_scene(index, 64, 48) for index in range(COUNT)]
EXTENSIONS = {
    "mp4": ".mp4",
    "mov": ".mov",
    "matroska": ".mkv",
    "webm": ".webm",
    "avi": ".avi",
    "mpegts": ".ts",
    "hls": ".m3u8",
    "dash": ".mpd",
    "gif": ".gif",
    "webp": ".webp",
    "nut": ".nut",
    "yuv4mpegpipe": ".y4m",
}
FAST = {"x264": "ultrafast", "x265": "ultrafast", "svtav1": 12, "vp9": 8}
PAIRS = [
    (container, codec)
    for container in EXTENSIONS
    for codec in sorted(VIDEO_IN[container])
    if not codec.endswith("nvenc")
]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("out") / "in.mp4", PICTURES, sound=Sound(seconds=0.4), options={"crf": "4"})


def copied(source: Path, target: Path, **options: Any) -> Any:
    sink = {"kind": "encoder", "inputs": ["source.video"], "path": str(target)}
    return run({"source": decoder(source), "sink": sink | options})


def pictures_in(path: Path) -> list[Pixels]:
    if path.suffix == ".mpd":
        # PyAV's FFmpeg does not read DASH; its segments are a fragmented mp4 or webm.
        parts = sorted(path.parent.glob(f"{path.stem}-0-*.m4s"), key=lambda part: "init" not in part.name)
        path = path.with_suffix(".joined")
        path.write_bytes(b"".join(part.read_bytes() for part in parts))
    with av.open(str(path), options={"allowed_extensions": "ALL"} if path.suffix == ".m3u8" else {}) as container:
        return [as_rgb(frame, "bt601", "j" in frame.format.name) for frame in container.decode(video=0)]


@pytest.mark.parametrize(("container", "codec"), PAIRS)
def test_a_codec_in_a_container(tmp_path: Path, source: Path, container: str, codec: str) -> None:
    target = tmp_path / f"out{EXTENSIONS[container]}"
    preset = {"preset": FAST[codec]} if codec in FAST else {}
    result = copied(source, target, codec=codec, **preset)
    assert result.frames == COUNT
    if container == "webp":
        # FFmpeg reads the first picture of an animation only.
        assert target.read_bytes().count(b"ANMF") == COUNT
        return
    frames = pictures_in(target)
    assert len(frames) == COUNT
    least = 20 if codec == "gif" else 28 if codec == "mpeg4" else 33
    assert min(psnr(frame, picture) for frame, picture in zip(frames, PICTURES, strict=True)) > least


@pytest.mark.parametrize(
    ("extension", "codec"), [(".png", "png"), (".jpg", "mjpeg"), (".tif", "tiff"), (".bmp", "bmp")]
)
def test_numbered_pictures(tmp_path: Path, source: Path, extension: str, codec: str) -> None:
    result = copied(source, tmp_path / "shots" / f"frame_%05d{extension}")
    files = sorted(path.name for path in (tmp_path / "shots").iterdir())
    assert files == [f"frame_{number:05d}{extension}" for number in range(1, COUNT + 1)]
    assert result.sizes["sink"] == sum(path.stat().st_size for path in (tmp_path / "shots").iterdir())
    with av.open(str(tmp_path / "shots" / files[3])) as container:
        frame = next(container.decode(video=0))
    assert (frame.width, frame.height) == (64, 48)
    assert psnr(as_rgb(frame, "bt601", True), PICTURES[3]) > 33
    assert codec in CODECS


def test_one_picture(tmp_path: Path, source: Path) -> None:
    run(
        {
            "source": decoder(source, end=0.04),
            "sink": {"kind": "encoder", "inputs": ["source.video"], "path": str(tmp_path / "still.png")},
        }
    )
    assert psnr(pictures_in(tmp_path / "still.png")[0], PICTURES[0]) > 36
    with pytest.raises(BmfgraphError, match="names one picture, and more frames come"):
        copied(source, tmp_path / "other.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["still.png"]


@pytest.mark.parametrize("extension", [".m3u8", ".mpd"])
def test_segments_lie_beside_their_list(tmp_path: Path, source: Path, extension: str) -> None:
    copied(source, tmp_path / f"film{extension}", preset="ultrafast")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert f"film{extension}" in names
    assert len(names) > 1
    assert all(name.startswith("film") for name in names)
    assert all(name in (tmp_path / f"film{extension}").read_text() for name in names if name.endswith(".ts"))


@pytest.mark.parametrize("codec", ["x264", "x265"])
def test_two_passes_meet_the_bit_rate(tmp_path: Path, codec: str) -> None:
    noise = [np.random.default_rng(index).integers(0, 256, (96, 128, 3)).astype(np.uint8) for index in range(50)]
    source = write(tmp_path / "in.mp4", noise, options={"crf": "10"}, sound=Sound(seconds=2))
    target = tmp_path / "out.mp4"
    nodes = {
        "source": decoder(source),
        "sink": encoder(target, "source.video", "source.audio", codec=codec, passes=2, bit_rate="400k"),
    }
    run(nodes)
    with av.open(str(target)) as container:
        size = sum(packet.size for packet in container.demux(video=0))
        assert container.streams.audio[0].frames == 95
    assert abs(size * 8 / 2 - 400_000) < 40_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_the_index_of_an_mp4_comes_first_if_asked_for(tmp_path: Path, source: Path) -> None:
    for faststart in (False, True):
        copied(source, tmp_path / "out.mp4", faststart=faststart, preset="ultrafast")
        data = (tmp_path / "out.mp4").read_bytes()
        assert (data.index(b"moov") < data.index(b"mdat")) == faststart


def test_standard_output(tmp_path: Path, source: Path) -> None:
    command = [sys.executable, "-m", "tests.runner.to_stdout", str(source)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    with av.open(io.BytesIO(done.stdout), "r", format="yuv4mpegpipe") as container:
        frames = [as_rgb(frame, "bt601", False) for frame in container.decode(video=0)]
    assert len(frames) == COUNT
    assert min(psnr(frame, picture) for frame, picture in zip(frames, PICTURES, strict=True)) > 34


@pytest.mark.parametrize("rate", [Fraction(1000), Fraction(2000), Fraction(1, 10)])
def test_extreme_rates(tmp_path: Path, rate: Fraction) -> None:
    source = write(tmp_path / "in.mkv", PICTURES, rate=rate, codec="ffv1")
    for extension in (".mp4", ".mkv", ".mov"):
        result = copied(source, tmp_path / f"out{extension}", preset="ultrafast")
        assert result.frames == len(pictures_in(tmp_path / f"out{extension}")) == COUNT


def test_a_held_last_frame_stays_as_long(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    write(source, PICTURES[:5])
    held = tmp_path / "held.mp4"
    with av.open(str(source)) as given, av.open(str(held), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        packets = [packet for packet in given.demux(video=0) if packet.size]
        packets[-1].duration = round(3 / Fraction(packets[-1].time_base or 1))
        for packet in packets:
            packet.stream = stream
            out.mux(packet)
    for extension in (".mp4", ".mkv", ".mov", ".gif"):
        copied(held, tmp_path / f"out{extension}")
        with av.open(str(tmp_path / f"out{extension}")) as container:
            assert container.duration == pytest.approx(3_160_000, abs=1000)


def test_plans_refuse_what_does_not_fit(source: Path) -> None:
    for options, words in (
        ({"path": "a.webm", "codec": "x264"}, "webm files cannot hold codec x264"),
        ({"path": "a.mp4", "codec": "svtav1", "preset": "fast"}, "codec svtav1 has no such preset; allowed: 13, 12"),
        ({"path": "a.mp4", "tune": "flim"}, "codec x264 has no such tune (did you mean 'film'?)"),
        ({"path": "a.webm", "passes": 2, "bit_rate": "1M"}, "codec vp9 makes one pass here; only x264, x265 make two"),
        ({"path": "a.mp4", "passes": 2}, "two passes aim at a bit rate, and none is set"),
        ({"path": "a.mov", "codec": "prores", "bit_rate": "1M"}, "codec prores takes none"),
        ({"path": "-"}, "standard output has no extension"),
    ):
        with pytest.raises(BmfgraphError) as caught:
            compiled({"source": decoder(source), "sink": {"kind": "encoder", "inputs": ["source.video"], **options}})
        assert words in str(caught.value)
