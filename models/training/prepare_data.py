"""Packs the gathered pictures and the drawn pages into the training pool: JPEG files with an index.

Each picture is scaled (antialiased) to a long side of at most 2040 px, and by 1.5 or more when it is large,
so that pixel-level blur, demosaicing and JPEG damage go.  Crops at several scales are cut later, by
``crops``.

    python -m bmfgraph.models.training.prepare_data --sources src --out pool [--strict]
    python -m bmfgraph.models.training.prepare_data --sources src --list pictures.tsv
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from .drawn_page import draw_page
from .picture_sources import SourcePicture, find_pictures
from .pool import PoolPicture, write_index

DRAWN_PAGES = 8
DEFAULT_FONTS = Path("/usr/share/fonts/truetype/dejavu")
"""Where Debian's fonts-dejavu lies; the pages are set in Pillow's own font where it is missing."""

_LONG_SIDE = 2040  # px
_JPEG_QUALITY = 88
_FLAT_GRADIENT = 1.2  # grey levels a pixel, both directions added: below it there is nothing to learn
# Small, clean pictures that are kept at their size and without chroma subsampling.
_KEPT_SIZE = ("skimage/", "sklearn/")

_log = logging.getLogger(__name__)


def pack_picture(picture: SourcePicture, out: Path) -> str | None:
    """Scales one picture down and stores it as JPEG.

    Args:
        picture: what to read.
        out: the JPEG file to write.

    Returns:
        None when the file was written, else why the picture is left out.
    """
    try:
        with Image.open(picture.path) as opened:
            image = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        return f"unreadable: {error}"
    width, height = image.size
    long_side = max(width, height)
    keep_size = picture.name.startswith(_KEPT_SIZE)
    factor = 1.0 if keep_size else max(long_side / _LONG_SIDE, 1.5 if long_side > 1300 else 1.25)
    if factor > 1:
        image = image.resize((round(width / factor), round(height / factor)), Image.Resampling.LANCZOS)
    grey = np.asarray(image.convert("L"), np.float32)
    gradient = np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()
    if gradient < _FLAT_GRADIENT:
        return f"flat: mean gradient {gradient:.2f}"
    image.save(out, quality=_JPEG_QUALITY, subsampling=0 if keep_size else 2, optimize=True)
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


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="Pack the training pictures into a pool.")
    parser.add_argument("--sources", type=Path, default=Path("src"), help="folder that sources.sh filled")
    parser.add_argument("--out", type=Path, default=Path("pool"))
    parser.add_argument("--strict", action="store_true", help="only CC0, public domain, CC-BY and CC-BY-SA")
    parser.add_argument("--list", type=Path, help="only write this list of pictures and licences")
    parser.add_argument("--fonts", type=Path, default=DEFAULT_FONTS, help="folder with TrueType files")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # The pinned photographs may be larger than the size at which Pillow suspects a decompression bomb.
    Image.MAX_IMAGE_PIXELS = None

    pictures = list(find_pictures(options.sources, options.strict))
    if options.list is not None:
        options.list.write_text("".join(f"{p.name}\t{p.licence}\n" for p in pictures), encoding="utf-8")
        return
    pool = prepare_pool(pictures, options.out, sorted(options.fonts.glob("*.ttf")))
    size = sum(picture.path.stat().st_size for picture in pool) / 1e6
    _log.info("%d pictures, %.1f MB in %s", len(pool), size, options.out)


if __name__ == "__main__":
    main()
