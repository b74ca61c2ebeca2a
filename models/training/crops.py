"""Cuts the pool's pictures into square crops at several scales."""

from __future__ import annotations

import logging
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .pool import read_index
from .resample import Picture

CROP_SIDE = 256  # px
CORES = min(32, len(os.sched_getaffinity(0)))
"""Threads and processes that work side by side; a container may show more cores than it may use."""

_SCALES = ((1.0, 200), (1.5, 176), (2.25, 144), (3.4, 112))  # (shrink factor, most px between two crops)
_LEAST_LONG_SIDE = 380  # px; a shrunk picture below this gives no crops
_CROPS_PER_PICTURE = 90
_LEAST_DETAIL = 0.55  # grey levels

_log = logging.getLogger(__name__)


def crop_picture(path: Path) -> tuple[Picture, NDArray[np.float64]]:
    """Cuts one picture, at full size and shrunk, into overlapping crops.

    Args:
        path: the picture's file.

    Returns:
        The crops, uint8 (N, 256, 256, 3), and their detail in grey levels, float64 (N,): the mean difference
        to the picture's own 2x2 means, that is, what a shrink by two takes away.
    """
    with Image.open(path) as opened:
        full = opened.convert("RGB")
    long_side = max(full.size)
    crops: list[Picture] = []
    for factor, stride in _SCALES:
        if factor > 1 and long_side / factor < _LEAST_LONG_SIDE:
            break
        width, height = round(full.width / factor), round(full.height / factor)
        if min(width, height) < CROP_SIDE:
            break
        scaled = full if factor == 1 else full.resize((width, height), Image.Resampling.BICUBIC)
        pixels = np.asarray(scaled)
        for y in _starts(height, stride):
            for x in _starts(width, stride):
                crops.append(pixels[y : y + CROP_SIDE, x : x + CROP_SIDE])
    if not crops:
        return np.zeros((0, CROP_SIDE, CROP_SIDE, 3), np.uint8), np.zeros(0)
    return np.stack(crops), np.array([_detail(crop) for crop in crops])


def _starts(length: int, stride: int) -> list[int]:
    """Evenly spaced crop positions that cover ``length`` px and are at most ``stride`` px apart."""
    room = length - CROP_SIDE
    return [int(start) for start in np.linspace(0, room, max(1, math.ceil(room / stride) + 1))]


def _detail(crop: Picture) -> float:
    grey = crop.astype(np.float32).mean(2)
    half = CROP_SIDE // 2
    means = grey.reshape(half, 2, half, 2).mean((1, 3)).repeat(2, 0).repeat(2, 1)
    return float(np.abs(grey - means).mean())


def cut_pool(pool: Path) -> Picture:
    """Cuts every picture of a pool that is not held out and keeps its most detailed crops.

    Args:
        pool: folder made by ``prepare_data``.

    Returns:
        uint8 (N, 256, 256, 3), RGB: at most 90 crops a picture, none of them flat.

    Raises:
        ValueError: no picture gives a crop.
    """
    pictures = [picture for picture in read_index(pool) if not picture.held_out]
    kept = []
    with ThreadPoolExecutor(CORES) as executor:
        for crops, detail in executor.map(crop_picture, [picture.path for picture in pictures]):
            order = np.argsort(-detail)[:_CROPS_PER_PICTURE]
            kept.append(crops[order[detail[order] > _LEAST_DETAIL]])
    if not sum(len(crops) for crops in kept):
        raise ValueError(f"no picture of {pool} is large and detailed enough for crops of {CROP_SIDE} px")
    result: Picture = np.concatenate(kept)
    _log.info("%d crops from %d pictures", len(result), len(pictures))
    return result
