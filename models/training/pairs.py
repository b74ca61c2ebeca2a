"""Makes pairs of low-resolution windows, most of them coded by real codecs, and their high-resolution frames.

A sequence is a camera path over a picture of the pool, or frames of a clip.  It is shrunk by mixed filters,
coded by x264 or x265 and decoded; a window of seven frames from somewhere in it is kept.  Rendering runs on the
device, the codecs on the CPU in worker processes, and the results lie in memory-mapped ``.npy`` files.
"""

from __future__ import annotations

import itertools
import json
import logging
import multiprocessing
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from PIL import Image
from torch import Tensor

from .camera import MovingCamera
from .clips import WINDOW, Clip, read_clip
from .coding import Coding, coded_part, random_coding
from .crops import CORES
from .degrade import Shrinker, Softener, margin, noisy, round_to_8_bits
from .pool import read_index
from .resample import Picture

SCORED = slice(2, 5)
"""The frames of a window that have a high-resolution partner, counted from 0."""
MIXED_SCALERS: Mapping[str, float] = {"bicubic": 0.35, "area": 0.35, "lanczos": 0.15, "bilinear": 0.15}
SOFT_SHARE = 0.35
"""Share of softened pictures among those that networks for video learn from."""
UNCODED_SHARE = 0.3
"""Share of pairs that are not coded.  The others are coded, some of them lightly."""
DRAWN_SHARE = 0.3
"""Share of camera paths over drawn pictures, of which a pool holds few."""

_PYRAMID = (1.0, 1.5, 2.25)  # shrink factors of the pictures that cameras move over
_LEAST_SIDE = 320  # px, of a shrunk picture
_REAL_SHARE = 0.35  # of the sequences are frames of clips, where there are clips
_CLIP_FACTORS = (1, 2)  # by which clips are shrunk: as people have them, and sharper
_MOST_FRAMES, _CLIPS_AT_ONCE = 300, 4  # of a clip
_NOISY_SHARE, _NOISE = 0.15, 1.5 / 255
_PENDING_A_WORKER = 4

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PairOptions:
    """What pairs to make.

    Attributes:
        count: most pairs.
        scale: 2 or 4.
        side: of the low-resolution frames, pixels, even.
        frames: of the sequences that are coded.
        held_out: from the pictures that are kept for validation, without clips.
        uncoded_share: of the pairs.
        drawn_share: of the camera paths, those over drawn pictures; as the pool has them when None, or where it
            holds no drawn ones, or no others.
        coding: how the others are coded; at random when left out.
        scalers: share of each shrinking filter.
        damage: whether to soften a share of the sequences, and to add noise to a share.
        seconds: stop after so long, with fewer pairs.
        seed: of everything random.
    """

    count: int
    scale: int = 2
    side: int = 192
    frames: int = 16
    held_out: bool = False
    uncoded_share: float = UNCODED_SHARE
    drawn_share: float | None = DRAWN_SHARE
    coding: Coding | None = None
    scalers: Mapping[str, float] = field(default_factory=lambda: MIXED_SCALERS)
    damage: bool = True
    seconds: float = 1e9
    seed: int = 1


@dataclass(frozen=True)
class Pairs:
    """Pairs as they are stored.

    Attributes:
        low: uint8 (N, 7, H, W, 3), RGB.
        high: uint8 (N, 3, scale * H, scale * W, 3), the partners of the window's frames 2, 3 and 4.
    """

    low: Picture
    high: Picture

    @property
    def scale(self) -> int:
        """2 or 4."""
        return int(self.high.shape[2] // self.low.shape[2])

    @classmethod
    def load(cls, folder: Path) -> Pairs:
        """Maps what ``make_pairs`` wrote."""
        count = json.loads((folder / "done.json").read_text())["count"]
        low, high = (np.load(folder / f"{name}.npy", mmap_mode="r")[:count] for name in ("low", "high"))
        return cls(low, high)


def make_pairs(
    pool: Path, clip_files: Sequence[Path], out: Path, options: PairOptions, device: torch.device, workers: int = 0
) -> Pairs:
    """Makes pairs, and writes ``low.npy``, ``high.npy`` and, last, ``done.json`` with their number.

    The pictures, paths, filters and codings depend on the seed and the device alone; the number of pairs also on
    the speed if ``seconds`` ends it.

    Args:
        pool: folder made by ``prepare_data``.
        clip_files: videos; those with no sequence without a cut are left out.
        out: folder to write into; made when missing.
        options: what to make.
        device: where to render.
        workers: processes that code; 0 for none but this one.

    Raises:
        ValueError: the pool holds no fitting picture, or a clip is too short.
    """
    started = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    count, side, high_side = options.count, options.side, options.side * options.scale
    low = open_memmap(out / "low.npy", "w+", np.uint8, (count, WINDOW, side, side, 3))
    high = open_memmap(out / "high.npy", "w+", np.uint8, (count, 3, high_side, high_side, 3))
    made = 0
    with torch.no_grad(), _Coder(workers) as coder:
        for index, (small, large) in enumerate(_sequences(pool, clip_files, options, device)):
            random = np.random.default_rng((options.seed, index))
            start = int(random.integers(options.frames - WINDOW + 1))
            coded = random.random() >= options.uncoded_share
            coding = options.coding or random_coding(random)
            window = slice(start, start + WINDOW)
            high[index] = large[window][SCORED]
            if coded:
                coder.add(index, small, coding, window)
            else:
                low[index] = small[window]
            for done, frames in coder.done():
                low[done] = frames
            made = index + 1
            if made % 500 == 0:
                _log.info("%d pairs, %.1f s", made, time.perf_counter() - started)
            if made == count or time.perf_counter() - started > options.seconds:
                break
        for done, frames in coder.done(all_of_them=True):
            low[done] = frames
    low.flush()
    high.flush()
    (out / "done.json").write_text(json.dumps({"count": made}))
    _log.info("%s: %d pairs in %.1f s", out, made, time.perf_counter() - started)
    return Pairs.load(out)


class _Coder:
    """Codes sequences in worker processes, and hands out the windows in the order in which they get ready."""

    def __init__(self, workers: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._executor = ProcessPoolExecutor(workers, mp_context=context) if workers else None
        self._most = workers * _PENDING_A_WORKER
        self._pending: dict[Future[Picture], int] = {}
        self._ready: list[tuple[int, Picture]] = []

    def __enter__(self) -> _Coder:
        return self

    def __exit__(self, *error: object) -> None:
        if self._executor:
            self._executor.shutdown(cancel_futures=True)

    def add(self, index: int, frames: Picture, coding: Coding, window: slice) -> None:
        if self._executor is None:
            self._ready.append((index, coded_part(frames, coding, window)))
        else:
            self._pending[self._executor.submit(coded_part, frames, coding, window)] = index

    def done(self, all_of_them: bool = False) -> Iterator[tuple[int, Picture]]:
        """Yields what is ready; waits while too much is pending, or until all of it is ready."""
        while self._pending and (all_of_them or len(self._pending) >= self._most):
            for future in wait(self._pending, return_when=FIRST_COMPLETED).done:
                yield self._pending.pop(future), future.result()
        yield from self._ready
        self._ready = []


def _sequences(
    pool: Path, clip_files: Sequence[Path], options: PairOptions, device: torch.device
) -> Iterator[tuple[Picture, Picture]]:
    """Yields low- and high-resolution sequences without end, uint8 (T, H, W, 3)."""
    around = margin(options.scale)
    side = options.side * options.scale + 2 * around
    groups = _pictures(pool, options, device)
    # In turn, so that few pictures, as in validation, are all seen.
    turns = [itertools.cycle(group) for group in groups]
    with ThreadPoolExecutor(_CLIPS_AT_ONCE) as executor:
        wanted = [(file, factor) for file in clip_files for factor in _CLIP_FACTORS]
        read = list(executor.map(lambda one: read_clip(one[0], _MOST_FRAMES, options.frames, one[1]), wanted))
    clips = [clip for clip in read if len(clip.starts)]
    camera = MovingCamera(side, options.frames, device)
    soft_share, noisy_share = (SOFT_SHARE, _NOISY_SHARE) if options.damage else (0.0, 0.0)
    soften = Softener(side, soft_share, device)
    shrink = Shrinker(options.side, options.scale, options.scalers, device)
    random = np.random.default_rng((options.seed, 0, 0))
    while True:
        if clips and random.random() < _REAL_SHARE:
            high = _clip_sequence(clips[random.integers(len(clips))], side, options.frames, random).to(device)
        else:
            kind = int(len(groups) > 1 and random.random() < (options.drawn_share or 0))
            levels = [next(turns[kind]), groups[kind][random.integers(len(groups[kind]))]]
            high = soften(camera([level[random.integers(len(level))] for level in levels])[None])[0]
        low = round_to_8_bits(noisy(shrink(high[None]), noisy_share, _NOISE)[0])
        yield _to_pixels(low), _to_pixels(high[..., around:-around, around:-around])


def _to_pixels(frames: Tensor) -> Picture:
    pixels: Picture = (frames * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return pixels


def _pictures(pool: Path, options: PairOptions, device: torch.device) -> list[list[list[Tensor]]]:
    """The pool's pictures at full size and shrunk, uint8 (3, H, W), in a random but fixed order.

    Where ``options`` has a share of drawn ones and there are both, they are two groups, the second one drawn.
    """
    chosen = [picture for picture in read_index(pool) if picture.held_out == options.held_out]
    if not chosen:
        raise ValueError(f"{pool} holds no {'held-out' if options.held_out else 'training'} picture")

    def levels(path: Path) -> list[Tensor]:
        with Image.open(path) as opened:
            full = opened.convert("RGB")
        sizes = [(round(full.width / factor), round(full.height / factor)) for factor in _PYRAMID]
        kept = [size for size in sizes if min(size) >= _LEAST_SIDE or size == full.size]
        shrunk = [full.resize(size, Image.Resampling.LANCZOS) for size in kept]
        return [torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().to(device) for picture in shrunk]

    with ThreadPoolExecutor(CORES) as executor:
        pictures = list(executor.map(levels, [picture.path for picture in chosen]))
    order = np.random.default_rng(0).permutation(len(pictures))
    if options.drawn_share is None:
        return [[pictures[i] for i in order]]
    groups = [[pictures[i] for i in order if chosen[i].drawn == drawn] for drawn in (False, True)]
    return [group for group in groups if group]


def _clip_sequence(clip: Clip, side: int, length: int, random: np.random.Generator) -> Tensor:
    """A random part of random frames, mirrored at random, float32 (T, 3, side, side); small frames are mirrored on."""
    start = int(clip.starts[random.integers(len(clip.starts))])
    frames = clip.frames[start : start + length]
    lacking = [max(0, side - length_) for length_ in frames.shape[1:3]]
    if any(lacking):
        frames = np.pad(frames, ((0, 0), (0, lacking[0]), (0, lacking[1]), (0, 0)), mode="symmetric")
    top, left = (int(random.integers(length_ - side + 1)) for length_ in frames.shape[1:3])
    part = frames[:, top : top + side, left : left + side]
    if random.random() < 0.5:
        part = part[:, :, ::-1]
    return torch.from_numpy(np.ascontiguousarray(part)).permute(0, 3, 1, 2).float() / 255
