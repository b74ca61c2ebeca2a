"""Test what is written beside the video: all streams, chapters, tags, and their times."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from bmfgraph.runner.preflight import preflight_warnings
from tests.runner.media_tools import (
    RecordSpec,
    Sound,
    compiled,
    decoder,
    encoder,
    run,
    sound_packets,
    transcode,
    video_times,
)
from tests.runner.track_clips import FONT, Text, Track, lines_of, png, samples_of, streams_of, write_tracks

MS = Fraction(1, 1000)


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tracks(
        tmp_path_factory.mktemp("clips") / "rich.mkv",
        sounds=[
            Track(Sound("aac"), {"language": "eng", "title": "Main"}),
            Track(Sound("libopus", layout="5.1"), {"language": "deu"}),
        ],
        texts=[
            Text("srt", [(200, 600, "Hello"), (700, 1100, "World")], {"language": "eng"}),
            Text("ass", [(100, 500, "Bonjour")], {"language": "fra"}),
        ],
        chapters=[(0, 400, "one"), (400, 1200, "two")],
        tags={"title": "T", "artist": "A", "custom": "C"},
        video_tags={"language": "jpn"},
        font=True,
        cover=png(),
    )


def chapters_of(path: Path) -> list[tuple[Fraction, Fraction, str]]:
    with av.open(str(path)) as container:
        return [
            (chapter["start"] * base, chapter["end"] * base, chapter["metadata"]["title"])
            for chapter in container.chapters()
            if (base := chapter["time_base"])
        ]


VIDEO = {"mkv": ("video", "h264", "jpn"), "mp4": ("video", "h264", "jpn"), "webm": ("video", "vp9", "jpn")}


@pytest.mark.parametrize(
    ("ending", "streams", "tags"),
    [
        (
            "mkv",
            [
                *(("audio", "aac", "eng"), ("audio", "opus", "deu"), ("subtitle", "subrip", "eng")),
                *(("subtitle", "ass", "fra"), ("attachment", "", ""), ("video", "png", "")),
            ],
            {"title": "T", "ARTIST": "A", "CUSTOM": "C"},
        ),
        (
            "mp4",
            [
                *(("audio", "aac", "eng"), ("audio", "opus", "deu"), ("subtitle", "mov_text", "eng")),
                # The names of the chapters are data.
                *(("subtitle", "mov_text", "fra"), ("data", "", "eng"), ("video", "png", "")),
            ],
            {"title": "T", "artist": "A"},
        ),
        (
            "webm",
            [
                *(("audio", "opus", "eng"), ("audio", "opus", "deu")),
                *(("subtitle", "webvtt", "eng"), ("subtitle", "webvtt", "fra")),
            ],
            {"title": "T", "ARTIST": "A", "CUSTOM": "C"},
        ),
    ],
)
def test_everything_is_written(rich: Path, tmp_path: Path, ending: str, streams: list[Any], tags: Any) -> None:
    codec = "vp9" if ending == "webm" else "x264"
    out = transcode(rich, tmp_path / f"out.{ending}", rgb=False, codec=codec)
    assert streams_of(out) == [VIDEO[ending], *streams]
    assert lines_of(out, 0) == [(200, 600, "Hello"), (700, 1100, "World")]
    assert lines_of(out, 1) == [(100, 500, "Bonjour")]
    assert chapters_of(out) == [(0, 400 * MS, "one"), (400 * MS, 1200 * MS, "two")]
    with av.open(str(out)) as container:
        assert tags.items() <= container.metadata.items()
        assert container.streams[1].metadata["name" if ending == "mp4" else "title"] == "Main"
        pictures = [stream for stream in container.streams.video if stream.index]
        assert [bytes(next(container.demux(stream))) for stream in pictures] == [png()] * len(pictures)
        fonts = [stream for stream in container.streams if stream.type == "attachment"]
        assert [(font.name, bytes(font.data)) for font in fonts] == [("font.ttf", FONT)] * (ending == "mkv")  # type: ignore[attr-defined]


def test_a_copy_of_a_copy_is_the_same(rich: Path, tmp_path: Path) -> None:
    mp4 = transcode(rich, tmp_path / "one.mp4", rgb=False)
    mkv = transcode(mp4, tmp_path / "two.mkv", rgb=False)
    assert streams_of(mkv)[:4] == [*streams_of(rich)[:3], ("subtitle", "subrip", "eng")]
    assert lines_of(mkv, 1) == [(100, 500, "Bonjour")]
    assert chapters_of(mkv) == chapters_of(rich)
    with av.open(str(mkv)) as container:
        assert container.streams[1].metadata["title"] == "Main"


def test_a_part_has_its_part_of_everything(rich: Path, tmp_path: Path) -> None:
    for ending in ("mkv", "mp4"):
        out = transcode(rich, tmp_path / f"out.{ending}", rgb=False, start=0.3, end=0.9)
        assert lines_of(out, 0) == [(0, 300, "Hello"), (400, 600, "World")]
        assert lines_of(out, 1) == [(0, 200, "Bonjour")]
        assert chapters_of(out) == [(0, 100 * MS, "one"), (100 * MS, 600 * MS, "two")]


@pytest.mark.parametrize(
    ("options", "streams"),
    [
        ({"copy": ["subtitles"]}, ["video", "subtitle", "subtitle"]),
        ({"copy": ["audio", "chapters"], "audio": "flac"}, ["video", "audio", "audio"]),
        ({"audio": "none", "copy": ["audio", "attachments"]}, ["video", "attachment", "video"]),
        ({"copy": []}, ["video"]),
    ],
)
def test_only_what_is_to_be_copied(rich: Path, tmp_path: Path, options: Any, streams: list[str]) -> None:
    out = transcode(rich, tmp_path / "out.mkv", rgb=False, **options)
    assert [kind for kind, _, _ in streams_of(out)] == streams
    assert bool(chapters_of(out)) == ("chapters" in options["copy"])
    with av.open(str(out)) as container:
        assert "title" not in container.metadata


def test_what_is_lost_is_told(rich: Path, tmp_path: Path) -> None:
    plan = compiled({"source": decoder(rich), "sink": encoder(tmp_path / "o.ts", "source.video", "source.audio")})
    lost = [problem.message.partition(" cannot hold ")[2].partition(";")[0] for problem in preflight_warnings(plan)]
    assert lost == [
        "stream 3 (subtitle subrip (eng))",
        "stream 4 (subtitle ass (fra))",
        "stream 5 (attachment)",
        "stream 6 (picture png)",
        "the source's 2 chapters",
        "the source's metadata ARTIST, CUSTOM",
    ]
    only = compiled(
        {
            "source": decoder(rich, audio=None),
            "sink": encoder(tmp_path / "o.avi", "source.video", "source.audio", copy=["subtitles"]),
        }
    )
    assert len(only.node("sink").inputs) == 1
    assert [problem.code for problem in preflight_warnings(only)] == ["W128", "W128"]


# ------------------------------------------------------------------------------------------------------- times


def burst(rate: int) -> NDArray[np.float32]:
    """Return 0.2 s of noise below 4 kHz, in which every time differs from every other."""
    noise = np.random.default_rng(1).standard_normal(round(0.2 * 48_000))
    spectrum = np.fft.rfft(noise)
    spectrum[800:] = 0
    sound = np.fft.irfft(spectrum, round(0.2 * rate))
    loud: NDArray[np.float32] = (sound * 0.5 / np.abs(sound).max()).astype(np.float32)
    return loud


def heard(
    path: Path,
    at: float,
    *,
    begin: float = 0.0,
    late: int = 0,
    rate: int = 48_000,
    codec: str = "pcm_s16le",
    damage: int | None = None,
) -> Path:
    """Write 30 frames at 25 fps, and audio from ``begin`` to 1.2 s with a burst at ``at`` seconds.

    The video begins ``late`` frames after 0. ``damage`` is the number of a packet of audio that is overwritten.
    """
    silent = write_tracks(path.with_stem("silent"))
    # Milliseconds, the default, are too coarse for the beginning of audio.
    options = {"movie_timescale": "48000"} if path.suffix == ".mp4" else {}
    with av.open(str(silent)) as source, av.open(str(path), "w", options=options) as out:
        video = out.add_stream_from_template(source.streams.video[0], opaque=True)
        audio: Any = out.add_stream(codec, rate=rate, layout="stereo")
        packets: list[Any] = [packet for packet in source.demux() if packet.size]
        for packet in packets:
            packet.stream = video
            shift = round(late / 25 / packet.time_base)
            packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
        sounds: list[Any] = []
        data = np.zeros((2, round((1.2 - begin) * rate)), np.float32)
        first = round((at - begin) * rate)
        data[:, first : first + round(0.2 * rate)] = burst(rate)
        for position in range(0, data.shape[1], 1024):
            block = np.ascontiguousarray(data[:, position : position + 1024])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = position + round(begin * rate)
            sounds += audio.encode(frame)
        sounds += audio.encode(None)
        if damage is not None:
            sounds[damage] = garbage(sounds[damage])
        for packet in sorted(packets + sounds, key=lambda one: one.dts * one.time_base):
            out.mux_one(packet)
    return path


def garbage(packet: Any) -> Any:
    """Return a packet of the same times whose data cannot be decoded."""
    damaged: Any = av.Packet(b"\xff" * 64)
    damaged.pts, damaged.dts, damaged.duration = packet.pts, packet.dts, packet.duration
    damaged.time_base, damaged.stream = packet.time_base, packet.stream
    return damaged


def place_of(path: Path) -> float:
    """Return the seconds from the first frame to the burst."""
    start, samples = samples_of(path, rate=48_000)
    size = samples.shape[1] + 9600
    likeness = np.fft.irfft(np.fft.rfft(samples[0], size) * np.fft.rfft(burst(48_000), size).conj(), size)
    return float(start) + int(np.argmax(likeness[: samples.shape[1]])) / 48_000


@pytest.mark.sample(6)
@pytest.mark.parametrize("begin", [0.0, 0.25])
@pytest.mark.parametrize(
    ("ending", "audio"),
    [
        *(("mp4", "copy"), ("mkv", "copy"), ("ts", "copy")),
        *(("mp4", "aac"), ("mkv", "opus"), ("mkv", "flac"), ("mp4", "mp3"), ("ts", "aac"), ("mov", "pcm")),
    ],
)
def test_a_sound_stays_where_it_is(tmp_path: Path, ending: str, audio: str, begin: float) -> None:
    source = heard(tmp_path / "in.mp4", 0.61, begin=begin, codec="aac")
    assert place_of(source) == pytest.approx(0.61, abs=1e-4)
    out = transcode(source, tmp_path / f"out.{ending}", rgb=False, audio=audio)
    assert place_of(out) == pytest.approx(0.61, abs=1e-3)
    # 0.4 s is a frame's time.
    cut = transcode(source, tmp_path / f"cut.{ending}", rgb=False, audio=audio, start=0.4, end=1.0)
    assert place_of(cut) == pytest.approx(0.21, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("out.mp4", {"passes": 2, "bit_rate": "200k"}),
        ("out.mkv", {"passes": 2, "bit_rate": "200k", "audio": "opus"}),
        ("out.m3u8", {}),
        ("out.nut", {"audio": "pcm"}),
    ],
)
def test_video_that_begins_after_the_sound(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    source = heard(tmp_path / "in.mp4", 0.61, late=5, codec="aac")
    assert place_of(source) == pytest.approx(0.41, abs=1e-4)
    (tmp_path / "out").mkdir()
    assert place_of(transcode(source, tmp_path / "out" / name, rgb=False, **options)) == pytest.approx(0.41, abs=1e-3)


def test_audio_that_is_damaged_is_told(tmp_path: Path) -> None:
    source = heard(tmp_path / "in.mp4", 0.61, codec="aac", damage=12)
    nodes = {
        "source": decoder(source),
        "sink": encoder(tmp_path / "out.mkv", "source.video", "source.audio", audio="flac"),
    }
    result = run(nodes)
    assert [problem.code for problem in result.problems] == ["W124"]
    assert result.problems[0].message.startswith("1 packet of audio or subtitles could not be decoded")
    assert place_of(tmp_path / "out.mkv") == pytest.approx(0.61, abs=1e-3)


@pytest.mark.parametrize(("start", "end"), [(None, None), (0.4, None), (0.4, 1.0)])
def test_encoded_audio_has_every_sample_and_no_other(tmp_path: Path, start: float | None, end: float | None) -> None:
    source = write_tracks(tmp_path / "in.mkv", sounds=[Track(Sound("flac", seconds=1.2))])
    out = transcode(source, tmp_path / "out.mkv", rgb=False, audio="pcm", start=start, end=end)
    begin, samples = samples_of(out)
    _, whole = samples_of(source)
    first, last = round((start or 0) * 48_000), round((end or 1.2) * 48_000)
    assert begin == 0
    assert np.array_equal(samples, whole[:, first:last])


@pytest.mark.parametrize("codec", ["aac", "libopus"])
def test_the_delay_of_a_codec_is_counted_once(tmp_path: Path, codec: str) -> None:
    ending = "mp4" if codec == "aac" else "mkv"
    clip = heard(tmp_path / f"in.{ending}", 0.61, codec=codec)
    packets = len(sound_packets(clip))
    for number in range(4):
        clip = transcode(clip, tmp_path / f"copy{number}.{ending}", rgb=False)
    assert place_of(clip) == pytest.approx(0.61, abs=5e-4)
    assert len(sound_packets(clip)) == packets


def test_a_gap_in_the_audio_stays(tmp_path: Path) -> None:
    source = heard(tmp_path / "in.mkv", 0.9)
    gap = tmp_path / "gap.mkv"
    with av.open(str(source)) as container, av.open(str(gap), "w") as out:
        streams = {stream.index: out.add_stream_from_template(stream, opaque=True) for stream in container.streams}
        for packet in container.demux():
            sound = packet.stream.type == "audio"
            if packet.size and not (sound and 0.3 <= packet.pts * packet.time_base < 0.6):  # type: ignore[operator]
                packet.stream = streams[packet.stream.index]
                out.mux_one(packet)
    out_path = transcode(gap, tmp_path / "out.mp4", rgb=False, audio="aac")
    assert place_of(out_path) == pytest.approx(0.9, abs=1e-3)


def test_a_rate_that_the_codec_does_not_have(tmp_path: Path) -> None:
    source = heard(tmp_path / "in.mkv", 0.61, rate=192_000)
    out = transcode(source, tmp_path / "out.mp4", rgb=False, audio="aac")
    with av.open(str(out)) as container:
        assert container.streams.audio[0].sample_rate == 96_000
    assert place_of(out) == pytest.approx(0.61, abs=5e-4)


@pytest.mark.parametrize(("audio", "layout"), [("aac", "5.1"), ("opus", "5.1"), ("flac", "5.1"), ("mp3", "stereo")])
def test_channel_layouts(tmp_path: Path, audio: str, layout: str) -> None:
    source = write_tracks(tmp_path / "in.mkv", sounds=[Track(Sound("pcm_s16le", seconds=0.3, layout="5.1"))], frames=5)
    out = transcode(source, tmp_path / "out.mkv", rgb=False, audio=audio, audio_bit_rate="192k")
    with av.open(str(out)) as container:
        assert container.streams.audio[0].codec_context.layout.name == layout


def test_two_files_encode_the_same_audio(tmp_path: Path) -> None:
    source = heard(tmp_path / "in.mp4", 0.61, codec="aac")
    outs = {"one": "flac", "two": "flac", "three": "copy"}
    run(
        {"source": decoder(source)}
        | {
            name: encoder(tmp_path / f"{name}.mkv", "source.video", "source.audio", audio=audio)
            for name, audio in outs.items()
        }
    )
    one, two = (samples_of(tmp_path / f"{name}.mkv")[1] for name in ("one", "two"))
    assert np.array_equal(one, two)
    assert [data for _, data in sound_packets(tmp_path / "three.mkv")] == [data for _, data in sound_packets(source)]


def test_audio_before_all_frames_is_not_kept_in_memory(tmp_path: Path) -> None:
    from bmfgraph.media.decoding import Decoder

    source = write_tracks(tmp_path / "in.ts", sounds=[Track(Sound("mp2", seconds=60))], frames=3)
    nodes: dict[str, Any] = {"source": decoder(source), "record": RecordSpec(inputs=("source.video",))}
    reader = Decoder(compiled(nodes).node("source").params)
    most = 0
    frames = 0
    while not reader.ended:
        pictures, packets = reader.decode(4)
        most, frames = max(most, len(packets)), frames + len(pictures)
    reader.close()
    assert (frames, most) == (3, 256)


def test_a_time_code_is_kept(tmp_path: Path) -> None:
    source = write_tracks(tmp_path / "in.mov", video_tags={"timecode": "01:02:03:04"}, frames=5)
    out = transcode(source, tmp_path / "out.mp4", rgb=False)
    with av.open(str(out)) as container:
        assert container.streams.video[0].metadata["timecode"] == "01:02:03:04"
    assert [kind for kind, _, _ in streams_of(out)] == ["video", "data"]
    assert video_times(out) == [index * Fraction(1, 25) for index in range(5)]


def test_data_is_copied_into_a_transport_stream(tmp_path: Path) -> None:
    source = tmp_path / "in.ts"
    picture = write_tracks(tmp_path / "picture.ts", frames=10)
    with av.open(str(picture)) as container, av.open(str(source), "w") as out:
        video = out.add_stream_from_template(container.streams.video[0], opaque=True)
        data: Any = out.add_data_stream("klv")
        for number, packet in enumerate(packet for packet in container.demux() if packet.size):
            note: Any = av.Packet(b"\x06\x0e\x2b\x34" + bytes([number] * 20))
            note.pts, note.dts, note.time_base, note.stream = packet.pts, packet.pts, packet.time_base, data
            packet.stream = video
            out.mux([packet, note])
    kept = transcode(source, tmp_path / "out.ts", rgb=False)

    def notes(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            stream = next(stream for stream in container.streams if stream.type == "data")
            return [bytes(packet) for packet in container.demux(stream) if packet.size]

    assert notes(kept) == notes(source)
    assert len(notes(kept)) == 10
