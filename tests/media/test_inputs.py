"""Find what a name stands for: one file, pictures, a pipe or an address."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from bmfgraph.errors import MediaError, SourceError
from bmfgraph.media.opening import is_url, open_video
from bmfgraph.media.picture_files import picture_files
from bmfgraph.media.pipes import is_pipe
from bmfgraph.media.probe import probe
from bmfgraph.media.quality import measure
from bmfgraph.media.sources import clip_sha256, locate_clip, located_input
from tests.runner.media_tools import frames_of, scene, write


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


# ---------------------------------------------------------------------------------------------------- pictures


def test_pictures_come_in_natural_order(here: Path) -> None:
    touch("s/10.png", "s/9.PNG", "s/x2.jpg", "s/x10.jpg", "s/notes.txt", "s/.hidden.png")
    assert picture_files("s") == ("s/9.PNG", "s/10.png", "s/x2.jpg", "s/x10.jpg")
    assert picture_files("s/x*.jpg") == ("s/x2.jpg", "s/x10.jpg")
    assert picture_files("s/?.PNG") == ("s/9.PNG",)


def test_numbered_pictures(here: Path) -> None:
    touch("f_0009.png", "f_0010.png", "f_11.png", "f_10000.png", "g1.png", "g2.png", "g03.png")
    assert picture_files("g%d.png") == ("g1.png", "g2.png")
    with pytest.raises(MediaError, match=r"'f_0011.png' is missing; the pictures go from 9 to 10000, and 9989 of them"):
        picture_files("f_%04d.png")
    Path("f_10000.png").unlink()
    assert picture_files("f_%04d.png") == ("f_0009.png", "f_0010.png")
    assert picture_files(Path("f_%04d.png").absolute()) == (str(here / "f_0009.png"), str(here / "f_0010.png"))


@pytest.mark.parametrize("name", ["none_%d.png", "no/such_%03d.png", "none*.png", "no/[ab].png"])
def test_a_pattern_without_pictures(here: Path, name: str) -> None:
    with pytest.raises(MediaError, match="does not exist: no file") as caught:
        picture_files(name)
    assert caught.value.code == "E401"


@pytest.mark.parametrize("name", ["a_%03d.png", "a*.png", "a[1].png", "100%.png", "%d%d.png"])
def test_a_file_with_a_pattern_as_its_name_is_that_file(here: Path, name: str) -> None:
    touch("a_001.png", "a1.png")
    Image.new("RGB", (16, 16), "red").save(name)
    assert picture_files(name) is None
    assert probe(Path(name)).frames.width == 16


def test_pictures_that_do_not_fit_together(here: Path) -> None:
    Image.new("RGB", (16, 16)).save("1.png")
    Image.new("RGB", (16, 8)).save("2.png")
    write(here / "3.mkv", [scene(0, 16, 16)])
    for number, size in (("2.png", "16x8 png"), ("3.mkv", "h264 video, and only pictures")):
        with pytest.raises(MediaError, match=f"'{number}' is {size}") as caught:
            probe(Path(f"[1{number[0]}].*"))
        assert caught.value.code == "E431"
    Path("4.png").write_text("no picture")
    with pytest.raises(MediaError, match=r"'4\.png' is not a picture that FFmpeg can read"):
        probe(Path("[14].png"))


def test_a_changed_picture_is_seen(here: Path) -> None:
    for number in (1, 2):
        Image.new("RGB", (16, 16)).save(f"{number}.png")
    assert probe(Path("%d.png")).frame_count == 2
    Image.new("RGB", (16, 16)).save("3.png")
    assert probe(Path("%d.png"), rate=Fraction(50)).frame_count == 3
    assert probe(Path("%d.png"), rate=Fraction(50)).duration == pytest.approx(0.06)
    Image.new("RGB", (8, 8)).save("3.png")
    with pytest.raises(MediaError):
        probe(Path("%d.png"))


def test_pictures_are_compared_and_hashed(here: Path) -> None:
    images = [scene(index, 64, 48) for index in range(3)]
    clip = write(here / "clip.mkv", images, codec="ffv1", pix_fmt="bgr0")
    for index, frame in enumerate(frames_of(clip)):
        Image.fromarray(frame.to_ndarray(format="rgb24")).save(f"p{index}.png")
    assert locate_clip("p*.png") == Path("p*.png")
    assert measure(clip, locate_clip("p*.png"))["psnr_y"] > 99
    before = clip_sha256("p*.png")
    assert clip_sha256("p%d.png") == before
    Image.new("RGB", (64, 48)).save("p1.png")
    assert clip_sha256("p%d.png") != before


# ------------------------------------------------------------------------------------------------------- names


NAMES = [
    "Film: part 1.mkv",
    "12:30.mkv",
    "a b.mkv",
    "100%.mkv",
    "-.mkv",
    "-",
    "a\nb.mkv",
    "http:clip.mkv",
    "caf\udce9.mkv",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_taken_as_they_are(here: Path, name: str) -> None:
    write(here / "clip.mkv", [scene(index, 64, 48) for index in range(2)]).rename(here / name)
    path = located_input(f"./{name}")
    assert isinstance(path, Path)
    assert probe(path).frame_count == 2
    with open_video(path) as container:
        assert len(list(container.decode(video=0))) == 2


def test_what_a_name_stands_for(here: Path) -> None:
    os.mkfifo("pipe")
    assert is_pipe("pipe")
    assert is_pipe("-")
    assert located_input("-") == "-"
    assert located_input("./-") == here / "-"
    assert is_url("HTTPS://example.org/a.mp4")
    assert not is_url("https:a.mp4")
    assert located_input("https://example.org/a.mp4") == "https://example.org/a.mp4"
    with pytest.raises(SourceError) as caught:
        located_input("https://user:secret@example.org/a.mp4")
    assert caught.value.code == "E420"
    with pytest.raises(SourceError, match="is a pipe or a device"):
        locate_clip("pipe")
