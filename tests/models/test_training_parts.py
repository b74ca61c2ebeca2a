"""The arithmetic of the super-resolution recipe: shrinking, codecs, moving cameras, batches."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from bmfgraph.models.training.batches import Batches, CropBatches, PairBatches
from bmfgraph.models.training.camera import MovingCamera
from bmfgraph.models.training.clips import read_clip
from bmfgraph.models.training.coding import Coding, code, random_coding, to_rgb_steps, to_yuv_steps
from bmfgraph.models.training.degrade import Softener
from bmfgraph.models.training.drawn_page import draw_page
from bmfgraph.models.training.networks import bicubic_phases
from bmfgraph.models.training.pairs import PairOptions, Pairs, make_pairs
from bmfgraph.models.training.pool import PoolPicture, write_index
from bmfgraph.models.training.presets import PRESETS
from bmfgraph.models.training.resample import (
    SCALERS,
    area_shrink,
    matlab_shrink,
    scaler_taps,
    shrink_matrix,
    y_psnr,
)
from bmfgraph.models.training.upscaler import Interpolation
from bmfgraph.nodes.convert import ConvertParams, scale_steps
from bmfgraph.plan.types import ColorSpec
from tests.models.training_tools import CPU, panning_frames, smooth_picture, write_video


def test_pages_depend_on_their_seed_alone() -> None:
    first, again, other = draw_page(1), draw_page(1), draw_page(2)
    assert first.size == (1200, 1200)
    assert first.tobytes() == again.tobytes() != other.tobytes()


def test_sequences_hold_no_cut_and_no_blank_frame(tmp_path: Path) -> None:
    before, after = panning_frames(9, 96, 144), [np.zeros((96, 144, 3), np.uint8)] * 7
    write_video(tmp_path / "cut.mp4", before + after)
    clip = read_clip(tmp_path / "cut.mp4", limit=100)
    assert clip.frames.shape == (16, 96, 144, 3)
    assert clip.starts.tolist() == [0, 1, 2]
    assert read_clip(tmp_path / "cut.mp4", limit=100, factor=2).frames.shape == (16, 48, 72, 3)
    with pytest.raises(ValueError, match="a sequence needs 7"):
        read_clip(tmp_path / "cut.mp4", limit=6)


def test_shrinking_keeps_ramps_and_matches_its_matrix() -> None:
    assert scaler_taps().sum() == 1
    ramp = np.repeat(np.arange(0, 240, 4, dtype=np.uint8)[None, :, None], 12, 0).repeat(3, 2)
    assert np.array_equal(matlab_shrink(ramp)[2, 3:-3, 0], np.arange(2, 242, 8)[3:-3])
    assert shrink_matrix(5).shape == (5, 16)
    assert matlab_shrink(smooth_picture(21, 33)).shape == (10, 16, 3)
    assert matlab_shrink(smooth_picture(24, 33), 4).shape == (6, 8, 3)


@pytest.mark.parametrize("name", SCALERS)
@pytest.mark.parametrize("factor", [2, 4])
def test_every_filter_keeps_places_and_levels(name: str, factor: int) -> None:
    taps = scaler_taps(name, factor)
    assert taps.sum() == pytest.approx(1, abs=1e-6)
    assert taps == pytest.approx(taps[::-1])
    ramp = np.arange(factor * 8 + len(taps) - factor, dtype=np.float32)
    assert np.diff(shrink_matrix(8, taps, factor) @ ramp) == pytest.approx(factor, abs=1e-4)


def test_area_shrink_is_the_mean() -> None:
    picture = smooth_picture(36, 48)
    for factor in (2, 3):
        means = picture.reshape(36 // factor, factor, 48 // factor, factor, 3).mean((1, 3))
        assert np.array_equal(area_shrink(picture, 48 // factor, 36 // factor), np.floor(means + 0.5))
    uneven = area_shrink(np.repeat(picture[:, :1], 48, 1), 31, 36)
    assert np.array_equal(uneven, np.repeat(picture[:, :1], 31, 1))
    with pytest.raises(ValueError, match="cannot area-shrink"):
        area_shrink(picture, 49, 12)


def test_y_psnr() -> None:
    picture = smooth_picture(20, 20)
    assert y_psnr(picture, picture) == math.inf
    grey, brighter = np.full((9, 9, 3), 100), np.full((9, 9, 3), 101)
    assert y_psnr(grey, brighter) == pytest.approx(20 * math.log10(255 / (219 / 255)))
    with pytest.raises(ValueError, match="cannot be compared"):
        y_psnr(grey, grey[1:])


@pytest.mark.parametrize("scale", [2, 4])
def test_skip_starts_as_bicubic(scale: int) -> None:
    low = smooth_picture(24, 32)
    x = torch.from_numpy(low).permute(2, 0, 1)[None].float()
    phases = torch.nn.functional.conv2d(x, bicubic_phases(scale), padding=2)
    picture = torch.nn.functional.pixel_shuffle(phases, scale)[0].permute(1, 2, 0).round().clamp(0, 255).numpy()
    assert np.abs(picture - Interpolation("bicubic", scale)(low[None])[0])[8:-8, 8:-8].max() <= 1


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_coded_frames_are_converted_as_the_decoder_does(matrix: Any) -> None:
    yuv, rgb = ColorSpec(matrix, False), ColorSpec("rgb", True)
    assert to_rgb_steps(matrix) == scale_steps(ConvertParams(yuv, "rgb24", yuv, (0, 128), None, "yuv420p"))
    assert to_yuv_steps(matrix) == scale_steps(ConvertParams(rgb, "yuv420p", yuv, None, (0, 128), "rgb24"))


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_coding_gets_worse_with_its_rate_factor(encoder: str) -> None:
    if encoder not in av.codecs_available:
        pytest.skip(f"this build of PyAV has no {encoder}")
    frames = panning_frames(5, 48, 64)
    scores = []
    for crf in (5, 20, 40):
        coded = code(frames, Coding(encoder, "veryfast", crf, "bt709"))
        assert [frame.shape for frame in coded] == [(48, 64, 3)] * 5
        scores.append(np.mean([y_psnr(got, frame) for got, frame in zip(coded, frames, strict=True)]))
    assert scores[0] > scores[1] > scores[2] > 15


def test_codings_are_mostly_as_people_use_them() -> None:
    random = np.random.default_rng(0)
    factors = [random_coding(random).crf for _ in range(2000)]
    assert (min(factors), max(factors)) == (12, 32)
    assert 0.15 < sum(factor < 18 for factor in factors) / len(factors) < 0.25


def test_drawn_pictures_have_their_share_of_the_pairs(tmp_path: Path) -> None:
    names = ["photo 0", "photo 1", "photo 2", "drawn page 0"]
    pictures = [PoolPicture(tmp_path / f"{i}.png", name, "own") for i, name in enumerate(names)]
    for picture in pictures:
        Image.new("RGB", (64, 64), (200, 200, 200) if picture.drawn else (50, 50, 50)).save(picture.path)
    write_index(tmp_path, pictures)
    options = PairOptions(40, side=16, frames=7, uncoded_share=1, damage=False)
    for share, expected in ((0.6, 0.6), (None, 0.25)):
        pairs = make_pairs(tmp_path, [], tmp_path / "pairs", replace(options, drawn_share=share), CPU)
        assert (pairs.low.mean((1, 2, 3, 4)) > 120).mean() == pytest.approx(expected, abs=0.15)


def test_moving_camera_keeps_flat_pictures_and_moves_others() -> None:
    torch.manual_seed(0)
    camera = MovingCamera(70, 9, CPU)
    flat = camera([torch.full((3, 256, 300), 64, dtype=torch.uint8)] * 2)
    assert flat.shape == (9, 3, 70, 70)
    assert torch.allclose(flat, torch.tensor(64 / 255), atol=1e-5)
    still = torch.from_numpy(smooth_picture(256, 256)).permute(2, 0, 1)
    frames = torch.stack([camera([still, still.flip(2)]) for _ in range(6)])
    assert (frames[:, 1:] - frames[:, :-1]).abs().max() > 0.01


@pytest.mark.parametrize("preset", ["fast", "x4_video"])
def test_crop_batches_pair_pictures_with_their_shrunk_selves(preset: str) -> None:
    torch.manual_seed(0)
    crops = np.stack([smooth_picture(256, 256, seed) for seed in range(3)])
    options = replace(PRESETS[preset], patch=16, scalers={"bicubic": 1.0}, soft_share=0)
    low, high = CropBatches(crops, options, CPU)(4)
    assert (low.shape, high.shape) == ((4, 3, 16, 16), (4, 3, 16 * options.scale, 16 * options.scale))
    for x, y in zip(low, high, strict=True):
        expected = matlab_shrink((y.permute(1, 2, 0) * 255).round().numpy().astype(np.uint8), options.scale)
        got = (x.permute(1, 2, 0) * 255).round().numpy()
        # The border differs: a batch is cut out of a larger picture, and rows are rounded before columns.
        assert np.abs(got - expected)[2:-2, 2:-2].max() <= 1


def test_softening_blurs_its_share_and_keeps_levels() -> None:
    torch.manual_seed(0)
    picture = torch.from_numpy(smooth_picture(48, 48)).permute(2, 0, 1).float() / 255
    pictures = picture.expand(40, 2, 3, 48, 48)
    assert torch.equal(Softener(48, 0.0, CPU)(pictures), pictures)
    soft = Softener(48, 0.5, CPU)(pictures)
    same = (soft == pictures).flatten(1).all(1)
    assert 10 < same.sum() < 30
    detail = (soft[..., 1:] - soft[..., :-1]).abs().flatten(1).mean(1)
    assert detail[~same].max() < detail[same].min()
    flat = torch.full((8, 3, 48, 48), 100 / 255)
    assert torch.equal(Softener(48, 1.0, CPU)(flat), flat)


def test_pair_batches_keep_partners_together() -> None:
    high = np.stack([smooth_picture(64, 64, seed) for seed in range(6)]).reshape(2, 3, 64, 64, 3)
    low = np.zeros((2, 7, 32, 32, 3), np.uint8)
    low[:, 2:5] = high[:, :, ::2, ::2]
    batches = PairBatches([Pairs(low, high), Pairs(low[:1], high[:1])], 8, CPU)
    small, large = batches.stills(12)
    windows, scored = batches.windows(5)
    assert (windows.shape, scored.shape) == ((5, 21, 8, 8), (5, 9, 16, 16))
    small = torch.cat([small, windows[:, 6:15].reshape(-1, 3, 8, 8)])
    large = torch.cat([large, scored.reshape(-1, 3, 16, 16)])
    for x, y in zip(small, large, strict=True):
        # Which of its four pixels a small one equals depends on how the square was flipped.
        assert any(torch.equal(x, y[:, row::2, column::2]) for row in (0, 1) for column in (0, 1))
    with pytest.raises(ValueError, match="need 33 px a side"):
        PairBatches([Pairs(low, high)], 33, CPU)
    with pytest.raises(ValueError, match="no pairs"):
        PairBatches([], 8, CPU)
    with pytest.raises(ValueError, match="needs crops"):
        Batches(None, [], PRESETS["fast"], CPU)
