"""Test that a clip that is run in parts gives the same files as in one piece."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import bmfgraph as bg
from bmfgraph import error_codes as codes
from bmfgraph.errors import BmfgraphError
from bmfgraph.media.joining import JoinError, Span, decoding_times, join_video
from bmfgraph.runner.cutting import cut
from bmfgraph.runner.parts import run_in_parts
from bmfgraph.runner.result import RunResult
from tests.runner.media_tools import Sound, encoder, frames_of, psnr, scene, sound_packets, through_rgb, write
from tests.runner.track_clips import Text, Track, lines_of, streams_of, write_tracks
from tests.tools import make_clip

TIMES = np.cumsum([0, *np.random.default_rng(3).choice([17, 33, 40, 100], 59)]) / 1000
"""Seconds of the frames of a clip with a variable rate."""


@pytest.fixture
def varied(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "varied.mp4", times=TIMES.tolist(), options={"g": "12", "bf": "3", "preset": "fast"})


def outcome(path: Path) -> list[tuple[Fraction, bytes]]:
    """Return the time and the pixels of each frame."""
    return list(zip(times_of(path), [frame.to_ndarray().tobytes() for frame in frames_of(path)], strict=True))


def times_of(path: Path) -> list[Fraction]:
    """Return the time of each frame in seconds of the file."""
    return [(frame.pts or 0) * Fraction(frame.time_base or 0) for frame in frames_of(path)]


def job(source: Path, target: Path, *, read: Mapping[str, Any] | None = None, **keys: Any) -> bg.Job:
    """Return a job that reads a clip, and writes it through tensors."""
    between = through_rgb("source.video")
    lossless = {"codec": "ffv1"} if target.suffix == ".mkv" else {}
    sink = encoder(target, list(between)[-1], "source.audio", **lossless | keys.pop("write", {}))
    pipeline = {
        "name": "parts",
        "nodes": {"source": {"kind": "decoder", "path": str(source), **(read or {})}, **between, "sink": sink},
    }
    return bg.Job(pipeline, overwrite=True, **keys)


@pytest.mark.sample(6)
@pytest.mark.parametrize("segments", [1, 2, 7])
@pytest.mark.parametrize(
    "read",
    [{}, {"every": 3}, {"start": 0.517, "end": 2.0}, {"start": 0.3, "every": 2}],
    ids=["all", "every third", "cut", "cut, every second"],
)
def test_lossless_frames_are_equal(varied: Path, tmp_path: Path, segments: int, read: dict[str, Any]) -> None:
    job(varied, tmp_path / "whole.mkv", read=read).run()
    result = job(varied, tmp_path / "parts.mkv", read=read, segments=segments, parallel=2).run()
    expected = outcome(tmp_path / "whole.mkv")
    assert outcome(tmp_path / "parts.mkv") == expected
    assert result.frames == len(expected)
    assert result.sizes["sink"] == (tmp_path / "parts.mkv").stat().st_size
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(("name", "codec"), [("x.mp4", "x264"), ("x.mov", "x264"), ("x.ts", "x264"), ("x.mp4", "x265"),
                                             ("x.mkv", "x264"), ("x.webm", "vp9"), ("x.nut", "x264")])  # fmt: skip
def test_lossy_frames_have_the_same_times_and_quality(varied: Path, tmp_path: Path, name: str, codec: str) -> None:
    whole, parts = tmp_path / f"whole{name[1:]}", tmp_path / f"parts{name[1:]}"
    options = {"codec": codec} | ({"preset": "fast", "gop": 9} if codec != "vp9" else {})
    job(varied, whole, write=options).run()
    job(varied, parts, write=options, segments=4, parallel=2).run()
    times, other_times = times_of(whole), times_of(parts)
    # A transport stream and NUT begin as late as their decoding times demand.
    assert [time - other_times[0] for time in other_times] == [time - times[0] for time in times]
    one, other = frames_of(whole), frames_of(parts)
    qualities = [psnr(first.to_ndarray(), second.to_ndarray()) for first, second in zip(one, other, strict=True)]
    assert min(qualities) > 30
    with av.open(str(whole)) as first, av.open(str(parts)) as second:
        if whole.suffix in (".mp4", ".mov", ".mkv"):
            assert abs((first.duration or 0) - (second.duration or 0)) <= 1000
        packets = [(packet.dts, packet.pts) for packet in second.demux(video=0) if packet.size]
        decoding = [dts for dts, _ in packets if dts is not None]
        assert decoding == sorted(set(decoding))
        assert all(dts <= pts for dts, pts in packets if dts is not None and pts is not None)


def test_sound_subtitles_chapters_and_tags_are_those_of_the_whole(tmp_path: Path) -> None:
    source = write_tracks(
        tmp_path / "in.mkv",
        sounds=[Track(Sound(seconds=2.4), {"language": "eng"}), Track(Sound("libopus", 2.0), {"language": "deu"})],
        texts=[Text("srt", [(100, 900, "one"), (1200, 2000, "two")], {"language": "eng"})],
        chapters=[(0, 1000, "first"), (1000, 2400, "second")],
        tags={"title": "a film"},
        frames=60,
    )
    whole, parts = tmp_path / "whole.mkv", tmp_path / "parts.mkv"
    job(source, whole).run()
    job(source, parts, segments=3).run()
    assert streams_of(parts) == streams_of(whole)
    assert sound_packets(parts) == sound_packets(whole)
    assert lines_of(parts) == lines_of(whole)
    with av.open(str(whole)) as first, av.open(str(parts)) as second:
        assert second.chapters() == first.chapters()
        assert second.metadata["title"] == "a film"


@pytest.mark.wide
@pytest.mark.parametrize("segments", [2, pytest.param(7, marks=pytest.mark.wide)])
def test_windows_get_the_frames_around_a_part(tmp_path: Path, segments: int) -> None:
    clip = write(tmp_path / "in.mp4", [scene(index, 64, 48) for index in range(50)], options={"g": "10"})
    words = ["model=vsr_x2_temporal", "encoder.codec=ffv1"]
    for name, more in (("whole", []), ("parts", [f"segments={segments}"])):
        bg.compose("super_resolution", *words, *more, input=clip, output=tmp_path / f"{name}.mkv").run()
    assert outcome(tmp_path / "parts.mkv") == outcome(tmp_path / "whole.mkv")


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.csv", "x.zip"])
def test_records_are_equal(tmp_path: Path, name: str) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=40, size=(128, 96))
    for folder, more in (("whole", []), ("parts", ["segments=3"])):
        words = [*more, "~pipeline.nodes.draw", "~pipeline.nodes.sink", f"records={tmp_path}/{folder}/{name}"]
        bg.compose("face_detection", *words, "model.decode.threshold=0.01", input=clip).run()
    whole, parts = ((tmp_path / folder / name).read_bytes() for folder in ("whole", "parts"))
    if name == "x.zip":
        import zipfile

        first, second = (zipfile.ZipFile(tmp_path / folder / name) for folder in ("whole", "parts"))
        assert {each: first.read(each) for each in first.namelist()} == {
            each: second.read(each) for each in second.namelist()
        }
    else:
        assert whole == parts
    assert len(whole) > 100


def test_a_run_that_ends_goes_on_with_the_missing_parts(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=30)
    whole, target = tmp_path / "whole.mkv", tmp_path / "parts.mkv"
    job(clip, whole).run()
    parted = job(clip, target, segments=3)
    ran: list[tuple[int, int]] = []

    def launch(config: Mapping[str, Any], report: Any) -> RunResult:
        ran.append(tuple(config["pipeline"].nodes["source"].part.kept))
        if len(ran) == 3:
            raise KeyboardInterrupt
        return bg.Job.from_config(config).run(progress=report, overwrite=True)

    def again() -> RunResult:
        return run_in_parts(parted.config, parted.spec, parted.plan(), launch, overwrite=True)

    with pytest.raises(KeyboardInterrupt):
        again()
    assert not target.exists()
    result = again()
    assert (result.frames, result.nodes["sink"].frames, result.nodes["source"].frames) == (30, 30, 10)
    assert ran == [(0, 10), (10, 20), (20, 30), (20, 30)]
    assert outcome(target) == outcome(whole)


def test_only_the_join_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip, target, report = make_clip(tmp_path / "in.mp4", frames=20), tmp_path / "x.mkv", tmp_path / "x.json"
    parted = job(clip, target, segments=2, report=str(report))

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("bmfgraph.media.joining.join_video", fails)
        with pytest.raises(BmfgraphError, match="No space left on device"):
            parted.run()
    assert not target.exists()
    result = parted.run()
    assert (result.frames, len(frames_of(target))) == (20, 20)
    assert json.loads(report.read_text())["frames"]["out"] == 20


def test_other_settings_begin_anew(tmp_path: Path) -> None:
    clip, target = make_clip(tmp_path / "in.mp4", frames=20), tmp_path / "x.mp4"

    def fails(config: Mapping[str, Any], report: Any) -> RunResult:
        if config["pipeline"].nodes["source"].part.first:
            raise KeyboardInterrupt
        return bg.Job.from_config(config).run(progress=report, overwrite=True)

    first = job(clip, target, segments=2, write={"crf": 40})
    with pytest.raises(KeyboardInterrupt):
        run_in_parts(first.config, first.spec, first.plan(), fails, overwrite=True)
    assert len(list(tmp_path.glob(".x.mp4.parts-*"))) == 1
    result = job(clip, target, segments=2, write={"crf": 5}).run()
    assert result.timings["source"].frames == 20
    assert not list(tmp_path.glob(".x.mp4.parts-*"))


@pytest.mark.parametrize(
    ("keys", "where", "said"),
    [
        ({"read": {"fps": 30}}, "source", "depend on all earlier frames"),
        ({"write": {"container": "avi"}}, "sink", "cannot be joined (allowed: mp4"),
        ({"read": {"start": 0.05, "end": 0.06}}, "segments", "has no frame between start and end"),
    ],
    ids=["constant rate", "avi", "no frame"],
)
def test_what_cannot_be_cut_is_refused(tmp_path: Path, keys: dict[str, Any], where: str, said: str) -> None:
    clip = make_clip(tmp_path / "in.mp4")
    target = tmp_path / "x.mp4"
    with pytest.raises(BmfgraphError) as caught:
        job(clip, target, segments=2, **keys).run()
    (problem,) = caught.value.problems
    assert problem.code == codes.INSEPARABLE_CLIP
    assert where in problem.path
    if where != "segments":
        assert problem.code in [found.code for found in job(clip, target, segments=2, **keys).check().problems]
    assert said in str(problem)
    assert not target.exists()


def test_a_clip_whose_times_jump_is_refused(tmp_path: Path) -> None:
    one = make_clip(tmp_path / "one.ts", frames=20)
    two = write(tmp_path / "two.ts", [scene(index, 64, 48) for index in range(20)], begin=100)
    (tmp_path / "in.ts").write_bytes(one.read_bytes() + two.read_bytes())
    with pytest.raises(BmfgraphError, match="has times that jump, so it cannot be cut"):
        job(tmp_path / "in.ts", tmp_path / "x.mkv", read={"on_error": "skip"}, segments=2).run()


def test_parts_with_frames_at_other_times_are_refused(tmp_path: Path) -> None:
    clip = job(make_clip(tmp_path / "in.mp4", frames=20), tmp_path / "x.mkv")
    clip.run()
    settings, base = clip.plan().node("sink").params, Fraction(1, 25)
    times = np.arange(20)
    join_video(replace(settings, path=str(tmp_path / "y.mkv")), [tmp_path / "x.mkv"], [Span(times, base)])
    assert outcome(tmp_path / "y.mkv") == outcome(tmp_path / "x.mkv")
    times[10:] += 1
    with pytest.raises(JoinError, match="has frames at other times"):
        join_video(replace(settings, path=str(tmp_path / "z.mkv")), [tmp_path / "x.mkv"], [Span(times, base)])


def test_a_part_with_other_frames_is_refused(tmp_path: Path) -> None:
    clip, target = make_clip(tmp_path / "in.mp4", frames=20), tmp_path / "x.mkv"
    parted = job(clip, target, segments=2)

    def launch(config: Mapping[str, Any], report: Any) -> RunResult:
        pipeline = config["pipeline"]
        source = pipeline.nodes["source"]
        part = source.part.model_copy(update={"kept": (source.part.kept[0], source.part.kept[1] - 1)})
        nodes = {**pipeline.nodes, "source": source.model_copy(update={"part": part})}
        own = {**config, "pipeline": pipeline.model_copy(update={"nodes": nodes})}
        return bg.Job.from_config(own).run(progress=report, overwrite=True)

    with pytest.raises(BmfgraphError, match="has 9 frames instead of 10") as caught:
        run_in_parts(parted.config, parted.spec, parted.plan(), launch, overwrite=True)
    assert caught.value.problems[0].code == codes.JOIN_FAILURE
    assert not target.exists()


def test_parts_begin_at_windows(tmp_path: Path) -> None:
    from bmfgraph.plan.description import Context

    source = job(make_clip(tmp_path / "in.mp4", frames=50), tmp_path / "x.mkv").plan().node("source")
    pieces = cut(source.params, Context(2, 2, 3), 4)
    assert [piece.kept for piece in pieces] == [(0, 12), (12, 24), (24, 36), (36, 50)]
    assert [piece.first for piece in pieces] == [0, 9, 21, 33]
    assert [len(piece.span.ticks) for piece in pieces] == [12, 12, 12, 14]
    # The time lies between two frames of 25 per second.
    assert pieces[1].start == pytest.approx(8.5 / 25)
    assert pieces[1].end == pytest.approx(25.5 / 25)
    assert cut(source.params, Context(), "auto")[0].kept == (0, 50)


def test_decoding_times_follow_the_reordering() -> None:
    assert decoding_times(np.array([0, 1, 2])).tolist() == [0, 1, 2]
    for order in ([0, 3, 1, 2, 6, 4, 5], [0, 2, 1, 4, 3], [0, 4, 2, 1, 3, 8, 6, 5, 7]):
        times = decoding_times(np.array(order))
        assert (np.diff(times) > 0).all()
        assert (times <= np.array(order)).all()
