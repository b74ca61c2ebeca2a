"""Test the images, sizes, times and colours of downscaled clips, and that existing files are reused."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bmfgraph.errors import RunError
from bmfgraph.media.downscale import Downscaled, downscaled
from bmfgraph.media.probe import probe
from bmfgraph.media.quality import measure
from tests.tools import Pixels, cut

Clip = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "new" / "folder"


def waves(index: int, width: int, height: int) -> Pixels:
    """Draw moving grey waves with a length of about 12 pixels."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    grey = 128 + 60 * np.sin(x / 2 + index) + 40 * np.cos(y / 2)
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def frames(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def luma(frame: Any) -> NDArray[Any]:
    """Return the stored luma plane."""
    plane, dtype = frame.planes[0], np.uint8 if frame.format.components[0].bits == 8 else np.dtype("<u2")
    return np.frombuffer(plane, dtype).reshape(frame.height, -1)[:, : frame.width]


def times(path: Path) -> list[Fraction]:
    return [Fraction(frame.pts or 0) * Fraction(frame.time_base or 0) for frame in frames(path)]


def difference(a: NDArray[Any], b: NDArray[Any]) -> int:
    """Return the largest absolute difference."""
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_pictures_are_those_of_a_bicubic_filter(clip: Clip, folder: Path, scale: int) -> None:
    """Pillow's filter is a little softer. The same images, shifted by a pixel, differ much more."""
    source = clip("a.mkv", codec="ffv1", size=(120, 96), draw=waves, frames=3)
    result = downscaled(source, scale, folder)
    assert result.reference == source
    for small, large in zip(frames(result.clip), frames(source), strict=True):
        size = (120 // scale, 96 // scale)
        expected = np.asarray(Image.fromarray(luma(large)).resize(size, Image.Resampling.BICUBIC))
        inside = luma(small)[2:-2, 2:-2]
        assert (small.width, small.height) == size
        assert difference(inside, expected[2:-2, 2:-2]) <= 6
        assert difference(inside, expected[2:-2, 1:-3]) > 20


@pytest.mark.parametrize(
    ("size", "scale", "small", "large"),
    [((97, 65), 2, (48, 32), (96, 64)), ((98, 64), 2, (48, 32), (96, 64)), ((64, 50), 3, (20, 16), (60, 48))],
)
def test_sides_are_cropped_to_even_multiples(
    clip: Clip, folder: Path, size: tuple[int, int], scale: int, small: tuple[int, int], large: tuple[int, int]
) -> None:
    source = clip("a.mkv", codec="ffv1", size=size, draw=waves, pix_fmt="yuv444p", frames=3)
    result = downscaled(source, scale, folder)
    assert result.reference.parent == result.clip.parent == folder
    for small_frame, frame, original in zip(frames(result.clip), frames(result.reference), frames(source), strict=True):
        assert ((small_frame.width, small_frame.height), (frame.width, frame.height)) == (small, large)
        assert difference(luma(frame), luma(original)[: large[1], : large[0]]) == 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {"rate": Fraction(30000, 1001)}),
        ("a.mkv", {"rate": Fraction(30000, 1001)}),
        ("a.mp4", {"times": [0.35, 0.4, 1.0, 1.9]}),
        ("a.mkv", {"times": [0.35, 0.4, 1.0, 1.9]}),
        ("a.avi", {}),
        ("a.webm", {}),
    ],
)
def test_frames_keep_their_times(clip: Clip, folder: Path, name: str, options: dict[str, Any]) -> None:
    source = clip(name, size=(66, 48), **options)
    result = downscaled(source, 2, folder)
    before, after = probe(source), probe(result.clip)
    assert times(result.clip) == times(result.reference) == times(source)
    assert (after.frame_count, after.frames.rate, after.frames.variable_rate) == (
        before.frame_count,
        before.frames.rate,
        before.frames.variable_rate,
    )


def test_a_stream_without_times(clip: Clip, folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "a.h264"
    source.write_bytes(raw(clip("a.mp4", frames=5)))
    result = times(downscaled(source, 2, folder).clip)
    assert [time - result[0] for time in result] == [Fraction(number, 25) for number in range(5)]


def raw(path: Path) -> bytes:
    """Return the H.264 stream of an MP4 file, without the container."""
    stored = path.with_suffix(".h264")
    with av.open(str(path)) as source, av.open(str(stored), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    return stored.read_bytes()


def test_one_frame(clip: Clip, folder: Path) -> None:
    assert len(frames(downscaled(clip(frames=1), 2, folder).clip)) == 1


def test_audio_is_dropped(clip: Clip, folder: Path) -> None:
    with av.open(str(downscaled(clip("a.mp4", audio="aac"), 2, folder).clip)) as container:
        assert [stream.type for stream in container.streams] == ["video"]


@pytest.mark.parametrize(
    ("pix_fmt", "levels"), [("yuv420p", 1), ("yuv422p", 1), ("yuv444p", 1), ("yuv420p10le", 4), ("yuv422p10le", 4)]
)
def test_depth_and_chroma_stay_with_almost_no_loss(clip: Clip, folder: Path, pix_fmt: str, levels: int) -> None:
    source = clip("a.mkv", codec="ffv1", size=(98, 64), pix_fmt=pix_fmt, draw=waves, frames=2)
    result = downscaled(source, 2, folder)
    small, large = frames(result.clip)[0], frames(result.reference)[0]
    assert (small.format.name, large.format.name) == (pix_fmt, pix_fmt)
    assert difference(luma(large), luma(frames(source)[0])[:, :96]) == 0
    expected = large.reformat(48, 32, interpolation="BICUBIC")
    # Rounding adds a level.
    assert difference(luma(small), luma(expected)) <= levels + 1


def test_rgb_stays_rgb(clip: Clip, folder: Path) -> None:
    source = clip("a.mkv", codec="ffv1", size=(98, 64), pix_fmt="bgr0", draw=waves, frames=2, color=(1, 1))
    result = downscaled(source, 2, folder)
    for path in result:
        assert (frames(path)[0].format.name, probe(path).frames.color.matrix) == ("gbrp", "rgb")
    assert difference(frames(result.reference)[0].to_ndarray(format="rgb24"), waves(0, 98, 64)[:, :96]) == 0


def test_twelve_bits_become_ten(clip: Clip, folder: Path) -> None:
    result = downscaled(clip("a.mkv", codec="ffv1", pix_fmt="yuv420p12le"), 2, folder)
    assert frames(result.clip)[0].format.name == "yuv420p10le"


@pytest.mark.parametrize("color", [(1, 1), (1, 2), (6, 1), (9, 1)])
def test_colours_are_neither_changed_nor_forgotten(clip: Clip, folder: Path, color: tuple[int, int]) -> None:
    source = clip(
        "a.mkv", codec="ffv1", size=(66, 48), color=color, draw=lambda *_: np.full((48, 66, 3), 240, np.uint8)
    )
    level = luma(frames(source)[0])[0, 0]
    for path in downscaled(source, 2, folder):
        frame = frames(path)[0]
        assert (int(frame.colorspace), int(frame.color_range)) == color
        assert difference(luma(frame), np.full((frame.height, frame.width), level)) <= 1


@pytest.mark.parametrize(("size", "matrix"), [((1280, 16), "bt709"), ((640, 16), "bt601")])
def test_untagged_video_is_tagged_with_the_matrix_of_its_size(
    clip: Clip, folder: Path, size: tuple[int, int], matrix: str
) -> None:
    source = clip(size=size, frames=1)
    assert not probe(source).frames.color.tagged
    color = probe(downscaled(source, 2, folder).clip).frames.color
    assert (color.matrix, color.tagged) == (matrix, True)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_pictures_are_upright(clip: Clip, folder: Path, degrees: int) -> None:
    source = clip("a.mp4", size=(96, 64), rotation=degrees, draw=waves, frames=3)
    result = downscaled(source, 2, folder)
    assert probe(result.clip).rotation == probe(result.reference).rotation == 0
    for large, original in zip(frames(result.reference), frames(source), strict=True):
        assert difference(luma(large), np.rot90(luma(original), original.rotation // 90)) == 0
    small, upright = probe(result.clip).frames, probe(source).frames
    assert (small.width * 2, small.height * 2) == (upright.width, upright.height)
    assert measure(result.reference, source)["psnr_y"] == 100


def test_the_shape_of_pixels_stays(clip: Clip, folder: Path) -> None:
    """The sample aspect ratio of a rotated clip is inverted."""
    for degrees, expected in ((0, Fraction(4, 3)), (90, Fraction(3, 4))):
        # H.264 carries it in its own header.
        options = {"x264-params": "sar=4/3"}
        result = downscaled(clip(f"{degrees}.mp4", rotation=degrees, options=options), 2, folder)
        with av.open(str(result.clip)) as container:
            assert container.streams.video[0].sample_aspect_ratio == expected


# ---------------------------------------------------------------------------------------------------- keeping


def stamps(result: Downscaled) -> list[tuple[str, int]]:
    return [(path.name, path.stat().st_ino) for path in result]


def test_existing_files_are_reused(clip: Clip, folder: Path, tmp_path: Path) -> None:
    source = clip("a.mp4", size=(66, 48))
    first = downscaled(source, 2, folder)
    before = stamps(first)
    assert stamps(downscaled(source, 2, folder)) == before
    same = tmp_path / "same.mp4"
    same.write_bytes(source.read_bytes())
    assert stamps(downscaled(same, 2, folder)) == before
    assert sorted(folder.iterdir()) == sorted(first)


def test_other_or_missing_files_are_created(clip: Clip, folder: Path) -> None:
    source = clip("a.mp4", size=(66, 48))
    first = downscaled(source, 2, folder)
    assert downscaled(source, 3, folder).clip != first.clip
    first.reference.unlink()
    assert downscaled(source, 2, folder).reference.exists()
    clip("a.mp4", size=(66, 48), frames=5)
    second = downscaled(source, 2, folder)
    assert second.clip != first.clip
    assert len(frames(second.clip)) == 5


# ----------------------------------------------------------------------------------------------------- errors


def refused(clip: Path, scale: int, folder: Path) -> RunError:
    with pytest.raises(RunError) as caught:
        downscaled(clip, scale, folder)
    assert caught.value.hint
    assert not folder.is_dir() or list(folder.iterdir()) == []
    return caught.value


@pytest.mark.parametrize("scale", [1, 0, -2])
def test_factors_that_reduce_nothing(clip: Clip, folder: Path, scale: int) -> None:
    assert refused(clip(), scale, folder).cause == f"cannot reduce by {scale}"


def test_clips_that_are_too_small(clip: Clip, folder: Path) -> None:
    path = clip(size=(64, 6))
    assert refused(path, 4, folder).cause == f"{str(path)!r} is 64x6: too small to be reduced by 4"


def test_clips_that_cannot_be_read(clip: Clip, folder: Path, tmp_path: Path) -> None:
    assert refused(tmp_path / "no.mp4", 2, folder).problems[0].code == "E401"
    assert refused(cut(clip("a.mp4", frames=30), tmp_path / "cut.mp4", 0.5), 2, folder).problems[0].code in (
        "E404",
        "E407",
    )


def test_a_clip_that_changes_its_size(clip: Clip, folder: Path, tmp_path: Path) -> None:
    both = tmp_path / "both.h264"
    both.write_bytes(raw(clip("a.mp4", size=(64, 48))) + raw(clip("b.mp4", size=(96, 64))))
    assert refused(both, 2, folder).cause == f"{str(both)!r}: frame 8 has another size or format"


def test_a_damaged_clip(clip: Clip, folder: Path) -> None:
    path = clip("a.mp4", frames=30)
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat") + 4
    middle = slice(begin + 4000, begin + 6000)
    data[middle] = b"\xff" * 2000
    path.write_bytes(data)
    assert "cannot be reduced by 2 (Invalid data" in refused(path, 2, folder).cause


def test_folders_that_cannot_be_written_to(clip: Clip, tmp_path: Path, small_disk: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(RunError, match="cannot be reduced by 2 \\(") as caught:
        downscaled(clip(), 2, file)
    assert str(file) in caught.value.hint
    noise = itertools.count()

    def draw(index: int, width: int, height: int) -> Pixels:
        return np.random.default_rng(next(noise)).integers(0, 256, (height, width, 3), dtype=np.uint8)

    large = clip("large.mkv", codec="ffv1", size=(320, 240), frames=12, draw=draw)
    with pytest.raises(RunError, match="No space left"):
        downscaled(large, 2, small_disk)
    assert list(small_disk.iterdir()) == []
