"""Test that every frame comes out once, in order, at its own time, and audio stays in sync."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from bmfgraph.errors import PlanError
from tests.runner.media_tools import (
    Sound,
    compiled,
    decoder,
    encoder,
    frames_of,
    plane,
    psnr,
    recorded,
    run,
    scene,
    soft_scene,
    sound_packets,
    transcode,
    video_times,
    write,
)

HALF = Fraction(1, 2000)
CLOCK = Fraction(1, 90_000)
RATES = [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(50), Fraction(60000, 1001)]
PICTURES = [scene(index, 64, 48) for index in range(30)]
B_FRAMES = {"preset": "medium", "bf": "3"}


def uneven(count: int = 30, base: int = 1000) -> list[Fraction]:
    """Return frame times in multiples of 1/base seconds, 10 to 130 ms apart."""
    chance = random.Random(base)
    times = [Fraction(0)]
    for _ in range(count - 1):
        times.append(times[-1] + Fraction(chance.randint(base // 100, base * 13 // 100), base))
    return times


def assert_times(source: Path, target: Path, tolerance: Fraction = HALF, start: Fraction | int = 0) -> None:
    """Check that ``target`` has the frames of ``source`` from ``start`` on, none twice, none lost."""
    inputs = [time - start for time in video_times(source) if time >= start]
    output = video_times(target)
    assert len(output) == len(inputs)
    worst = max(abs(one - other) for one, other in zip(inputs, output, strict=True))
    assert worst <= tolerance, f"{float(worst) * 1000:.3f} ms"


def base_of(path: Path) -> Fraction:
    with av.open(str(path)) as container:
        return Fraction(container.streams.video[0].time_base)  # type: ignore[arg-type]


def picture_order(path: Path) -> list[int]:
    """Return for each frame the number of its test image."""
    luma = [np.round(picture.astype(float) @ (0.299, 0.587, 0.114)) for picture in PICTURES]
    shown = [plane(frame, 0).astype(float) for frame in frames_of(path)]
    return [int(np.argmin([np.mean((one * 219 / 255 + 16 - frame) ** 2) for one in luma])) for frame in shown]


# --------------------------------------------------------------------------------------------- constant rates


@pytest.mark.parametrize("rate", RATES, ids=lambda rate: f"{float(rate):.3f}")
@pytest.mark.parametrize("extension", [".mp4", ".mkv", ".ts"])
def test_a_constant_rate_stays(tmp_path: Path, rate: Fraction, extension: str) -> None:
    base = CLOCK if extension == ".ts" else None
    source = write(tmp_path / f"in{extension}", PICTURES, rate=rate, time_base=base)
    target = transcode(source, tmp_path / "out.mp4")
    assert_times(source, target)
    assert picture_order(target) == list(range(30))
    with av.open(str(target)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == rate
        steps = {packet.duration for packet in container.demux(stream) if packet.size}
    assert len(steps) == 1


@pytest.mark.parametrize("extension", [".mp4", ".mkv", ".mov", ".ts", ".avi"])
@pytest.mark.parametrize("codec", ["x264", "mpeg4"])
def test_every_container_is_written(tmp_path: Path, extension: str, codec: str) -> None:
    source = write(tmp_path / "in.mp4", PICTURES, rate=Fraction(30000, 1001), options=B_FRAMES)
    slow: dict[str, Any] = {"preset": "medium"} if codec == "x264" else {}
    target = transcode(source, tmp_path / f"out{extension}", codec=codec, **slow)
    # FFmpeg's AVI reader counts the time of H.264 from the decoding of the first frame.
    late = Fraction(1001, 30000) if extension == ".avi" else 0
    assert_times(source, target, HALF + late)
    steps = np.diff([float(time) for time in video_times(target)])
    assert np.abs(steps - 1001 / 30000).max() < 0.0011


def test_webm_is_written_and_read(tmp_path: Path, backend: str) -> None:
    source = write(tmp_path / "in.webm", PICTURES[:12], rate=25, codec="libvpx-vp9", options={"cpu-used": "8"})
    target = transcode(source, tmp_path / "out.webm", codec="vp9", backend=backend)
    assert_times(source, target)


@pytest.mark.parametrize(("extension", "codec"), [(".mov", "libx264"), (".avi", "mpeg4"), (".ts", "libx264")])
def test_other_containers_are_read(tmp_path: Path, extension: str, codec: str) -> None:
    options = {"b": "2M"} if codec == "mpeg4" else B_FRAMES
    base = CLOCK if extension == ".ts" else None
    source = write(tmp_path / f"in{extension}", PICTURES, codec=codec, options=options, time_base=base)
    assert_times(source, transcode(source, tmp_path / "out.mp4"), Fraction(0))


@pytest.mark.parametrize("extension", [".mp4", ".mkv", ".ts"])
def test_b_frames_come_in_the_order_they_are_shown(tmp_path: Path, extension: str, backend: str) -> None:
    base = CLOCK if extension == ".ts" else None
    source = write(tmp_path / f"in{extension}", PICTURES, options=B_FRAMES, time_base=base)
    target = transcode(source, tmp_path / "out.mkv", preset="medium", backend=backend)
    assert picture_order(target) == list(range(30))
    assert_times(source, target)
    assert [seen.index for seen in recorded(source, backend=backend.partition("+")[0])] == list(range(30))


# --------------------------------------------------------------------------------------------- uneven spacing


@pytest.mark.sample(12)
@pytest.mark.parametrize("base", [1000, 90_000])
@pytest.mark.parametrize("b_frames", [False, True], ids=["no B frames", "B frames"])
@pytest.mark.parametrize("extension", [".mp4", ".mkv"])
@pytest.mark.parametrize("target", [".mp4", ".mkv", ".mov", ".ts"])
def test_uneven_times_are_kept(tmp_path: Path, extension: str, b_frames: bool, base: int, target: str) -> None:
    source = write(
        tmp_path / f"in{extension}",
        PICTURES,
        times=uneven(base=base),
        time_base=Fraction(1, base),
        options=B_FRAMES if b_frames else {"bf": "0"},
    )
    output = transcode(source, tmp_path / f"out{target}", preset="medium" if b_frames else "ultrafast")
    exact = target != ".mkv" or base == 1000 or extension == ".mkv"
    # The start of a file is rounded to microseconds.
    assert_times(source, output, CLOCK if exact else HALF)
    assert picture_order(output) == list(range(30))


@pytest.mark.parametrize(("codec", "extension"), [("vp9", ".webm"), ("mpeg4", ".mp4"), ("vp9", ".mp4")])
def test_uneven_times_in_other_codecs(tmp_path: Path, codec: str, extension: str) -> None:
    source = write(tmp_path / "in.mp4", PICTURES, times=uneven(base=90_000), time_base=CLOCK)
    output = transcode(source, tmp_path / f"out{extension}", codec=codec)
    assert_times(source, output)
    assert picture_order(output) == list(range(30))


def test_uneven_times_leave_the_level_as_it_would_be(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", PICTURES, times=uneven(base=90_000), time_base=CLOCK)
    even = write(tmp_path / "even.mp4", PICTURES, rate=17)
    levels = []
    sizes = []
    for clip in (source, even):
        output = transcode(clip, tmp_path / f"out_{clip.name}", preset="medium", crf=20)
        with av.open(str(output)) as container:
            data = container.streams.video[0].codec_context.extradata
        assert data is not None
        levels.append(data[3])  # AVCLevelIndication
        sizes.append(output.stat().st_size)
    assert levels[0] == levels[1] <= 11
    assert sizes[0] == pytest.approx(sizes[1], rel=0.25)


def test_gaps_in_a_constant_rate(tmp_path: Path) -> None:
    times = [Fraction(number, 25) for number in range(40) if number % 7 not in (2, 3)]
    source = write(tmp_path / "in.mp4", PICTURES[: len(times)], times=times, time_base=Fraction(1, 25))
    plan = compiled({"s": decoder(source), "e": encoder(tmp_path / "out.mp4", "s.video")})
    assert plan.node("e").params.time_base == Fraction(1, 25)
    assert_times(source, transcode(source, tmp_path / "out.mp4"), Fraction(0))


def test_the_last_of_uneven_frames_is_shown(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", PICTURES, times=uneven(), time_base=Fraction(1, 1000))
    output = transcode(source, tmp_path / "out.mp4", preset="medium")
    with av.open(str(output)) as container:
        assert container.duration is not None
        last = container.duration / 1e6 - float(video_times(output)[-1])
    assert 0.02 < last < 0.13


def test_a_repair_keeps_the_aspect_ratio_that_only_the_container_has(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mkv", PICTURES, times=uneven(), time_base=Fraction(1, 1000), aspect=Fraction(16, 11))
    with av.open(str(transcode(source, tmp_path / "out.mp4", codec="vp9"))) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(16, 11)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv", "out.mp4"]


@pytest.mark.parametrize(
    ("codec", "extension"), [("x264", ".mp4"), ("x264", ".mov"), ("vp9", ".mp4"), ("mpeg4", ".mp4")]
)
def test_a_repair_keeps_the_colour_tags(tmp_path: Path, codec: str, extension: str) -> None:
    # Their primaries are unknown.
    source = write(tmp_path / "in.mkv", PICTURES, times=uneven(), time_base=Fraction(1, 1000))
    with av.open(str(transcode(source, tmp_path / f"out{extension}", codec=codec))) as container:
        written = container.streams.video[0].codec_context
        assert (written.color_range, written.colorspace) == (1, 6), "limited range, BT.601"


def test_avi_has_no_uneven_times(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", PICTURES, times=uneven(), time_base=Fraction(1, 1000))
    with pytest.raises(PlanError, match="unevenly spaced"):
        compiled({"s": decoder(source), "e": encoder(tmp_path / "out.avi", "s.video")})


# ------------------------------------------------------------------------------------------------ start and end


@pytest.mark.parametrize("target", [".mp4", ".mkv", ".ts"])
def test_a_stream_that_begins_late(tmp_path: Path, target: str) -> None:
    source = write(tmp_path / "in.ts", PICTURES, time_base=CLOCK, begin=Fraction(14, 10), options=B_FRAMES)
    with av.open(str(source)) as container:
        assert container.start_time is not None
        assert container.start_time > 1_300_000
    assert_times(source, transcode(source, tmp_path / f"out{target}"))


@pytest.mark.parametrize("begin", [Fraction(237, 1000), Fraction(2, 25)])
@pytest.mark.parametrize("extension", [".mp4", ".mkv"])
@pytest.mark.parametrize("target", [".mp4", ".mkv"])
def test_video_that_begins_after_the_sound(tmp_path: Path, begin: Fraction, extension: str, target: str) -> None:
    source = write(
        tmp_path / f"in{extension}", PICTURES, begin=begin, time_base=Fraction(1, 1000), sound=Sound(seconds=1.5)
    )
    output = transcode(source, tmp_path / f"out{target}")
    assert_together(source, output, tolerance=0.0015)
    assert len(video_times(output)) == 30


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001)])
@pytest.mark.parametrize(
    ("start", "end"), [(0.5, None), (0.333, None), (None, 0.6), (0.2, 0.8), (0.41, 0.77), (None, 0.01), (0.4, 0.41)]
)
@pytest.mark.parametrize("extension", [".mp4", ".mkv"])
def test_a_part(tmp_path: Path, rate: Fraction, start: float | None, end: float | None, extension: str) -> None:
    source = write(tmp_path / f"in{extension}", PICTURES, rate=rate, options=B_FRAMES)
    output = transcode(source, tmp_path / "out.mkv", start=start, end=end)
    begin = Fraction(str(start or 0))
    expected = [
        (number, time - begin)
        for number, time in enumerate(video_times(source))
        if time >= begin and (end is None or time < Fraction(str(end)))
    ]
    assert picture_order(output) == [number for number, _ in expected]
    with av.open(str(output)) as container:
        origin = Fraction(container.start_time or 0, 1_000_000)
    times = [time + origin for time in video_times(output)]
    assert max(abs(a - b) for a, (_, b) in zip(times, expected, strict=True)) <= Fraction(11, 10_000)


# ------------------------------------------------------------------------------------------------------- sound


def assert_together(source: Path, target: Path, tolerance: float = 0.04, same: bool = True) -> None:
    """Check that the offset of audio to video is unchanged at both ends, and copied packets are the same."""
    inputs, output = sound_packets(source), sound_packets(target)
    if same:
        assert [data for _, data in output] == [data for _, data in inputs]
    frames, shown = video_times(source), video_times(target)
    assert len(shown) == len(frames)
    for place in (0, -1):
        before = float(inputs[place][0] - frames[place])
        after = float(output[place][0] - shown[place])
        assert abs(after - before) <= tolerance, (place, before, after)


@pytest.mark.parametrize("extension", [".mp4", ".mkv", ".ts", ".mov"])
@pytest.mark.parametrize("target", [".mp4", ".mkv", ".ts"])
def test_copied_sound_is_the_same(tmp_path: Path, extension: str, target: str) -> None:
    base = CLOCK if extension == ".ts" else None
    sound = Sound(seconds=1.2, begin=1.4 if extension == ".ts" else 0.0)
    begin = Fraction(14, 10) if extension == ".ts" else 0
    source = write(tmp_path / f"in{extension}", PICTURES, sound=sound, time_base=base, begin=begin, options=B_FRAMES)
    output = transcode(source, tmp_path / f"out{target}", preset="medium")
    # A transport stream has an AAC header before each packet; other containers store it once.
    assert_together(source, output, same=(extension == ".ts") == (target == ".ts"), tolerance=0.002)


@pytest.mark.sample(4)
@pytest.mark.parametrize("begin", [-0.1, 0.3], ids=["sound first", "picture first"])
@pytest.mark.parametrize("extension", [".mp4", ".mkv"])
def test_an_offset_between_sound_and_picture(tmp_path: Path, begin: float, extension: str, backend: str) -> None:
    first = Fraction(12, 25)
    source = write(
        tmp_path / f"in{extension}", PICTURES, sound=Sound(seconds=1.0, begin=float(first) + begin), begin=first
    )
    # FFmpeg 4 writes mp4 only with frames at even times.
    target = tmp_path / ("out.mkv" if backend.endswith("bmf") else "out.mp4")
    assert_together(source, transcode(source, target, backend=backend), tolerance=0.002)


@pytest.mark.parametrize("seconds", [0.4, 3.0], ids=["shorter", "longer"])
def test_sound_of_another_length_is_kept_whole(tmp_path: Path, seconds: float) -> None:
    source = write(tmp_path / "in.mp4", PICTURES, sound=Sound(seconds=seconds))
    output = transcode(source, tmp_path / "out.mp4")
    assert_together(source, output, tolerance=0.002)


@pytest.mark.parametrize("start", [0.5, 0.777])
def test_sound_of_a_part(tmp_path: Path, start: float, backend: str) -> None:
    source = write(tmp_path / "in.mp4", PICTURES, sound=Sound(seconds=1.2), rate=25, options={"g": "5"})
    output = transcode(source, tmp_path / "out.mkv", start=start, backend=backend)
    inputs, copied = sound_packets(source), sound_packets(output)
    place = {data: time for time, data in inputs}
    first = next(time for time in video_times(source) if time >= Fraction(str(start)))
    shown = video_times(output)[0]
    # All packets come from the source, and their offset to the video is unchanged.
    shifts = [float((time - shown) - (place[data] - first)) for time, data in copied]
    assert max(map(abs, shifts)) <= 0.002
    assert copied[-1][1] == inputs[-1][1]
    assert float(copied[0][0] - shown) <= 0.022


def test_sound_encoded_again(tmp_path: Path, backend: str) -> None:
    source = write(tmp_path / "in.mp4", PICTURES, sound=Sound(seconds=1.2))
    output = transcode(source, tmp_path / "out.mp4", audio="aac", audio_bit_rate="96k", backend=backend)
    assert_together(source, output, same=False)
    loudness = [_loudness(path) for path in (source, output)]
    assert loudness[0] == pytest.approx(loudness[1], rel=0.1)


def _loudness(path: Path) -> float:
    with av.open(str(path)) as container:
        parts = [frame.to_ndarray() for frame in container.decode(audio=0)]
    return float(np.sqrt(np.mean(np.concatenate(parts, axis=1).astype(float) ** 2)))


def test_six_channels_encoded_again(samples: Any, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    run(
        {
            "source": decoder(samples["bigbuckbunny"], end=1.0),
            "sink": encoder(target, "source.video", "source.audio", audio="aac"),
        }
    )
    with av.open(str(target)) as container:
        sound = container.streams.audio[0]
        assert (sound.channels, sound.layout.name) == (6, "5.1")
        assert float(sound.duration * sound.time_base) == pytest.approx(1.0, abs=0.06)  # type: ignore[operator]
    assert len(video_times(target)) == 25


def test_no_sound(tmp_path: Path, backend: str) -> None:
    output = transcode(write(tmp_path / "in.mp4", PICTURES), tmp_path / "out.mp4", backend=backend)
    assert not sound_packets(output)
    loud = write(tmp_path / "loud.mp4", PICTURES, sound=Sound())
    assert not sound_packets(transcode(loud, tmp_path / "mute.mp4", audio="none", backend=backend))


def test_the_sample_keeps_its_sound(samples: Any, tmp_path: Path) -> None:
    source = samples["bigbuckbunny"]
    target = tmp_path / "out.mp4"
    run({"source": decoder(source), "sink": encoder(target, "source.video", "source.audio")})
    assert_together(source, target, tolerance=0.002)


# ------------------------------------------------------------------------------------- rotation, aspect ratio


@pytest.mark.parametrize("rgb", [False, True], ids=["direct", "through RGB"])
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotated_video_comes_out_upright(tmp_path: Path, degrees: int, rgb: bool, backend: str) -> None:
    pictures = [soft_scene(index, 96, 64) for index in range(4)]
    source = write(tmp_path / "in.mp4", pictures, rotation=degrees, options={"crf": "8"})
    stored = frames_of(source)
    turn = stored[0].rotation
    assert turn % 360 in (degrees, 360 - degrees)
    output = frames_of(transcode(source, tmp_path / "out.mp4", rgb=rgb, crf=8, backend=backend))
    for one, other in zip(stored, output, strict=True):
        # `rotation` is counterclockwise, in degrees.
        upright = np.rot90(plane(one, 0), turn // 90)
        assert other.rotation == 0
        assert (other.height, other.width) == upright.shape
        assert psnr(plane(other, 0), upright) > 38


@pytest.mark.parametrize("rgb", [False, True], ids=["direct", "through RGB"])
def test_pixels_that_are_not_square(tmp_path: Path, rgb: bool, backend: str) -> None:
    source = write(tmp_path / "in.mp4", PICTURES[:4], aspect=Fraction(16, 11))
    with av.open(str(transcode(source, tmp_path / "out.mp4", rgb=rgb, backend=backend))) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(16, 11)
