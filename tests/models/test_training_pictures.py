"""The list of training pictures, how they are gathered, and the pool that is made of them."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream
from PIL import Image

from bmfgraph.models.training import cut_clips, extract_git, prepare_data
from bmfgraph.models.training.crops import cut_pool
from bmfgraph.models.training.drawn_page import draw_page
from bmfgraph.models.training.picture_sources import CLIP_LIST, SourcePicture, listed_pictures
from bmfgraph.models.training.pool import PoolPicture, read_index


def source_picture(path: Path, name: str = "github/a+b@1/a.png") -> SourcePicture:
    return SourcePicture(path, name, "CC0-1.0", hashlib.sha256(path.read_bytes()).hexdigest())


def test_every_listed_picture_is_free_and_named_once() -> None:
    pictures = listed_pictures(Path("src"))
    assert len(pictures) > 300
    assert len({picture.name for picture in pictures}) == len({picture.sha256 for picture in pictures}) == len(pictures)
    assert {picture.name.split("/")[0] for picture in pictures} == {"debian", "github", "pypi"}
    packed = [PoolPicture(picture.path, picture.name, picture.licence) for picture in pictures]
    assert sum(picture.held_out for picture in packed) == 12
    assert sum(picture.drawn for picture in packed) == 13
    assert sum(picture.drawn and picture.held_out for picture in packed) == 1


@pytest.mark.parametrize("licence", ["GPL-2+", "LGPLv3", "CC-BY-NC-4.0", "CC-BY-ND-4.0", "GFDL-1.2", "", "CC-BY"])
def test_other_licences_are_refused(tmp_path: Path, licence: str) -> None:
    listing = tmp_path / "list.tsv"
    listing.write_text(f"a.png\t{licence}\t0\n")
    with pytest.raises(ValueError, match="not among the free licences"):
        listed_pictures(tmp_path, listing)
    listing.write_text("a.png\tCC0-1.0\n")
    with pytest.raises(ValueError, match="expected path, licence and SHA-256"):
        listed_pictures(tmp_path, listing)


def test_pool_leaves_out_flat_broken_and_changed_pictures(tmp_path: Path) -> None:
    names = ["flat.png", "broken.png", "changed.png", "page.png", "lossy.jpg"]
    files = [tmp_path / name for name in names]
    Image.new("RGB", (300, 300), (9, 9, 9)).save(files[0])
    files[1].write_bytes(b"no picture")
    for file in files[2:]:
        draw_page(0).crop((0, 0, 300, 900)).save(file)
    pictures = [source_picture(file, file.name) for file in files]
    draw_page(1).save(files[2])
    absent = SourcePicture(tmp_path / "absent.png", "absent.png", "CC0-1.0", "0")
    pool = prepare_data.prepare_pool([*pictures, absent], tmp_path / "pool", pages=1)
    assert [picture.name for picture in pool] == ["page.png", "lossy.jpg", "drawn page 0"]
    assert [picture.path.name for picture in pool] == ["003.jpg", "004.jpg", "006.jpg"]
    assert read_index(tmp_path / "pool") == pool
    for picture, size in zip(pool, [(300, 900), (200, 600)], strict=False):
        with Image.open(picture.path) as packed:
            assert packed.size == size


def test_pool_without_detail_is_refused(tmp_path: Path) -> None:
    tall = tmp_path / "tall.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (2100, 60, 3), dtype=np.uint8)).save(tall)
    prepare_data.prepare_pool([source_picture(tall)], tmp_path / "pool", pages=0)
    with pytest.raises(ValueError, match="large and detailed enough"):
        cut_pool(tmp_path / "pool")
    (tmp_path / "pool" / "index.tsv").write_text("000.jpg\tname\n")
    with pytest.raises(ValueError, match="expected file, name and licence"):
        read_index(tmp_path / "pool")


def test_pieces_unpack_to_the_pool(tmp_path: Path) -> None:
    prepare_data.prepare_pool([], tmp_path / "pool", pages=3)
    largest = max(file.stat().st_size for file in (tmp_path / "pool").iterdir())
    archives = prepare_data.split_pool(tmp_path / "pool", tmp_path / "pieces", limit=largest + 8000)
    assert len(archives) == 3
    for archive in archives:
        with tarfile.open(archive) as tar:
            tar.extractall(tmp_path / "unpacked", filter="data")
    for file in (tmp_path / "pool").iterdir():
        assert (tmp_path / "unpacked" / file.name).read_bytes() == file.read_bytes()


def test_listed_pictures_are_taken_out_of_a_history(tmp_path: Path) -> None:
    clone = tmp_path / "clones" / "owner+name"
    clone.mkdir(parents=True)

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        command = ["git", "-C", str(clone), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    versions = {b"first", b"second"}
    for content in sorted(versions):
        (clone / "über.jpg").write_bytes(content)
        git("add", ".")
        git("commit", "-q", "-m", "write")
    git("rm", "-q", "über.jpg")
    git("commit", "-q", "-m", "remove")
    source = f"github/owner+name@{git('rev-parse', '--short=8', 'HEAD')}"
    lines = [f"{source}/über.jpg\tCC0-1.0\t{hashlib.sha256(b'first').hexdigest()}"]
    lines += [f"{source}/{name}\tCC0-1.0\t{'0' * 64}" for name in ("über.jpg", "absent.jpg")]
    lines += ["pypi/other==1/a.png\tCC0-1.0\t0"]
    (tmp_path / "list.tsv").write_text("\n".join(lines), encoding="utf-8")
    missing = extract_git.extract(tmp_path / "clones", tmp_path / "src", [tmp_path / "list.tsv"])
    assert missing == [f"{source}/über.jpg", f"{source}/absent.jpg"]
    assert (tmp_path / "src" / source / "über.jpg").read_bytes() == b"first"


def test_clips_are_cut(tmp_path: Path) -> None:
    clips = listed_pictures(tmp_path, CLIP_LIST)
    assert sorted(clip.path.name for clip in clips) == sorted(cut_clips.CUTS)
    with av.open(str(tmp_path / "whole.mp4"), "w") as container:
        stream: VideoStream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for value in range(9):
            frame = np.full((48, 64, 3), 20 * value, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    cut_clips.cut_clip(tmp_path / "whole.mp4", tmp_path / "cut.mp4", cut_clips.Cut(start=3, frames=5, side=8))
    with av.open(str(tmp_path / "cut.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert [frame.shape for frame in frames] == [(48, 48, 3)] * 5
    assert [round(float(frame.mean()) / 20) for frame in frames] == [3, 4, 5, 6, 7]
