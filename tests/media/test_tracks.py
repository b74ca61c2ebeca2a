"""Test what is found beside the video of a file, and how it is read."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from bmfgraph.media.probe import MediaError, probe
from bmfgraph.media.track_facts import kept_metadata
from bmfgraph.nodes.decoder import DecoderSpec
from bmfgraph.nodes.encoder import EncoderSpec
from bmfgraph.nodes.tracks import native_problems, plan_tracks
from bmfgraph.plan.types import AudioSpec, TrackSpec
from tests.runner.media_tools import Sound
from tests.runner.track_clips import Text, Track, png, write_tracks

SHORT = Sound("aac", seconds=0.2)


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tracks(
        tmp_path_factory.mktemp("clips") / "rich.mkv",
        sounds=[
            Track(SHORT, {"language": "eng", "title": "Main"}),
            Track(Sound("libopus", seconds=0.2, layout="5.1"), {"language": "deu"}),
            Track(SHORT, {"language": "eng"}),
        ],
        texts=[
            Text("srt", [(0, 100, "Hello")], {"language": "eng"}),
            Text("ass", [(0, 100, "Bonjour")], {"language": "fra"}),
        ],
        chapters=[(0, 80, "one"), (80, 200, "two")],
        tags={"title": "T"},
        font=True,
        cover=png(),
        frames=5,
    )


def test_everything_beside_the_video_is_found(rich: Path) -> None:
    assert probe(rich, audio="all", subtitles="all").audio == AudioSpec(
        (
            TrackSpec(1, "audio", "aac", "eng", 48_000, 2),
            TrackSpec(2, "audio", "opus", "deu", 48_000, 6),
            TrackSpec(3, "audio", "aac", "eng", 48_000, 2),
            TrackSpec(4, "subtitle", "subrip", "eng"),
            TrackSpec(5, "subtitle", "ass", "fra"),
            TrackSpec(6, "attachment", ""),
            TrackSpec(7, "picture", "png"),
        ),
        chapters=2,
        metadata=("title",),
    )


@pytest.mark.parametrize(
    ("audio", "subtitles", "streams"),
    [
        ("all", None, [1, 2, 3]),
        (1, None, [2]),
        ("eng", None, [1, 3]),
        ("ENG", "fra", [1, 3, 5]),
        (("deu", 0), (1, "eng"), [1, 2, 4, 5]),
        (None, 0, [4]),
    ],
)
def test_streams_are_chosen_by_index_or_language(rich: Path, audio: Any, subtitles: Any, streams: list[int]) -> None:
    found = probe(rich, audio=audio, subtitles=subtitles).audio
    assert found is not None
    assert [track.stream for track in found.tracks] == [*streams, 6, 7]


@pytest.mark.parametrize(
    ("choice", "message", "hint"),
    [
        ({"audio": 3}, "has 3 audio streams, counted from 0: there is no stream 3", "set `audio` to one of: 0, 1, 2"),
        (
            {"audio": "jpn"},
            "has 3 audio streams, counted from 0: there is no stream of language 'jpn'",
            "set `audio` to one of: eng, deu",
        ),
        (
            {"subtitles": ("eng", "deu")},
            "has 2 subtitle streams, counted from 0: there is no stream of language 'deu'",
            "set `subtitles` to one of: eng, fra",
        ),
    ],
)
def test_a_stream_that_is_missing(rich: Path, choice: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(MediaError) as caught:
        probe(rich, **choice)
    assert str(caught.value).endswith(message)
    assert (caught.value.code, caught.value.hint) == ("E406", hint)


def test_the_decoder_takes_names_and_lists() -> None:
    spec = DecoderSpec.model_validate({"path": "a.mkv", "audio": ["eng", 0], "subtitles": "fra"})
    assert (spec.audio, spec.subtitles) == (("eng", 0), "fra")
    assert DecoderSpec(path="a.mkv").audio == DecoderSpec(path="a.mkv").subtitles == "all"


def test_tags_of_the_storage_are_not_the_clips() -> None:
    tags = {
        "encoder": "Lavf",
        "DURATION": "00:00:01",
        "rotate": "90",
        "BPS-eng": "1",
        "_STATISTICS_TAGS": "BPS",
        "language": "und",
        "handler_name": "VideoHandler",
        "name": "Main",
        "creation_time": "2020-01-02T03:04:05.000000Z",
        "timecode": "01:00:00:00",
    }
    assert kept_metadata(tags) == {
        "title": "Main",
        "creation_time": "2020-01-02T03:04:05.000000Z",
        "timecode": "01:00:00:00",
    }


def track(kind: Any, codec: str, rate: int = 48_000, channels: int = 2) -> TrackSpec:
    return TrackSpec(1, kind, codec, "", rate if kind == "audio" else 0, channels if kind == "audio" else 0)


@pytest.mark.parametrize(
    ("container", "stream", "options", "encoder", "rate", "codes"),
    [
        ("mp4", track("audio", "aac"), {}, None, 0, []),
        ("mp4", track("audio", "opus"), {"audio": "aac"}, "aac", 48_000, []),
        ("mp4", track("audio", "vorbis", 44_100), {}, "aac", 44_100, ["W129"]),
        ("webm", track("audio", "aac", 44_100), {}, "libopus", 48_000, ["W129", "W130"]),
        ("matroska", track("audio", "pcm_alaw", 8000), {}, "flac", 8000, ["W129"]),
        ("avi", track("audio", "opus"), {}, "pcm_s16le", 48_000, ["W129"]),
        ("mp4", track("audio", "flac", 192_000), {"audio": "aac"}, "aac", 96_000, ["W130"]),
        ("mp4", track("audio", "flac", 7000), {"audio": "aac"}, "aac", 7350, ["W130"]),
        ("mp4", track("audio", "flac", channels=6), {"audio": "mp3"}, "libmp3lame", 48_000, ["W130"]),
        ("mp4", track("subtitle", "subrip"), {}, "mov_text", 0, ["W129"]),
        ("matroska", track("subtitle", "mov_text"), {}, "subrip", 0, ["W129"]),
        ("webm", track("subtitle", "ass"), {}, "webvtt", 0, ["W129"]),
        ("matroska", track("subtitle", "hdmv_pgs_subtitle"), {}, None, 0, []),
        ("mpegts", track("data", "klv"), {}, None, 0, []),
        ("mp4", track("picture", "mjpeg"), {}, None, 0, []),
    ],
)
def test_how_a_stream_is_written(
    container: str, stream: TrackSpec, options: dict[str, Any], encoder: str | None, rate: int, codes: list[str]
) -> None:
    spec = EncoderSpec(inputs=("a", "b"), path="out", **options)
    planned = plan_tracks("sink", spec, AudioSpec((stream,)), container)
    assert [(writing.encoder, writing.rate) for writing in planned.writings] == [(encoder, rate)]
    assert [problem.code for problem in planned.problems] == codes


@pytest.mark.parametrize(
    ("container", "stream"),
    [
        ("mp4", track("subtitle", "hdmv_pgs_subtitle")),
        ("mp4", track("attachment", "")),
        ("mov", track("picture", "png")),
        ("webm", track("picture", "png")),
        ("avi", track("subtitle", "subrip")),
        ("matroska", track("data", "klv")),
        ("matroska", track("audio", "")),
    ],
)
def test_a_stream_that_is_lost_is_told(container: str, stream: TrackSpec) -> None:
    spec = EncoderSpec(inputs=("a", "b"), path="out")
    planned = plan_tracks("sink", spec, AudioSpec((stream,)), container)
    assert planned.writings == ()
    assert [(problem.code, problem.path) for problem in planned.problems] == [("W128", "pipeline.nodes.sink")]
    assert f"{container} cannot hold stream 1 ({stream})" in planned.problems[0].message


def test_pictures_have_no_sound() -> None:
    source = AudioSpec((track("audio", "aac"),), chapters=2, metadata=("title",))
    planned = plan_tracks("sink", EncoderSpec(inputs=("a", "b"), path="out.gif"), source, "gif")
    assert not planned
    assert [problem.message for problem in planned.problems] == [
        "gif holds pictures alone; the file is written without audio aac 48000 Hz 2 ch, 2 chapters"
    ]
    silent = EncoderSpec(inputs=("a", "b"), path="out.gif", copy=())
    assert plan_tracks("sink", silent, source, "gif").problems == ()


def test_what_the_other_back_end_leaves_out() -> None:
    source = AudioSpec((track("audio", "aac"), track("subtitle", "subrip")), chapters=1)
    assert [problem.message for problem in native_problems("sink", source)] == [
        "the back end bmf writes audio alone beside the video; the file is written without subtitle subrip, 1 chapter"
    ]
    assert native_problems("sink", AudioSpec((track("audio", "aac"),), metadata=("title",))) == ()


def test_what_is_not_to_be_copied_is_not_told() -> None:
    source = AudioSpec(
        (track("audio", "opus"), track("subtitle", "subrip")), chapters=2, metadata=("title", "location-eng")
    )
    spec = EncoderSpec(inputs=("a", "b"), path="out", copy=("metadata",))
    planned = plan_tracks("sink", spec, source, "avi")
    assert (planned.writings, planned.chapters, planned.metadata) == ((), False, True)
    assert [problem.message for problem in planned.problems] == [
        "avi cannot hold the source's metadata location-eng; the file is written without"
    ]
    assert not plan_tracks("sink", EncoderSpec(inputs=("a", "b"), path="out", copy=(), audio="none"), source, "mp4")


def test_times_between_two_ticks() -> None:
    import av

    from bmfgraph.media.tracks import TrackPacket, Tracks

    packet: Any = av.Packet(b"data")
    packet.pts, packet.dts, packet.duration, packet.time_base = 340, 340, 20, Fraction(1, 1000)
    tracks = Tracks((), locks={0: Lock()}, zero=Fraction(1, 3), length=Fraction(1, 50))
    track_packet = TrackPacket(packet, tracks)
    copy = track_packet.copy()
    assert (track_packet.start, copy.time_base) == (Fraction(1, 150), Fraction(1, 48_000))
    assert (copy.pts, copy.dts, copy.duration, bytes(copy)) == (320, 320, 640, b"data")
