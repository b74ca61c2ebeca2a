"""Test that written files are what their readers expect: colours, names, key frames, counts, and the last frame."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from bmfgraph.errors import BmfgraphError
from bmfgraph.media.two_passes import TwoPassWriter
from bmfgraph.media.writing import Writer
from tests.runner.command import start
from tests.runner.media_tools import (
    Pixels,
    as_rgb,
    compiled,
    decoder,
    encoder,
    frames_of,
    recorded,
    run,
    soft_scene,
    video_times,
    write,
)

PICTURES = [soft_scene(index, 64, 48) for index in range(6)]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write small frames in BT.709, which players do not assume for them."""
    folder = tmp_path_factory.mktemp("out")
    return write(folder / "in.mp4", PICTURES, matrix="bt709", tagged=True, options={"crf": "2"})


def copied(source: Path, target: Path, **options: Any) -> Any:
    return run({"source": decoder(source), "sink": encoder(target, "source.video", **{"codec": None, **options})})


def held(folder: Path, last: Fraction) -> Path:
    """Write five frames of 1/25 s, of which the last one is shown for ``last`` seconds."""
    plain, path = write(folder / "plain.mp4", PICTURES[:5]), folder / "held.mp4"
    with av.open(str(plain)) as given, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        packets = [packet for packet in given.demux(video=0) if packet.size]
        packets[-1].duration = round(last / Fraction(packets[-1].time_base or 1))
        for packet in packets:
            packet.stream = stream
            out.mux(packet)
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.avi", {"codec": "mjpeg", "crf": 1}),
        ("a.avi", {"codec": "ffv1"}),
        ("a.nut", {"codec": "raw"}),
        ("a.y4m", {}),
        ("p_%d.jpg", {"crf": 1}),
        ("p_%d.webp", {}),
    ],
)
def test_colours_are_those_that_readers_assume(
    tmp_path: Path, source: Path, name: str, options: dict[str, Any]
) -> None:
    expected = [frame.pixels.astype(int) for frame in recorded(source)]
    copied(source, tmp_path / name, **options)
    paths = sorted(tmp_path.iterdir())
    frames = [frame for path in paths for frame in frames_of(path)]
    assert len(frames) == len(PICTURES)
    for frame, pixels in zip(frames, expected, strict=True):
        error = np.abs(as_rgb(frame, "bt601", "j" in frame.format.name).astype(int) - pixels)
        other = np.abs(as_rgb(frame, "bt709", "j" in frame.format.name).astype(int) - pixels)
        assert error.mean() < min(3.5, other.mean() / 2)


def test_high_definition_jpeg_has_the_matrix_of_jpeg(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", [soft_scene(0, 1280, 720)], matrix="bt709", tagged=True, options={"crf": "2"})
    copied(source, tmp_path / "still.jpg", crf=1)
    (frame,) = frames_of(tmp_path / "still.jpg")
    (expected,) = recorded(source)
    assert np.abs(as_rgb(frame, "bt601", True).astype(int) - expected.pixels).max() < 10


def test_segments_begin_with_key_frames(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", PICTURES[:2] * 70, rate=10, options={"g": "140", "sc_threshold": "0"})
    for codec, ending in (("x264", "ts"), ("x265", "m4s")):
        target = tmp_path / codec / "film.m3u8"
        run({"source": decoder(source), "sink": encoder(target, "source.video", codec=codec)})
        lines = target.read_text().splitlines()
        assert [line for line in lines if line.startswith("#EXTINF")][:2] == ["#EXTINF:6.000000,"] * 2
        assert [line for line in lines if not line.startswith("#")] == [f"film_{n:05d}.{ending}" for n in range(3)]
    assert '#EXT-X-MAP:URI="film_init.mp4"' in (tmp_path / "x265" / "film.m3u8").read_text()


@pytest.mark.parametrize("name", ["p_%03d.png", "film.m3u8", "film.mp4"])
def test_signs_in_names_stand_for_themselves(
    tmp_path: Path, source: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copied(source, Path("a:50%") / name)
    expected = {
        "p_%03d.png": [f"p_{number:03d}.png" for number in range(1, 7)],
        "film.m3u8": ["film.m3u8", "film_00000.ts"],
        "film.mp4": ["film.mp4"],
    }
    assert sorted(path.name for path in (tmp_path / "a:50%").iterdir()) == expected[name]


def test_pictures_of_a_longer_sequence_do_not_stay(tmp_path: Path, source: Path) -> None:
    for name in ("p_0009.png", "p_9.png", "p_x.png", "q_0009.png"):
        (tmp_path / name).touch()
    copied(source, tmp_path / "p_%04d.png")
    pictures = [f"p_{number:04d}.png" for number in range(1, 7)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*pictures, "p_9.png", "p_x.png", "q_0009.png"]


def test_a_last_frame_that_cannot_be_held_is_told(tmp_path: Path) -> None:
    clip = held(tmp_path, Fraction(3))
    for name, warnings in (("a.avi", 1), ("a.ts", 1), ("a.webp", 1), ("a.mkv", 0), ("a.webm", 0)):
        result = copied(clip, tmp_path / name)
        texts = [str(problem) for problem in result.problems]
        container = {"a.ts": "mpegts"}.get(name, name[2:])
        text = f"pipeline.nodes.sink: the source shows its last frame 2.96 s longer, which {container} cannot store"
        assert texts == [text] * warnings
        assert [problem.code for problem in result.problems] == ["W127"] * warnings
    with av.open(str(tmp_path / "a.avi")) as file:
        assert file.streams.video[0].frames == 5


def test_a_file_that_lost_a_frame_is_no_output(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Writer, "_held", lambda writer: 5)
    with pytest.raises(BmfgraphError, match="6 frames were written, and the file holds 5") as caught:
        copied(source, tmp_path / "a.mp4")
    assert caught.value.problems[0].code == "E369"
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_run_ends_in_the_second_pass(tmp_path: Path, source: Path) -> None:
    nodes = {"source": decoder(source), "sink": encoder(tmp_path / "a.mp4", "source.video", passes=2, bit_rate="1M")}
    writer = TwoPassWriter(compiled(nodes).node("sink").params)
    for index, frame in enumerate(frames_of(source)):
        writer.write(frame, Fraction(index, 25), Fraction(0))
    writer.close(lambda: True)
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_gets_no_video(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    master, terminal = os.openpty()
    monkeypatch.setattr("bmfgraph.media.writing.standard_output", lambda: os.dup(terminal))
    with pytest.raises(BmfgraphError, match="standard output is a terminal; send it to a file or to a program"):
        copied(source, Path("-"), container="nut")
    os.close(terminal)
    os.close(master)


@pytest.mark.wide
def test_svt_av1_is_silent(tmp_path: Path, source: Path) -> None:
    """In a process of its own: the library asks once for the level of its log."""
    words = ("pipeline=super_resolution", f"input={source}", "output=a.mkv", "encoder=svtav1", "encoder.preset=12")
    done = start([sys.executable, "-m", "bmfgraph", *words], tmp_path).wait(60).success()
    assert "info" not in done.out + done.err
    assert len(frames_of(tmp_path / "a.mkv")) == 6


def test_gif_keeps_the_times_of_each_rate(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", PICTURES, rate=30)
    copied(source, tmp_path / "a.gif")
    assert video_times(tmp_path / "a.gif") == [Fraction(n, 100) for n in (0, 3, 7, 10, 13, 17)]


def _odd() -> Sequence[Pixels]:
    return [soft_scene(0, 33, 27)]


def _fast() -> Sequence[Pixels]:
    return PICTURES


@pytest.mark.parametrize(
    ("make", "rate", "options", "words"),
    [
        (_fast, 60, {"path": "a.gif"}, "gif shows at most 50 frames a second, not 60"),
        (
            _fast,
            25,
            {"path": "-", "container": "mp4"},
            "container mp4 cannot be written into a pipe; allowed: matroska",
        ),
        (
            _fast,
            25,
            {"path": "a.mkv", "faststart": True},
            "faststart: matroska has no index that could lie at the start",
        ),
        (_fast, 25, {"path": "a.mov", "codec": "prores", "preset": "hq", "pixel_format": "yuv444p10le"}, "has 4:2:2"),
        (_fast, 25, {"path": "a.y4m", "pixel_format": "rgb24"}, "y4m cannot hold pixel_format rgb24"),
        (_fast, 25, {"path": "p_%d.jpg", "codec": "png"}, "pictures with this extension have codec mjpeg, not png"),
        (_fast, 25, {"passes": 2, "bit_rate": "1M", "pixel_format": "nv12", "path": "a.mp4"}, "FFV1, which has no"),
        (_fast, 25, {"path": "%d/a.m3u8"}, "FFmpeg's writer of HLS puts a number in the place of '%d'"),
        (_odd, 25, {"path": "a.mp4", "codec": "x264", "pixel_format": "yuv420p"}, "yuv420p needs an even width and"),
    ],
)
def test_refused_before_a_run(
    tmp_path: Path, make: Callable[[], Sequence[Pixels]], rate: int, options: dict[str, Any], words: str
) -> None:
    source = write(tmp_path / "in.mkv", make(), rate=rate, codec="ffv1", pix_fmt="yuv444p")
    with pytest.raises(BmfgraphError) as caught:
        compiled({"source": decoder(source), "sink": {"kind": "encoder", "inputs": ["source.video"], **options}})
    assert words in str(caught.value)


def test_one_picture_for_many_frames_is_found_by_check(source: Path) -> None:
    nodes = {"source": decoder(source), "sink": {"kind": "encoder", "inputs": ["source.video"], "path": "still.png"}}
    plan = compiled(nodes)
    (fault,) = plan.node("sink").spec.faults(plan.node("sink"), plan)
    assert str(fault) == (
        "pipeline.nodes.sink: path 'still.png' is one picture, but the clip has 6 frames\n"
        "  → write a sequence, such as still_%05d.png, or read one frame with decoder.end"
    )


def test_prores_of_444_gets_all_chroma(tmp_path: Path, source: Path) -> None:
    copied_to = tmp_path / "a.mov"
    run({"source": decoder(source), "sink": encoder(copied_to, "source.video", codec="prores", preset="4444")})
    assert frames_of(copied_to)[0].format.name == "yuv444p12le"
