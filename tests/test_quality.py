"""PSNR against numpy, on clips that are stored without loss."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from bmfgraph.errors import RunError
from bmfgraph.quality import measure
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
    found = measure(one, other)
    wanted = [10 * np.log10(255**2 / np.mean((a - b) ** 2)) for a, b in zip(luma(one), luma(other), strict=True)]
    # `gray` is full range and the planes are not, hence the factor.
    wanted = [value + 20 * np.log10(255 / 219) for value in wanted]
    assert found["psnr_y"] == pytest.approx(np.mean(wanted), abs=0.2)
    assert found["psnr_y_min"] == pytest.approx(min(wanted), abs=0.2)
    assert (found["frames"], found["reference"]) == (3, str(other))


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
    assert measure(path, path) == {"reference": str(path), "frames": 8, "psnr_y": 100.0, "psnr_y_min": 100.0}


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv444p"])
def test_other_pixel_formats_are_close(clip: Clip, pix_fmt: str) -> None:
    found = measure(clip("a.mp4", pix_fmt=pix_fmt), clip("b.mp4"))
    assert found["psnr_y"] > 35


def test_rgb_is_close_to_what_it_was_made_of(clip: Clip) -> None:
    found = measure(clip("a.mkv", codec="ffv1", pix_fmt="bgr0"), clip("b.mkv", codec="ffv1", pix_fmt="yuv444p"))
    assert found["psnr_y"] > 40


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


def test_a_reference_of_sound_alone(clip: Clip, tmp_path: Path) -> None:
    sound = tmp_path / "sound.wav"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame(format="s16", layout="mono", samples=800)
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert refused(clip(), sound) == f"{str(sound)!r} has no video stream"
