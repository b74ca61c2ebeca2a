"""Test that stages get the colours that a file's tags define, and that outputs are tagged as they are encoded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.runner.media_tools import (
    MATRIX,
    Pixels,
    as_rgb,
    as_yuv,
    frames_of,
    ideal_rgb,
    plane,
    psnr,
    recorded,
    scene,
    soft_scene,
    transcode,
    write,
)

FORMATS = [
    # Codec, pixel format, container, size
    ("ffv1", "yuv420p", ".mkv", (641, 361)),
    ("ffv1", "yuv422p", ".mkv", (641, 361)),
    ("ffv1", "yuv444p", ".mkv", (641, 361)),
    ("ffv1", "yuv420p10le", ".mkv", (641, 361)),
    ("ffv1", "gray", ".mkv", (641, 361)),
    ("rawvideo", "nv12", ".mkv", (322, 182)),
    ("libx264", "yuv420p", ".mp4", (322, 182)),
    ("libx264", "yuv422p", ".mp4", (322, 182)),
    ("libx264", "yuv444p", ".mp4", (321, 181)),
    ("libx264", "yuv420p10le", ".mp4", (322, 182)),
]
RANGES = pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
MATRICES = pytest.mark.parametrize("matrix", list(MATRIX))
NAMES = {1: "bt709", 5: "bt601", 6: "bt601", 9: "bt2020"}


def assert_close(seen: Pixels, expected: Pixels, most: float = 2, mean: float = 0.6) -> None:
    error = np.abs(seen.astype(float) - expected.astype(float))
    assert error.max() <= most
    assert error.mean() < mean


def colours(path: Path) -> tuple[str, bool]:
    """Return matrix and range in the tags of a file's frames."""
    frame = frames_of(path)[0]
    return NAMES[int(frame.colorspace)], int(frame.color_range) == 2


# ---------------------------------------------------------------------------------------------------------- in


@pytest.mark.sample(20)
@RANGES
@MATRICES
@pytest.mark.parametrize(("codec", "pix_fmt", "extension", "size"), FORMATS, ids=[f"{f[0]} {f[1]}" for f in FORMATS])
def test_tagged_video(
    tmp_path: Path, codec: str, pix_fmt: str, extension: str, size: tuple[int, int], matrix: str, full: bool
) -> None:
    pictures = [scene(index, *size) for index in range(2)]
    options = {"crf": "4"} if codec == "libx264" else {}
    path = write(
        tmp_path / f"a{extension}",
        pictures,
        codec=codec,
        pix_fmt=pix_fmt,
        matrix=matrix,
        full=full,
        tagged=True,
        options=options,
    )
    seen, frames = recorded(path), frames_of(path)
    assert colours(path) == (matrix, full)
    assert len(seen) == len(frames) == 2
    for one, frame in zip(seen, frames, strict=True):
        assert one.pixels.shape == (size[1], size[0], 3)
        assert_close(one.pixels, as_rgb(frame, matrix, full))
        if frame.format.name == "yuv444p":
            ideal = ideal_rgb(plane(frame, 0), plane(frame, 1), plane(frame, 2), matrix, full)
            assert np.abs(one.pixels - ideal).max() < 1.5


@pytest.mark.parametrize("size", [(64, 48), (1278, 64), (64, 576), (1280, 64), (64, 578)], ids=str)
@pytest.mark.parametrize(("codec", "extension"), [("libx264", ".mp4"), ("rawvideo", ".nut")])
def test_untagged_video_is_read_by_its_size(tmp_path: Path, size: tuple[int, int], codec: str, extension: str) -> None:
    matrix = "bt709" if size[0] >= 1280 or size[1] > 576 else "bt601"
    # Untagged video never counts as BT.2020.
    path = write(tmp_path / f"a{extension}", [scene(0, *size)], codec=codec, matrix="bt2020")
    (seen,) = recorded(path)
    assert_close(seen.pixels, as_rgb(frames_of(path)[0], matrix, False))


def test_full_range_by_the_pixel_format(tmp_path: Path) -> None:
    path = write(tmp_path / "a.avi", [scene(0, 96, 64)], codec="mjpeg", pix_fmt="yuvj422p", full=True)
    (seen,) = recorded(path)
    assert_close(seen.pixels, as_rgb(frames_of(path)[0], "bt601", True))


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "extension"),
    [
        ("rawvideo", "rgb24", ".nut"),
        ("rawvideo", "rgb24", ".mov"),
        ("ffv1", "bgr0", ".mkv"),
        ("libx264rgb", "rgb24", ".mkv"),
        ("png", "rgb24", ".mov"),
    ],
)
def test_rgb_video_is_handed_on_as_it_is(tmp_path: Path, codec: str, pix_fmt: str, extension: str) -> None:
    pictures = [scene(index, 161, 91) for index in range(2)]
    options = {"qp": "0"} if codec == "libx264rgb" else {}
    path = write(tmp_path / f"a{extension}", pictures, codec=codec, pix_fmt=pix_fmt, options=options)
    for one, picture in zip(recorded(path), pictures, strict=True):
        assert np.array_equal(one.pixels, picture)


# --------------------------------------------------------------------------------------------------------- out


def rgb_clip(folder: Path, picture: Callable[[int, int, int], Pixels] = soft_scene) -> Path:
    pictures = [picture(index, 160, 96) for index in range(3)]
    return write(folder / "rgb.nut", pictures, codec="rawvideo", pix_fmt="rgb24")


@pytest.mark.parametrize(
    ("name", "options", "mean"),
    [
        ("a.mp4", {"crf": 1}, 0.8),
        ("a.mp4", {"crf": 1, "pixel_format": "yuv444p"}, 0.8),
        ("a.mkv", {"crf": 1, "pixel_format": "yuv422p"}, 0.8),
        ("a.mp4", {"crf": 1, "pixel_format": "yuv420p10le"}, 0.5),
        ("a.ts", {"crf": 1}, 0.8),
        ("a.avi", {"crf": 1}, 0.8),
        ("a.webm", {"codec": "vp9", "crf": 4}, 1.5),
        ("a.mp4", {"codec": "mpeg4", "bit_rate": "20M"}, 2),
        ("a.mkv", {"codec": "mpeg4", "bit_rate": "20M"}, 2),
    ],
    ids=str,
)
def test_rgb_comes_back(tmp_path: Path, name: str, options: dict[str, Any], mean: float) -> None:
    path = transcode(rgb_clip(tmp_path), tmp_path / name, **options)
    matrix, full = colours(path)
    assert (matrix, full) == ("bt709", False)
    for index, frame in enumerate(frames_of(path)):
        assert_close(as_rgb(frame, matrix, full), soft_scene(index, 160, 96), most=16, mean=mean)


@pytest.mark.parametrize("name", ["a.avi", "a.ts", "a.mov"])
def test_what_cannot_be_tagged_is_written_as_it_will_be_read(tmp_path: Path, name: str) -> None:
    path = transcode(rgb_clip(tmp_path), tmp_path / name, codec="mpeg4", bit_rate="20M")
    for index, frame in enumerate(frames_of(path)):
        assert_close(as_rgb(frame, "bt601", False), soft_scene(index, 160, 96), most=16, mean=2)
    # The same holds for frames that need no conversion.
    tagged = write(tmp_path / "in.mp4", [soft_scene(0, 160, 96)], matrix="bt709", tagged=True, options={"crf": "4"})
    path = transcode(tagged, tmp_path / f"direct_{name}", rgb=False, codec="mpeg4", bit_rate="20M")
    assert_close(as_rgb(frames_of(path)[0], "bt601", False), soft_scene(0, 160, 96), most=16, mean=2)


def _luma(frame: av.VideoFrame, full: bool) -> Any:
    """Return luma in limited range."""
    levels = plane(frame, 0).astype(float)
    return levels * 219 / 255 + 16 if full else levels


@RANGES
@MATRICES
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p"])
@pytest.mark.parametrize("codec", ["ffv1", "libx264"])
def test_there_and_back(tmp_path: Path, codec: str, pix_fmt: str, matrix: str, full: bool) -> None:
    pictures = [soft_scene(index, 320, 180) for index in range(3)]
    options = {"crf": "4"} if codec == "libx264" else {}
    source = write(
        tmp_path / "in.mkv",
        pictures,
        codec=codec,
        pix_fmt=pix_fmt,
        matrix=matrix,
        full=full,
        tagged=True,
        options=options,
    )
    path = transcode(source, tmp_path / "out.mp4", crf=1, pixel_format=pix_fmt)
    # RGB is encoded with its source's matrix, always in limited range.
    assert colours(path) == (matrix, False)
    for one, other in zip(frames_of(source), frames_of(path), strict=True):
        assert psnr(_luma(one, full), _luma(other, False)) >= 45
        assert_close(as_rgb(other, matrix, False), as_rgb(one, matrix, full), most=8, mean=1)
        assert (other.color_primaries, other.color_trc) == (one.color_primaries, one.color_trc)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p"])
def test_chroma_stays_in_place(tmp_path: Path, pix_fmt: str) -> None:
    """Chroma that is read and written at different positions moves by a quarter pixel each time."""
    picture = scene(0, 128, 64)
    source = write(tmp_path / "0.mp4", [picture], pix_fmt=pix_fmt, matrix="bt709", tagged=True, options={"crf": "1"})
    path = source
    for turn in range(1, 5):
        path = transcode(path, tmp_path / f"{turn}.mp4", crf=1, pixel_format=pix_fmt)
    soft = [soft_scene(0, 128, 64)]
    gentle = write(tmp_path / "s.mp4", soft, pix_fmt=pix_fmt, matrix="bt709", tagged=True, options={"crf": "1"})
    again = gentle
    for turn in range(1, 5):
        again = transcode(again, tmp_path / f"s{turn}.mp4", crf=1, pixel_format=pix_fmt)
    for number in (1, 2):
        first, last = (plane(frames_of(one)[0], number) for one in (gentle, again))
        assert psnr(first, last) > 42
        # No drift to either side: the best match is at shift 0.
        first, last = (plane(frames_of(one)[0], number).astype(float) for one in (source, path))
        shifts = {shift: np.mean((np.roll(last, shift, axis=1) - first)[:, 4:-4] ** 2) for shift in (-1, 0, 1)}
        assert min(shifts, key=lambda one: shifts[one]) == 0
        assert shifts[1] == pytest.approx(shifts[-1], rel=0.5)


@RANGES
def test_frames_that_nothing_touches_keep_their_values(tmp_path: Path, full: bool) -> None:
    picture = [soft_scene(0, 128, 64)]
    source = write(tmp_path / "in.mp4", picture, matrix="bt709", full=full, tagged=True, options={"crf": "1"})
    path = transcode(source, tmp_path / "out.mp4", rgb=False, crf=1)
    assert NAMES[int(frames_of(path)[0].colorspace)] == "bt709"
    after, made_full = frames_of(path)[0], colours(path)[1]
    before = frames_of(source)[0]
    assert psnr(_luma(before, full), _luma(after, made_full)) > 50
    assert_close(as_rgb(after, "bt709", made_full), as_rgb(before, "bt709", full), most=8, mean=1)


def test_frames_with_side_data_come_through(tmp_path: Path) -> None:
    """BMF's own copy of a frame's properties never returns for these (time codes, captions, HDR, JPEG)."""
    pictures = [scene(index, 96, 64) for index in range(6)]
    for name, codec, pix_fmt, options in (
        ("a.avi", "mjpeg", "yuvj420p", {}),
        ("a.ts", "mpeg2video", "yuv420p", {"g": "2", "b": "4M"}),
    ):
        frames = [as_yuv(picture, pix_fmt, "bt601", codec == "mjpeg") for picture in pictures]
        source = write(tmp_path / name, frames, codec=codec, pix_fmt=pix_fmt, options=options)
        assert len(frames_of(transcode(source, tmp_path / f"{codec}.mp4"))) == 6
