"""Test rotation, fields, crops, rates, and frames that change, from file to stage."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, ImageOps

from bmfgraph.errors import PlanError, RunError
from bmfgraph.media.decoding import DecodedFrame, Decoder
from bmfgraph.media.filtering import FrameFilter
from bmfgraph.runner.preflight import preflight_warnings
from bmfgraph.runner.result import RunResult
from tests.runner.media_tools import (
    SEEN,
    Pixels,
    RecordSpec,
    Seen,
    as_yuv,
    compiled,
    decoder,
    frames_of,
    ideal_rgb,
    plane,
    recorded,
    run,
    scene,
    soft_scene,
    write,
)

SIZE = (64, 48)
SCENES = [soft_scene(index, *SIZE) for index in range(10)]


def seen_of(source: Path, **options: Any) -> tuple[list[Seen], RunResult]:
    """Return the frames that reach a stage, and the result of the run."""
    result = run({"source": decoder(source, **options), "record": RecordSpec(inputs=("source.video",))})
    return SEEN.pop("seen"), result


def decoded(source: Path, **options: Any) -> list[DecodedFrame]:
    """Return the frames as the decoder passes them on."""
    plan = compiled({"source": decoder(source, **options), "record": RecordSpec(inputs=("source.video",))})
    reader = Decoder(plan.node("source").params)
    try:
        return reader.decode(1000)[0]
    finally:
        reader.close()


def planes(frame: Any) -> list[Pixels]:
    """Return the samples of an 8-bit planar frame."""
    return [plane(frame, number) for number in range(len(frame.planes))]


def assert_equal(frame: Any, expected: Sequence[Any]) -> None:
    assert all(np.array_equal(one, other) for one, other in zip(planes(frame), expected, strict=True))


def jpeg(pixels: Pixels, sampling: str = "4:2:0", orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=95, subsampling=sampling, exif=exif)
    return out.getvalue()


def remuxed(target: Path, template: Path, packets: Sequence[tuple[bytes, int]], base: Fraction) -> Path:
    """Write packets into a stream like another file's."""
    with av.open(str(template)) as source, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for data, pts in packets:
            packet: av.Packet[Any] = av.Packet(data)
            packet.stream, packet.time_base = stream, base
            packet.pts = packet.dts = pts
            packet.is_keyframe = True
            out.mux(packet)
    return target


def spliced(tmp_path: Path, *parts: Sequence[Pixels | bytes]) -> Path:
    """Write a clip of JPEGs with 25 frames a second whose parts have other sizes or formats."""
    pictures = [picture if isinstance(picture, bytes) else jpeg(picture) for part in parts for picture in part]
    template = write(tmp_path / "template.mkv", SCENES[:1], codec="mjpeg", pix_fmt="yuvj420p")
    packets = [(data, 40 * index) for index, data in enumerate(pictures)]
    return remuxed(tmp_path / "spliced.mkv", template, packets, Fraction(1, 1000))


# ------------------------------------------------------------------------------------------------ orientation


@pytest.mark.parametrize("sampling", ["4:2:0", "4:2:2"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif(tmp_path: Path, orientation: int, sampling: str) -> None:
    path = tmp_path / "in.jpg"
    path.write_bytes(jpeg(SCENES[0], sampling, orientation))
    (seen,) = recorded(path)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    assert seen.pixels.shape == expected.shape
    assert np.abs(seen.pixels.astype(int) - expected).max() <= 8
    assert np.abs(seen.pixels.astype(int) - expected).mean() < 1.2


def test_a_turned_picture_says_no_more_that_it_must_be_turned(tmp_path: Path) -> None:
    path = tmp_path / "in.jpg"
    path.write_bytes(jpeg(SCENES[0], orientation=6))
    (frame,) = decoded(path)
    # PyAV cannot list side data with EXIF in it.
    assert (frame.picture.width, frame.picture.height, list(frame.picture.side_data)) == (48, 64, [])


@pytest.mark.parametrize("rotation", [90, 180, 270])
@pytest.mark.parametrize("extension", [".mp4", ".mov", ".mkv"])
def test_rotation_of_the_container(tmp_path: Path, extension: str, rotation: int) -> None:
    source = write(tmp_path / f"b{extension}", SCENES[:3], rotation=rotation)
    for frame, stored in zip(decoded(source), frames_of(source), strict=True):
        assert_equal(frame.picture, [np.rot90(samples, rotation // 90) for samples in planes(stored)])
        assert frame.picture.rotation == 0


@pytest.mark.parametrize("rotation", [90, 180, 270])
@pytest.mark.parametrize("extension", [".mp4", ".mkv"])
def test_rotation_of_the_codec(tmp_path: Path, extension: str, rotation: int) -> None:
    """FFmpeg's decoder gives the orientation with the first frame alone."""
    plain, turned = write(tmp_path / "a.mp4", SCENES[:4]), tmp_path / f"b{extension}"
    with av.open(str(plain)) as source, av.open(str(turned), "w") as out:
        stream = source.streams.video[0]
        bits = av.BitStreamFilterContext(f"h264_metadata=display_orientation=insert:rotate={rotation}", stream)
        target = out.add_stream_from_template(stream)
        for packet in source.demux(stream):
            for result in bits.filter(packet if packet.size else None):
                result.stream = target
                out.mux(result)
    stored = frames_of(turned)
    assert [frame.rotation for frame in stored][1:] == [0, 0, 0]
    turns = stored[0].rotation // 90
    assert turns % 4 == rotation // 90
    for frame, plain_frame in zip(decoded(turned), stored, strict=True):
        assert_equal(frame.picture, [np.rot90(samples, turns) for samples in planes(plain_frame)])


def test_a_mirrored_mp4(tmp_path: Path) -> None:
    base = write(tmp_path / "a.mp4", SCENES[:2])
    with av.open(str(base)) as source, av.open(str(tmp_path / "b.mp4"), "w") as out:
        stream = source.streams.video[0]
        target = out.add_stream_from_template(stream)
        target.set_display_matrix([-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30])
        for packet in source.demux(stream):
            if packet.size:
                packet.stream = target
                out.mux(packet)
    for frame, stored in zip(decoded(tmp_path / "b.mp4"), frames_of(base), strict=True):
        assert_equal(frame.picture, [samples[:, ::-1] for samples in planes(stored)])
    with pytest.raises(PlanError, match="turned in a way that FFmpeg 4 does not know"):
        compiled({"source": decoder(tmp_path / "b.mp4", backend="bmf"), "record": RecordSpec(inputs=("source.video",))})


# ----------------------------------------------------------------------------------------------------- fields


def fielded(count: int = 12, *, bottom_first: bool = False) -> list[Pixels]:
    """Draw a bar that moves between the two fields of each frame."""
    pictures = []
    for index in range(count):
        picture = np.full((48, 64, 3), 40, np.uint8)
        for field in (0, 1):
            left = (4 * index + 2 * (field ^ bottom_first)) % 56
            picture[field::2, left : left + 8] = 220
        pictures.append(picture)
    return pictures


def flagged(pictures: list[Pixels], order: str) -> list[av.VideoFrame]:
    """Return frames that name their first field, which x264 wants."""
    chain = FrameFilter([("setfield", order)])
    frames: list[av.VideoFrame] = []
    for index, picture in enumerate(pictures):
        frame = as_yuv(picture, "yuv420p", "bt601", False)
        frame.pts, frame.time_base = index, Fraction(1, 25)
        frames += chain.push(frame)
    return frames


def bwdif(path: Path, options: str) -> list[Any]:
    chain = FrameFilter([("bwdif", options)])
    frames = [result for frame in frames_of(path) for result in chain.push(frame)]
    return [frame.to_ndarray() for frame in [*frames, *chain.finish()]]


@pytest.mark.parametrize(
    ("name", "codec", "options", "expected"),
    [
        ("a.mp4", "libx264", {"x264-params": "interlaced=1"}, "parity=tff:deint=all"),
        ("a.mp4", "libx264", {"x264-params": "interlaced=1"}, "parity=bff:deint=all"),
        # Nothing in the file says so.
        ("a.mkv", "ffv1", {}, "parity=tff:deint=all"),
    ],
    ids=["top field first", "bottom field first", "seen"],
)
def test_interlaced_video(tmp_path: Path, name: str, codec: str, options: dict[str, str], expected: str) -> None:
    order = "bff" if "bff" in expected else "tff"
    pictures = flagged(fielded(bottom_first=order == "bff"), order if codec == "libx264" else "prog")
    source = write(tmp_path / name, pictures, codec=codec, options=options)
    stored, frames = frames_of(source), decoded(source)
    assert [frame.pts for frame in frames] == [frame.pts for frame in stored]
    for frame, wanted in zip(frames, bwdif(source, "mode=send_frame:" + expected), strict=True):
        assert np.array_equal(frame.picture.to_ndarray(), wanted)
    for frame, original in zip(decoded(source, deinterlace="off"), stored, strict=True):
        assert np.array_equal(frame.picture.to_ndarray(), original.to_ndarray())


@pytest.mark.parametrize(("codec", "name"), [("libx264", "a.mp4"), ("ffv1", "a.mkv")])
def test_progressive_video_is_left_alone(tmp_path: Path, codec: str, name: str) -> None:
    source = write(tmp_path / name, [scene(index, *SIZE) for index in range(10)], codec=codec)
    plan = compiled({"source": decoder(source), "record": RecordSpec(inputs=("source.video",))})
    assert plan.node("source").params.deinterlace == ""
    forced = compiled({"source": decoder(source, deinterlace="bwdif"), "record": RecordSpec(inputs=("source.video",))})
    assert forced.node("source").params.deinterlace == "all"


def test_a_warning_tells_of_fields_that_stay(tmp_path: Path) -> None:
    source = write(tmp_path / "a.mp4", fielded(4), options={"x264-params": "tff=1"})
    nodes: dict[str, Any] = {
        "source": decoder(source, deinterlace="off"),
        "record": RecordSpec(inputs=("source.video",)),
    }
    (problem,) = preflight_warnings(compiled(nodes))
    assert (problem.code, problem.path, problem.hint) == (
        "W123",
        "pipeline.nodes.source",
        "set pipeline.nodes.source.deinterlace=auto",
    )
    assert problem.message == f"input {str(source)!r} is interlaced, and its fields stay mixed"
    nodes["source"] = decoder(source)
    assert preflight_warnings(compiled(nodes)) == []


def test_one_interlaced_frame_comes_out(tmp_path: Path) -> None:
    source = write(tmp_path / "a.mp4", fielded(1), options={"x264-params": "tff=1"})
    assert [seen.time for seen in recorded(source)] == [0]
    five = write(tmp_path / "b.mp4", fielded(5), options={"x264-params": "tff=1"})
    assert [seen.time for seen in recorded(five, every=2)] == [0, Fraction(2, 25), Fraction(4, 25)]


# ------------------------------------------------------------------------------------------------------- crop


@pytest.mark.parametrize(
    ("crop", "box"), [([8, 6, 20, 31], (8, 6, 20, 31)), ([21, 10], (20, 18, 21, 10)), ([64, 48], (0, 0, 64, 48))]
)
def test_crop(tmp_path: Path, crop: list[int], box: tuple[int, int, int, int]) -> None:
    source = write(tmp_path / "a.mp4", SCENES[:3])
    for frame, whole in zip(decoded(source, crop=crop), decoded(source), strict=True):
        assert_equal(frame.picture, cut(whole.picture, *box))
    (seen, *_) = recorded(source, crop=crop)
    assert seen.pixels.shape == (box[3], box[2], 3)


def cut(frame: Any, left: int, top: int, width: int, height: int) -> list[Any]:
    """Return a part of a frame in yuv420p; half of an odd size is rounded up."""
    y, *chroma = planes(frame)
    halves = [c[top // 2 : (top + height + 1) // 2, left // 2 : (left + width + 1) // 2] for c in chroma]
    return [y[top : top + height, left : left + width], *halves]


def test_a_crop_counts_in_upright_pixels(tmp_path: Path) -> None:
    source = write(tmp_path / "a.mp4", SCENES[:2], rotation=90)
    for frame, whole in zip(decoded(source, crop=[4, 40, 40, 20]), decoded(source), strict=True):
        assert_equal(frame.picture, cut(whole.picture, 4, 40, 40, 20))


@pytest.mark.parametrize(
    ("crop", "message", "hint"),
    [
        ([60, 0, 8, 8], "crop [60, 0, 8, 8] reaches beyond the frames of 64x48", "left + width at or below 64"),
        ([65, 40], "crop [65, 40] reaches beyond the frames of 64x48", "left + width at or below 64"),
        ([3, 2, 8, 8], "crop [3, 2, 8, 8] begins between two chroma samples of yuv420p", "use 2 for left and 2 for"),
    ],
)
def test_an_impossible_crop(tmp_path: Path, crop: list[int], message: str, hint: str) -> None:
    source = write(tmp_path / "a.mp4", SCENES[:1])
    with pytest.raises(PlanError) as caught:
        compiled({"source": decoder(source, crop=crop), "record": RecordSpec(inputs=("source.video",))})
    (problem,) = caught.value.problems
    assert (problem.code, message in problem.message, hint in problem.hint) == ("E441", True, True)


# ------------------------------------------------------------------------------------------------------ rates


@pytest.mark.parametrize(("every", "kept"), [(1, range(10)), (3, (0, 3, 6, 9)), (4, (0, 4, 8)), (20, (0,))])
def test_every(tmp_path: Path, every: int, kept: Sequence[int]) -> None:
    source = write(tmp_path / "a.mp4", SCENES)
    whole, (part, result) = recorded(source), seen_of(source, every=every)
    assert [seen.index for seen in part] == list(range(len(kept)))
    assert [seen.time for seen in part] == [Fraction(index, 25) for index in kept]
    assert all(np.array_equal(seen.pixels, whole[index].pixels) for seen, index in zip(part, kept, strict=True))
    params = result.plan.node("source").params
    assert (params.frame_count, params.exact_count) == (len(kept), True)
    counts = {name: (one.dropped, one.repeated) for name, one in result.selected.items()}
    assert counts == ({"source": (10 - len(kept), 0)} if every > 1 else {})


def test_every_together_with_start_and_end(tmp_path: Path) -> None:
    source = write(tmp_path / "a.mp4", SCENES)
    part = recorded(source, every=2, start=0.12, end=0.36)
    assert [seen.time for seen in part] == [0, Fraction(2, 25), Fraction(4, 25)]
    whole = recorded(source)
    assert all(np.array_equal(seen.pixels, whole[index].pixels) for seen, index in zip(part, (3, 5, 7), strict=True))


def fps_filter(path: Path, fps: str) -> list[tuple[int, Any]]:
    """Return the times, in frames, and the pictures that FFmpeg's filter ``fps`` makes."""
    chain = FrameFilter([("fps", f"fps={fps}")])
    frames = [result for frame in frames_of(path) for result in chain.push(frame)]
    return [(frame.pts or 0, frame.to_ndarray()) for frame in [*frames, *chain.finish()]]


@pytest.mark.parametrize("fps", ["10", "25", "60", "30000/1001", "7.5"])
@pytest.mark.parametrize("uneven", [False, True])
def test_constant_rate(tmp_path: Path, fps: str, uneven: bool) -> None:
    times = [Fraction(t, 1000) for t in (0, 40, 70, 200, 210, 220, 330, 500, 520, 600)] if uneven else None
    base = Fraction(1, 1000) if uneven else None
    source = write(tmp_path / "a.mkv", SCENES, codec="ffv1", times=times, time_base=base)
    frames, expected = decoded(source, fps=fps), fps_filter(source, fps)
    assert [frame.pts for frame in frames] == list(range(len(frames)))
    assert {frame.duration for frame in frames} == {1 / Fraction(fps)}
    # The filter does not know how long the last frame is shown.
    assert 0 <= len(frames) - len(expected) <= -(-Fraction(fps) / 15 // 1)
    for frame, (pts, wanted) in zip(frames, expected, strict=False):
        assert (frame.pts, np.array_equal(frame.picture.to_ndarray(), wanted)) == (pts, True)
    seen, result = seen_of(source, fps=fps)
    assert [one.time for one in seen] == [index / Fraction(fps) for index in range(len(frames))]
    selected = result.selected["source"]
    assert selected.repeated - selected.dropped == len(frames) - 10
    spec: Any = result.plan.node("source").outputs[0].type
    assert (spec.rate, spec.time_base, spec.variable_rate) == (Fraction(fps), 1 / Fraction(fps), False)


def test_rates_exclude_each_other() -> None:
    with pytest.raises(ValueError, match=r"fps 10\.0 and every 2 exclude each other"):
        compiled({"source": decoder(Path("a.mp4"), every=2, fps=10)})
    with pytest.raises(ValueError, match="'fast' is not a rate"):
        compiled({"source": decoder(Path("a.mp4"), fps="fast")})
    with pytest.raises(ValueError, match=r"crop \[1, 2, 3\] has 3 numbers"):
        compiled({"source": decoder(Path("a.mp4"), crop=[1, 2, 3])})


# --------------------------------------------------------------------------------------- frames that change


def test_another_size_is_refused(tmp_path: Path) -> None:
    source = spliced(tmp_path, SCENES[:5], [soft_scene(index, 96, 72) for index in range(3)])
    with pytest.raises(RunError) as caught:
        recorded(source)
    error = caught.value
    assert (error.problems[0].code, error.frame, error.time) == ("E440", 5, Fraction(1, 5))
    assert error.cause == "the picture becomes 96x72; up to here it was 64x48"
    assert error.hint.startswith("set decoder.end=0.2 to stop there, or decoder.size_change=letterbox")
    assert len(recorded(source, end=0.2)) == 5
    with pytest.raises(RunError, match="the picture is 96x72, but the file says 64x48"):
        recorded(source, start=0.2)


def test_another_size_is_fitted_into_the_first(tmp_path: Path) -> None:
    narrow = [np.full((96, 64, 3), 200, np.uint8)] * 2
    source = spliced(tmp_path, SCENES[:2], [soft_scene(5, 128, 96)], narrow, SCENES[7:8])
    seen, result = seen_of(source, size_change="letterbox")
    assert [one.time for one in seen] == [Fraction(index, 25) for index in range(6)]
    assert {one.pixels.shape for one in seen} == {(48, 64, 3)}
    assert np.abs(seen[2].pixels.astype(int) - soft_scene(5, *SIZE)).max() <= 16
    # 64x96 becomes 32x48, with black on both sides.
    for one in seen[3:5]:
        assert np.abs(one.pixels[:, 18:46].astype(int) - 200).max() <= 2
        assert max(one.pixels[:, :14].max(), one.pixels[:, 50:].max()) <= 2
    assert np.abs(seen[5].pixels.astype(int) - SCENES[7]).max() <= 16
    assert [(problem.code, problem.message.split(": ", 1)[1]) for problem in result.problems] == [
        (
            "W122",
            "1 frame from 0.080 s on is 128x96 yuvj420p bt601/full, and became 64x48 yuvj420p bt601/full",
        ),
        (
            "W122",
            "2 frames from 0.120 s on are 64x96 yuvj420p bt601/full, and became 64x48 yuvj420p bt601/full",
        ),
    ]


def test_another_pixel_format_becomes_the_first(tmp_path: Path) -> None:
    finer = [jpeg(picture, "4:4:4") for picture in SCENES[2:4]]
    seen, result = seen_of(spliced(tmp_path, SCENES[:2], finer))
    for one, drawn in zip(seen, SCENES[:4], strict=True):
        assert np.abs(one.pixels.astype(int) - drawn).max() <= 16
    assert [problem.code for problem in result.problems] == ["W122"]
    assert "2 frames from 0.080 s on are 64x48 yuvj444p" in result.problems[0].message


# ---------------------------------------------------------------------------------------------------- formats

BANDS = np.array([[200, 40, 40], [40, 180, 60], [50, 60, 210], [120, 120, 120]], np.uint8)
"""Colours of four vertical bands."""


@pytest.mark.parametrize(
    ("pix_fmt", "codec", "name"),
    [
        *[(form, "rawvideo", "a.nut") for form in ("nv12", "nv21", "yuyv422", "uyvy422", "bgr24", "rgb565le", "bgra")],
        *[(form, "ffv1", "a.mkv") for form in ("yuv440p", "yuv411p", "yuv410p", "gray", "gray10le", "gray16le")],
        *[(form, "ffv1", "a.mkv") for form in ("yuv444p12le", "yuv422p10le", "gbrp10le", "yuv420p16le")],
    ],
)
def test_levels_of_a_pixel_format(tmp_path: Path, pix_fmt: str, codec: str, name: str) -> None:
    picture = np.repeat(np.repeat(BANDS[None], 48, 0), 16, 1)
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
        format=pix_fmt, dst_colorspace=5, interpolation=4 | 0x2000 | 0x40000
    )
    source = write(tmp_path / name, [frame], codec=codec, pix_fmt=pix_fmt)
    (seen,) = recorded(source)
    (stored,) = frames_of(source)
    middles = [8, 24, 40, 56]
    if pix_fmt.startswith(("bgr", "gbr", "rgb")):
        expected = stored.to_ndarray(format="rgb24")[24, middles].astype(float)
    else:
        # The stored samples, by swscale without a change of colours, and the formulas.
        samples = stored.reformat(format="yuv444p16le").to_ndarray().astype(float) / 256
        y, u, v = np.moveaxis(samples[24:25, middles], -1, 0)
        expected = ideal_rgb(y, u, v, "bt601", False)[0]
    off = np.abs(seen.pixels[24, middles].astype(float) - expected)
    assert off.max() <= 2, (seen.pixels[24, middles], expected)
