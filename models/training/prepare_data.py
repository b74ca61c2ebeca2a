"""Packs the listed pictures and the drawn pages into the training pool: JPEG files with an index.

Each picture is scaled (Lanczos) to a long side of at most 1600 px, and by 1.5 or more where it was coded with
loss, so that pixel-level blur, demosaicing and JPEG damage go.  Crops at several scales are cut later, by
``crops``.

    python -m bmfgraph.models.training.prepare_data --sources src --out pool [--pieces pieces]
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from .drawn_page import draw_page
from .picture_sources import SourcePicture, listed_pictures
from .pool import PoolPicture, write_index

DRAWN_PAGES = 8
DEFAULT_FONTS = Path("/usr/share/fonts/truetype/dejavu")
"""Where Debian's fonts-dejavu lies; the pages are set in Pillow's own font where it is missing."""

_LONG_SIDE = 1600  # px
_JPEG_QUALITY = 93
_FLAT_GRADIENT = 1.2  # grey levels a pixel, both directions added: below it there is nothing to learn
_PIECE_BYTES = 58_000_000
# Lossy pictures are shrunk by this, unless they are known to be clean.
_CLEANING_FACTOR = 1.5
_CLEAN = ("pypi/",)

_log = logging.getLogger(__name__)


def pack_picture(picture: SourcePicture, out: Path) -> str | None:
    """Scales one picture down and stores it as JPEG, without chroma subsampling.

    Args:
        picture: what to read.
        out: the JPEG file to write.

    Returns:
        None when the file was written, else why the picture is left out.
    """
    try:
        if hashlib.sha256(picture.path.read_bytes()).hexdigest() != picture.sha256:
            return "not the listed file: its SHA-256 differs"
        with Image.open(picture.path) as opened:
            lossless = opened.format == "PNG" or picture.name.startswith(_CLEAN)
            image = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        return f"unreadable: {error}"
    width, height = image.size
    factor = max(max(width, height) / _LONG_SIDE, 1 if lossless else _CLEANING_FACTOR)
    if factor > 1:
        image = image.resize((round(width / factor), round(height / factor)), Image.Resampling.LANCZOS)
    grey = np.asarray(image.convert("L"), np.float32)
    gradient = np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()
    if gradient < _FLAT_GRADIENT:
        return f"flat: mean gradient {gradient:.2f}"
    image.save(out, quality=_JPEG_QUALITY, subsampling=0)
    return None


def prepare_pool(
    pictures: Sequence[SourcePicture], out: Path, fonts: Sequence[Path] = (), pages: int = DRAWN_PAGES
) -> list[PoolPicture]:
    """Packs pictures and drawn pages into a pool.

    A picture that is left out keeps its number, so that numbers do not depend on what is readable.

    Args:
        pictures: in the order in which they are numbered.
        out: folder to write ``NNN.jpg`` and ``index.tsv`` into; made when missing.
        fonts: TrueType files for the drawn pages.
        pages: how many pages to draw.

    Returns:
        What the index lists.
    """
    out.mkdir(parents=True, exist_ok=True)
    files = [out / f"{number:03d}.jpg" for number in range(len(pictures) + pages)]
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        problems = list(executor.map(pack_picture, pictures, files))
    pool = []
    for file, picture, problem in zip(files, pictures, problems, strict=False):
        if problem is None:
            pool.append(PoolPicture(file, picture.name, picture.licence))
        else:
            _log.warning("left out %s: %s", picture.name, problem)
    for seed, file in enumerate(files[len(pictures) :]):
        draw_page(seed, fonts).save(file, quality=_JPEG_QUALITY)
        pool.append(PoolPicture(file, f"drawn page {seed}", "own"))
    write_index(out, pool)
    return pool


def split_pool(pool: Path, out: Path, limit: int = _PIECE_BYTES) -> list[Path]:
    """Packs a pool's files into tar archives, ``1.tar``, ``2.tar``, ..., which together unpack to the pool.

    Args:
        pool: what ``prepare_pool`` wrote.
        out: folder for the archives; made when missing.
        limit: most bytes of files in one archive.

    Returns:
        The archives.
    """
    out.mkdir(parents=True, exist_ok=True)
    pieces: list[list[Path]] = [[]]
    filled = 0
    for file in sorted(pool.iterdir()):
        size = file.stat().st_size + 1024  # the archive's header and padding
        if pieces[-1] and filled + size > limit:
            pieces.append([])
            filled = 0
        pieces[-1].append(file)
        filled += size
    archives = [out / f"{number}.tar" for number in range(1, len(pieces) + 1)]
    for archive, files in zip(archives, pieces, strict=True):
        with tarfile.open(archive, "w") as tar:
            for file in files:
                tar.add(file, file.name)
    return archives


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="Pack the training pictures into a pool.")
    parser.add_argument("--sources", type=Path, default=Path("src"), help="folder that sources.sh filled")
    parser.add_argument("--out", type=Path, default=Path("pool"))
    parser.add_argument("--pieces", type=Path, help="also pack the pool into archives of at most 58 MB in this folder")
    parser.add_argument("--fonts", type=Path, default=DEFAULT_FONTS, help="folder with TrueType files")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # The listed photographs may be larger than the size at which Pillow suspects a decompression bomb.
    Image.MAX_IMAGE_PIXELS = None

    pool = prepare_pool(listed_pictures(options.sources), options.out, sorted(options.fonts.glob("*.ttf")))
    size = sum(picture.path.stat().st_size for picture in pool) / 1e6
    _log.info("%d pictures, %.1f MB in %s", len(pool), size, options.out)
    if options.pieces is not None:
        split_pool(options.out, options.pieces)


if __name__ == "__main__":
    main()
