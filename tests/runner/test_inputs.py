"""Read pictures, clips with alpha, and files of any name, as a run reads them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from bmfgraph.errors import BmfgraphError
from tests.runner.media_tools import (
    Pixels,
    RecordSpec,
    Sound,
    compiled,
    decoder,
    recorded,
    scene,
    sound_packets,
    transcode,
    video_times,
    write,
)

WIDTH, HEIGHT = 64, 48


def pictures(folder: Path, names: list[str]) -> list[Pixels]:
    """Write a different picture under each name."""
    images = [scene(index, WIDTH, HEIGHT) for index in range(len(names))]
    for image, name in zip(images, names, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / name)
    return images


def pixels(path: Path, **options: Any) -> list[Pixels]:
    """Return the pixels of the frames that reach a stage."""
    return [frame.pixels for frame in recorded(path, **options)]


def refusal(path: Path | str, **options: Any) -> tuple[str, str]:
    """Return code and text of the error that compiling gives."""
    with pytest.raises(BmfgraphError) as caught:
        compiled({"source": decoder(path, **options), "record": RecordSpec(inputs=("source.video",))})  # type: ignore[arg-type]
    return code_of(caught.value), str(caught.value)


def code_of(error: BmfgraphError) -> str:
    """Return the code of an error's only problem."""
    (problem,) = error.problems
    return problem.code


# ---------------------------------------------------------------------------------------------------- pictures


def test_numbered_pictures_have_exact_times(tmp_path: Path) -> None:
    images = pictures(tmp_path, [f"f_{number:03d}.png" for number in range(998, 1003)])
    frames = recorded(tmp_path / "f_%03d.png", rate="30000/1001")
    assert [frame.time for frame in frames] == [index * Fraction(1001, 30000) for index in range(5)]
    assert all(np.array_equal(frame.pixels, image) for frame, image in zip(frames, images, strict=True))


def test_start_and_end_of_pictures(tmp_path: Path) -> None:
    images = pictures(tmp_path, [f"{number}.png" for number in range(60)])
    frames = recorded(tmp_path, start=2.0, end=2.12)
    assert [frame.time for frame in frames] == [Fraction(0), Fraction(1, 25), Fraction(2, 25)]
    assert np.array_equal(frames[0].pixels, images[50])


def test_pictures_become_a_clip_of_their_duration(tmp_path: Path) -> None:
    pictures(tmp_path, ["a/1.png", "a/2.png", "a/10.png"])
    out = transcode(tmp_path / "a", tmp_path / "out.mp4")
    assert video_times(out) == [Fraction(0), Fraction(1, 25), Fraction(2, 25)]
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert stream.duration * stream.time_base == Fraction(3, 25)  # type: ignore[operator]


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.webp", "a.gif", "a.avif", "a.tga"])
def test_a_single_picture_is_one_frame(tmp_path: Path, name: str) -> None:
    image = np.full((HEIGHT, WIDTH, 3), (200, 100, 50), np.uint8)
    options: dict[str, Any] = {"lossless": True} if name == "a.webp" else {}
    Image.fromarray(image).save(tmp_path / name, **options)
    frames = recorded(tmp_path / name)
    assert [frame.time for frame in frames] == [0]
    assert np.abs(frames[0].pixels.astype(int) - image).max() <= (4 if name == "a.avif" else 0)


def test_the_plan_says_how_many_pictures_and_their_rate(tmp_path: Path) -> None:
    pictures(tmp_path, ["1.png", "2.png"])
    plan = compiled({"source": decoder(tmp_path / "*.png"), "record": RecordSpec(inputs=("source.video",))})
    node = plan.node("source")
    assert node.spec.summary(node, ()) == ("*.png", "2 pictures at 25 per second")
    assert [Path(path).name for path in node.files.reads] == ["1.png", "2.png"]
    assert (node.params.frame_count, node.params.exact_count, node.params.duration) == (2, True, 0.08)


# ------------------------------------------------------------------------------------------- pictures that move


def test_the_times_of_a_gif_are_its_own(tmp_path: Path) -> None:
    images = [Image.fromarray(scene(index, WIDTH, HEIGHT)).quantize(64) for index in range(3)]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=[100, 250, 400], disposal=1)
    frames = recorded(tmp_path / "a.gif")
    assert [frame.time for frame in frames] == [0, Fraction(1, 10), Fraction(35, 100)]
    plan = compiled({"source": decoder(tmp_path / "a.gif"), "record": RecordSpec(inputs=("source.video",))})
    assert plan.node("source").params.duration == 0.75


def test_the_times_of_an_apng_are_its_own(tmp_path: Path) -> None:
    images = [Image.fromarray(scene(index, WIDTH, HEIGHT)) for index in range(3)]
    images[0].save(tmp_path / "a.png", save_all=True, append_images=images[1:], duration=[100, 250, 400])
    frames = recorded(tmp_path / "a.png")
    assert [frame.time for frame in frames] == [0, Fraction(1, 10), Fraction(35, 100)]
    assert np.array_equal(frames[2].pixels, scene(2, WIDTH, HEIGHT))


def test_an_animated_webp_is_refused_in_words(tmp_path: Path) -> None:
    images = [Image.fromarray(scene(index, WIDTH, HEIGHT)) for index in range(3)]
    images[0].save(tmp_path / "a.webp", save_all=True, append_images=images[1:], duration=100)
    code, text = refusal(tmp_path / "a.webp")
    assert code == "E404"
    assert "an animated WebP, which FFmpeg 8 does not decode" in text


# ------------------------------------------------------------------------------------------------------- alpha


def half(mode: str, color: tuple[int, ...], alpha: int) -> Image.Image:
    """Return a picture whose right half is opaque."""
    array = np.zeros((HEIGHT, WIDTH, len(color) + 1), np.uint8)
    array[..., :-1], array[..., -1] = color, 255
    array[:, : WIDTH // 2, -1] = alpha
    return Image.fromarray(array, mode)


@pytest.mark.parametrize(
    ("background", "left"), [("black", (100, 50, 25)), ("white", (227, 177, 152)), ("#0000ff", (100, 50, 152))]
)
def test_transparent_pixels_show_the_background(tmp_path: Path, background: str, left: tuple[int, ...]) -> None:
    half("RGBA", (200, 100, 50), 128).save(tmp_path / "a.png")
    (image,) = pixels(tmp_path / "a.png", background=background)
    assert tuple(image[0, 0]) == left
    assert tuple(image[0, -1]) == (200, 100, 50)


def test_grey_and_palettes_with_alpha(tmp_path: Path) -> None:
    half("LA", (200,), 0).save(tmp_path / "grey.png")
    (image,) = pixels(tmp_path / "grey.png", background="red")
    assert tuple(image[0, 0]) == (255, 0, 0)
    assert tuple(image[0, -1]) == (200, 200, 200)
    palette = Image.fromarray(np.tile(np.arange(2, dtype=np.uint8).repeat(32), (HEIGHT, 1)), "P")
    palette.putpalette([9, 9, 9, 10, 200, 30])
    palette.save(tmp_path / "palette.png", transparency=0)
    (image,) = pixels(tmp_path / "palette.png", background="white")
    assert tuple(image[0, 0]) == (255, 255, 255)
    assert tuple(image[0, -1]) == (10, 200, 30)


def test_alpha_of_more_than_8_bits(tmp_path: Path) -> None:
    array = np.zeros((HEIGHT, WIDTH, 4), np.uint16)
    array[...] = (40000, 20000, 10000, 32768)
    frame = av.VideoFrame.from_ndarray(array, format="rgba64le")
    write(tmp_path / "a.mkv", [frame.reformat(format="gbrap16le")], codec="ffv1", pix_fmt="gbrap16le")
    plan = compiled({"source": decoder(tmp_path / "a.mkv"), "record": RecordSpec(inputs=("source.video",))})
    assert plan.node("source").outputs[0].type.pixel_format == "rgb48le"  # type: ignore[union-attr]
    (image,) = pixels(tmp_path / "a.mkv")
    # 40000 * 32768 / 65535 / 257, and so on
    assert np.abs(image[0, 0].astype(int) - (78, 39, 19)).max() <= 1


def test_alpha_of_deep_video(tmp_path: Path) -> None:
    array = np.full((HEIGHT, WIDTH, 4), 65535, np.uint16)
    array[:, : WIDTH // 2, 3] = 0
    frame = av.VideoFrame.from_ndarray(array, format="rgba64le").reformat(format="yuva444p10le")
    write(tmp_path / "a.mkv", [frame], codec="ffv1", pix_fmt="yuva444p10le")
    (image,) = pixels(tmp_path / "a.mkv", background="lime")
    assert tuple(image[0, 0]) == (0, 255, 0)
    assert tuple(image[0, -1]) == (255, 255, 255)


def test_webm_with_alpha(tmp_path: Path) -> None:
    array = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    array[..., :3], array[:, WIDTH // 2 :, 3] = (180, 60, 60), 255
    frame = av.VideoFrame.from_ndarray(array, format="rgba").reformat(format="yuva420p")
    write(tmp_path / "a.webm", [frame] * 3, codec="libvpx-vp9", pix_fmt="yuva420p", options={"crf": "5"})
    images = pixels(tmp_path / "a.webm", background="lime")
    assert len(images) == 3
    assert np.abs(images[1][24, 8].astype(int) - (0, 255, 0)).max() <= 3
    assert np.abs(images[1][24, 56].astype(int) - (180, 60, 60)).max() <= 6
    plan = compiled({"source": decoder(tmp_path / "a.webm"), "record": RecordSpec(inputs=("source.video",))})
    node = plan.node("source")
    assert node.spec.summary(node, ()) == ("a.webm", "transparent pixels on black")


# ------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("name", ["Film: part 1.mp4", "a\nb.mp4", "caf\udce9 100%.mp4"])
def test_names_of_any_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "clip.mp4", [scene(index, WIDTH, HEIGHT) for index in range(3)], sound=Sound()).rename(name)
    out = transcode(Path(name), Path(f"out {name}"))
    assert video_times(out) == [Fraction(index, 25) for index in range(3)]
    assert sound_packets(out)
