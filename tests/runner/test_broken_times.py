"""Test that frames with odd times are all read, at times of their own."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from bmfgraph.media import timing
from bmfgraph.media.ledger import Loss
from bmfgraph.media.probe import probe
from bmfgraph.runner.result import RunResult
from tests.runner.broken_clips import B_FRAMES, NO_SHIFT, PICTURES, attempt, spanned
from tests.runner.media_tools import Seen, frames_of, transcode, video_times, write

STEP = Fraction(1, 25)


def whole(result: tuple[list[Seen], Loss, RunResult]) -> list[Fraction]:
    """Return the times of the frames; nothing may be lost, and no warning given."""
    frames, loss, run = result
    assert (loss, run.problems, run.warnings, run.exit_code) == (Loss(), (), (), 0)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    return [frame.time for frame in frames]


def test_a_list_that_begins_late(tmp_path: Path) -> None:
    """The first samples stay in the file, and are not shown."""
    path = write(tmp_path / "a.mp4", PICTURES, begin=-13 * STEP, options=B_FRAMES, container=NO_SHIFT)
    assert probe(path).frame_count == 37
    assert probe(path).duration == pytest.approx(37 / 25)
    assert whole(attempt(path)) == [index * STEP for index in range(37)]
    assert len(frames_of(transcode(path, tmp_path / "out.mp4"))) == 37


@pytest.mark.parametrize(("first", "count"), [(13, 25), (0, 38), (7, 43)])
def test_a_list_that_shows_a_part(tmp_path: Path, first: int, count: int) -> None:
    path = spanned(write(tmp_path / "a.mp4", PICTURES, options=B_FRAMES), count * STEP, first * STEP)
    assert probe(path).frame_count == count
    frames, loss, result = attempt(path)
    assert whole((frames, loss, result)) == [index * STEP for index in range(count)]
    original, _, _ = attempt(path.with_name("a.mp4"))
    assert all((one.pixels == other.pixels).all() for one, other in zip(frames, original[first:], strict=False))


def test_frames_of_one_tick(tmp_path: Path) -> None:
    """Matroska rounds 1500 frames a second to milliseconds."""
    path = write(tmp_path / "a.mkv", PICTURES, rate=1500, options={"bf": "0"})
    times = whole(attempt(path))
    assert len(set(times)) == len(times) == 50
    assert times == sorted(times)
    assert all(abs(time - Fraction(index, 1500)) <= Fraction(1, 1000) for index, time in enumerate(times))
    for name in ("out.mp4", "out.mkv"):
        assert len(frames_of(transcode(path, tmp_path / name))) == 50


def test_frames_without_a_time_at_the_start(tmp_path: Path) -> None:
    """They lie before 0, where Matroska has no time for them."""
    path = write(tmp_path / "a.mkv", PICTURES, begin=-12 * STEP, options=B_FRAMES, container=NO_SHIFT)
    with av.open(str(path)) as container:
        assert sum(packet.pts is None for packet in container.demux(video=0) if packet.size) == 12
    assert whole(attempt(path)) == [index * STEP for index in range(50)]
    assert video_times(transcode(path, tmp_path / "out.mp4")) == [index * STEP for index in range(50)]


@pytest.mark.parametrize("rate", [960, 1000, 2000])
def test_many_frames_per_second(tmp_path: Path, rate: int) -> None:
    path = write(tmp_path / "a.mp4", PICTURES, rate=rate)
    assert whole(attempt(path)) == [Fraction(index, rate) for index in range(50)]
    assert len(frames_of(transcode(path, tmp_path / "out.mp4"))) == 50


def test_one_frame_has_no_rate(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ts", PICTURES[:1], rate=1000)
    assert (float(probe(path).frames.rate), probe(path).duration) == (25.0, 0.04)
    assert whole(attempt(path)) == [0]


@pytest.mark.parametrize("container", ["mkv", "mp4", "gif"])
def test_a_last_frame_that_is_held(tmp_path: Path, container: str) -> None:
    path = tmp_path / f"a.{container}"
    if container == "gif":
        write(path, PICTURES[:5], rate=10, codec="gif", pix_fmt="rgb8", container={"final_delay": "100"})
    else:
        held(write(tmp_path / f"b.{container}", PICTURES[:5], rate=10), path)
    assert whole(attempt(path)) == [Fraction(index, 10) for index in range(5)]
    assert probe(path).duration == pytest.approx(1.4)
    out = transcode(path, tmp_path / "out.mp4")
    with av.open(str(out)) as written:
        stream = written.streams.video[0]
        assert float((stream.duration or 0) * Fraction(stream.time_base or 0)) == pytest.approx(1.4, abs=0.001)


def held(source: Path, target: Path) -> None:
    """Copy a clip, and let its last frame stay for a second."""
    with av.open(str(source)) as clip, av.open(str(target), "w") as out:
        stream = clip.streams.video[0]
        copy = out.add_stream_from_template(stream)
        packets = [packet for packet in clip.demux(stream) if packet.size]
        for packet in packets:
            if packet is packets[-1]:
                packet.duration = round(1 / Fraction(stream.time_base or 1))
            packet.stream = copy
            out.mux(packet)


def test_a_burst_between_the_samples_of_a_long_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only samples of a long file are looked at, and the frames keep times of another rate between them."""
    monkeypatch.setattr(timing, "_MOST_PACKETS", 20)
    times = [index * STEP for index in range(20)] + [20 * STEP + Fraction(index, 100) for index in range(30)]
    path = write(tmp_path / "a.mp4", PICTURES, times=times, time_base=Fraction(1, 12_800))
    assert not probe(path).exact_count
    assert whole(attempt(path)) == times
    assert video_times(transcode(path, tmp_path / "out.mp4")) == times


@pytest.mark.parametrize(("start", "end"), [(2.35, 3.14), (3.0, None), (4.31, 4.6), (4.9, None)])
@pytest.mark.parametrize("name", ["a.ts", "a.mpg", "a.mkv", "a.flv"])
def test_a_start_far_inside(long_clips: Path, name: str, start: float, end: float | None) -> None:
    """A seek leads behind it in some containers, and is repeated from farther ahead."""
    path = long_clips / name
    inside = [
        frame
        for frame in attempt(path)[0]
        if Fraction(str(start)) <= frame.time and (end is None or frame.time < Fraction(str(end)))
    ]
    frames, loss, result = attempt(path, start=start, end=end)
    times = whole((frames, loss, result))
    assert len(frames) == len(inside) > 0
    assert all((one.pixels == other.pixels).all() for one, other in zip(frames, inside, strict=True))
    shift = Fraction(str(start))
    assert all(abs(time + shift - one.time) <= Fraction(1, 900) for time, one in zip(times, inside, strict=True))


@pytest.fixture(scope="module")
def long_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long")
    for name in ("a.ts", "a.mkv", "a.flv"):
        write(folder / name, PICTURES, rate=10, options={"bf": "2", "g": "12", "preset": "veryfast"})
    write(folder / "a.mpg", [*PICTURES, *PICTURES, *PICTURES[:25]], codec="mpeg2video", options={"bf": "2"})
    return folder


def test_few_frames_that_fill_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame of uncompressed video in 8K is larger than 64 MiB."""
    monkeypatch.setattr(timing, "_MOST_BYTES", 10_000)
    path = write(tmp_path / "a.mkv", PICTURES[:12], codec="rawvideo")
    assert whole(attempt(path)) == [index * STEP for index in range(12)]
