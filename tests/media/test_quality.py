"""Test PSNR and SSIM against numpy, on lossless clips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from bmfgraph.errors import RunError
from bmfgraph.media.quality import measure
from tests.tools import Pixels, picture

Clip = Callable[..., Path]


def noisy(index: int, width: int, height: int) -> Pixels:
    noise = np.random.default_rng(index).integers(-9, 10, (height, width, 1))
    return np.clip(picture(index, width, height).astype(int) + noise, 0, 255).astype(np.uint8)


def luma(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="gray").astype(float) for frame in container.decode(video=0)]


@pytest.mark.parametrize("size", [(64, 48), (66, 50)])
def test_psnr_is_that_of_numpy(clip: Clip, size: tuple[int, int]) -> None:
    lossless = {"codec": "ffv1", "size": size, "frames": 3}
    one, other = clip("a.mkv", **lossless), clip("b.mkv", draw=noisy, **lossless)
    metrics = measure(one, other)
    expected = [10 * np.log10(255**2 / np.mean((a - b) ** 2)) for a, b in zip(luma(one), luma(other), strict=True)]
    # `gray` is full range and the planes are not, hence the factor.
    expected = [value + 20 * np.log10(255 / 219) for value in expected]
    assert metrics["psnr_y"] == pytest.approx(np.mean(expected), abs=0.2)
    assert metrics["psnr_y_min"] == pytest.approx(min(expected), abs=0.2)
    assert (metrics["frames"], metrics["reference"]) == (3, str(other))


def test_psnr_of_known_planes(clip: Clip) -> None:
    """Grey levels 100 against 110 in the luma plane itself: 10 * log10(255² / 100)."""

    def plane(level: int) -> Callable[[Path], Path]:
        def write(path: Path) -> Path:
            with av.open(str(path), "w") as container:
                stream = container.add_stream("ffv1", rate=25)
                stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
                frame = av.VideoFrame.from_ndarray(np.full((24, 32), level, np.uint8), format="yuv420p")
                frame.pts = 0
                container.mux(stream.encode(frame))
                container.mux(stream.encode(None))
            return path

        return write

    folder = clip("unused.mp4", frames=1).parent
    one, other = plane(100)(folder / "one.mkv"), plane(110)(folder / "other.mkv")
    assert measure(one, other)["psnr_y"] == round(10 * np.log10(255**2 / 100), 4)


def test_equal_clips_reach_the_limit(clip: Clip) -> None:
    path = clip()
    metrics = measure(path, path)
    metrics.pop("vmaf", None)
    assert metrics == {
        "reference": str(path),
        "frames": 8,
        "psnr_y": 100.0,
        "psnr_y_min": 100.0,
        "ssim": 1.0,
        "ssim_min": 1.0,
    }


def stored_luma(path: Path) -> list[NDArray[np.float64]]:
    """The luma planes as they are stored in 8 bits."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [frame.to_ndarray()[: frame.height].astype(float) for frame in frames]


def ssim_by_definition(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Wang et al. (2004), equation 13, over blocks of 8x8 pixels at every fourth pixel, with unbiased variances."""
    # FFmpeg divides C1 by the 64 pixels once too often, which shows in dark blocks only.
    c1, c2 = (0.01 * 255) ** 2 / 64, (0.03 * 255) ** 2
    x, y = (np.lib.stride_tricks.sliding_window_view(plane, (8, 8))[::4, ::4].reshape(-1, 64) for plane in (a, b))
    mean_x, mean_y = x.mean(1), y.mean(1)
    covariance = ((x - mean_x[:, None]) * (y - mean_y[:, None])).sum(1) / 63
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return float(np.mean(luminance * (2 * covariance + c2) / (x.var(1, ddof=1) + y.var(1, ddof=1) + c2)))


@pytest.mark.parametrize("size", [(64, 48), (66, 50), (8, 8)])
def test_ssim_is_that_of_its_definition(clip: Clip, size: tuple[int, int]) -> None:
    lossless = {"codec": "ffv1", "size": size, "frames": 3}
    one, other = clip("a.mkv", **lossless), clip("b.mkv", draw=noisy, **lossless)
    expected = [ssim_by_definition(a, b) for a, b in zip(stored_luma(one), stored_luma(other), strict=True)]
    metrics = measure(one, other)
    assert max(expected) < 0.999
    assert metrics["ssim"] == pytest.approx(np.mean(expected), abs=2e-6)
    assert metrics["ssim_min"] == pytest.approx(min(expected), abs=2e-6)


def test_pictures_too_small_for_ssim(clip: Clip) -> None:
    one = clip("a.mkv", codec="ffv1", size=(6, 6), frames=2, draw=lambda *_: np.full((6, 6, 3), 40, np.uint8))
    other = clip("b.mkv", codec="ffv1", size=(6, 6), frames=2, draw=lambda *_: np.full((6, 6, 3), 90, np.uint8))
    metrics = measure(one, other)
    assert metrics.keys() == {"reference", "frames", "psnr_y", "psnr_y_min"}
    assert metrics["psnr_y"] < 20


def test_vmaf_is_there_where_ffmpeg_has_it(clip: Clip) -> None:
    here = "libvmaf" in av.filter.filters_available
    noise = clip("b.mkv", codec="ffv1", size=(96, 64), draw=noisy)
    metrics = measure(noise, clip("a.mkv", codec="ffv1", size=(96, 64)))
    assert ("vmaf" in metrics) == here
    if here:
        assert 0 < metrics["vmaf"] < measure(noise, noise)["vmaf"] <= 100
    assert "vmaf" not in measure(clip("c.mp4", size=(64, 48)), clip("d.mp4", size=(64, 48)))


def test_frames_are_paired_by_number_and_not_by_time(clip: Clip) -> None:
    even = clip("a.mp4", frames=4, rate=25)
    uneven = clip("b.mkv", times=[0.5, 0.53, 0.9, 2.0])
    metrics = measure(uneven, even)
    assert (metrics["frames"], metrics["psnr_y_min"] > 45, metrics["ssim_min"] > 0.99) == (4, True, True)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_pictures_are_compared_as_they_are_shown(clip: Clip, degrees: int) -> None:
    turned = clip("a.mp4", size=(96, 64), frames=2, rotation=degrees)
    with av.open(str(turned)) as container:
        images = [
            np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90) for frame in container.decode(video=0)
        ]
    upright = clip("b.mp4", size=images[0].shape[1::-1], frames=2, draw=lambda index, *_: images[index].copy())
    assert measure(upright, turned)["psnr_y_min"] > 40


@pytest.mark.parametrize(("code", "matrix", "full"), [(1, "ITU709", 1), (6, "ITU601", 1), (1, "ITU709", 2)])
def test_rgb_is_compared_in_the_matrix_and_range_of_the_other(
    clip: Clip, tmp_path: Path, code: int, matrix: str, full: int
) -> None:
    """A saturated colour: the other matrix gives another luma, and so does the other range."""
    red = np.full((48, 64, 3), (200, 30, 30), np.uint8)
    rgb = clip("a.mkv", codec="ffv1", pix_fmt="bgr0", draw=lambda *_: red, frames=1)
    yuv = tmp_path / "b.mkv"
    with av.open(str(yuv), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = code, full
        frame = av.VideoFrame.from_ndarray(red, format="rgb24")
        frame = frame.reformat(format="yuv444p", dst_colorspace=matrix, dst_color_range=full)
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for one, other in ((rgb, yuv), (yuv, rgb)):
        assert measure(one, other)["psnr_y"] > 45


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv444p"])
def test_other_pixel_formats_are_close(clip: Clip, pix_fmt: str) -> None:
    metrics = measure(clip("a.mp4", pix_fmt=pix_fmt), clip("b.mp4"))
    assert metrics["psnr_y"] > 35


def test_rgb_is_close_to_what_it_was_made_of(clip: Clip) -> None:
    metrics = measure(clip("a.mkv", codec="ffv1", pix_fmt="bgr0"), clip("b.mkv", codec="ffv1", pix_fmt="yuv444p"))
    assert metrics["psnr_y"] > 40


def refused(clip: Path, reference: Path) -> str:
    with pytest.raises(RunError) as caught:
        measure(clip, reference)
    assert caught.value.hint
    return caught.value.cause


def test_clips_that_cannot_be_compared(clip: Clip, tmp_path: Path) -> None:
    path, short, small = clip("a.mp4"), clip("short.mp4", frames=5), clip("small.mp4", size=(32, 32))
    assert refused(path, short) == f"{str(short)!r} ends after 5 frames, the other goes on"
    assert refused(short, path) == f"{str(short)!r} ends after 5 frames, the other goes on"
    assert refused(path, small) == f"{str(path)!r} is 64x48, {str(small)!r} is 32x32"
    text = tmp_path / "text.mp4"
    text.write_text("no clip" * 99)
    assert refused(path, text).startswith("cannot be compared (")
    assert "no.mp4" in refused(path, tmp_path / "no.mp4")


def test_clips_without_frames(clip: Clip) -> None:
    empty = clip("a.mkv", codec="ffv1", frames=0)
    assert refused(empty, empty).startswith("cannot be compared (")


def test_a_reference_without_video(clip: Clip, tmp_path: Path) -> None:
    sound = tmp_path / "sound.wav"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame(format="s16", layout="mono", samples=800)
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert refused(clip(), sound) == f"{str(sound)!r} has no video stream"


def test_a_clip_that_is_a_part_is_compared_as_far_as_it_goes(clip: Clip) -> None:
    part, whole = clip("part.mp4", frames=3), clip("whole.mp4", frames=5)
    with pytest.raises(RunError, match="ends after 3 frames"):
        measure(part, whole)
    assert measure(part, whole, whole=False)["frames"] == 3
    with pytest.raises(RunError, match="ends after 3 frames"):
        measure(whole, part, whole=False)


def deep(path: Path, pixel_format: str, luma: NDArray[np.uint16], bits: int) -> Path:
    """Write one lossless frame with this luma."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = luma.shape
        stream.pix_fmt = pixel_format
        frame = av.VideoFrame(stream.width, stream.height, pixel_format)
        for number, plane in enumerate(frame.planes):
            data = np.full((plane.height, plane.line_size // 2), 1 << (bits - 1), np.uint16)
            if number == 0:
                data[:, : plane.width] = luma
            plane.update(data.tobytes())
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("pixel_format", "bits"), [("yuv420p10le", 10), ("yuv444p12le", 12), ("gray16le", 16)])
def test_deep_clips_are_compared_in_their_own_bits(tmp_path: Path, pixel_format: str, bits: int) -> None:
    rng = np.random.default_rng(1)
    a = rng.integers(0, 2**bits, (48, 64)).astype(np.uint16)
    b = a ^ rng.integers(0, 4, a.shape).astype(np.uint16)
    metrics = measure(deep(tmp_path / "a.mkv", pixel_format, a, bits), deep(tmp_path / "b.mkv", pixel_format, b, bits))
    error = np.mean((a.astype(float) - b) ** 2)
    assert metrics["psnr_y"] == pytest.approx(min(100, 10 * np.log10((2**bits - 1) ** 2 / error)), abs=1e-3)
    assert 0.9999 < metrics["ssim"] <= 1


def test_a_deep_clip_and_its_8_bits(tmp_path: Path) -> None:
    """A step of 8 bits is 4 codes of 10 bits: the mean square of the lost ones is 3.5."""
    luma = np.arange(64, 64 + 48 * 16, dtype=np.uint16).reshape(12, 64)
    first = deep(tmp_path / "a.mkv", "gray10le", luma, 10)
    second = tmp_path / "b.mkv"
    with av.open(str(second), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = 12, 64, "gray"
        container.mux(stream.encode(av.VideoFrame.from_ndarray((luma >> 2).astype(np.uint8), format="gray")))
        container.mux(stream.encode(None))
    assert measure(first, second)["psnr_y"] == pytest.approx(10 * np.log10(1023**2 / 3.5), abs=1e-3)
