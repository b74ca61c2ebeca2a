"""Compare engines on the GPU with ONNX Runtime on the CPU."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bmfgraph.system.progress import Progress
from tests.runner.media_tools import Seen, psnr, sound_packets, video_times

Run = Callable[..., Any]


def overlap(one: list[float], other: list[float]) -> float:
    """Return the intersection over union of two boxes."""
    across = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    down = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return across * down / (area - across * down)


def assert_same_faces(found: list[Any], wanted: list[Any]) -> None:
    """Assert the same faces in every frame, at the same times, with nearly equal boxes and scores."""
    assert [row["pts"] for row in found] == [row["pts"] for row in wanted]
    assert sum(len(row["detections"]) for row in wanted) >= 100
    least = 1.0
    for ours, theirs in zip(found, wanted, strict=True):
        assert len(ours["detections"]) == len(theirs["detections"])
        for one in theirs["detections"]:
            best = max(ours["detections"], key=lambda other: overlap(one["box"], other["box"]))
            least = min(least, overlap(one["box"], best["box"]))
            assert abs(one["score"] - best["score"]) < 0.01
    print(f"least overlap with the CPU's boxes: {least:.4f}")
    assert least >= 0.99


def records(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def cpu_faces(tmp_path_factory: pytest.TempPathFactory, kit: Path, compose: Any) -> list[Any]:
    from bmfgraph.api import Job
    from bmfgraph.runner.run import run_plan

    folder = tmp_path_factory.mktemp("cpu")
    words = ["pipeline=face_detection", "model=ultraface_rfb_640", f"model.file={kit}/ultraface_rfb_640.onnx"]
    words += [f"input={kit}/carphone_pristine.mp4", "encoder=measure", f"records={folder}/cpu.jsonl", "device=cpu"]
    run_plan(Job.from_config(compose(*words)).plan())
    return records(folder / "cpu.jsonl")


@pytest.mark.parametrize("graph", ["false", "true"], ids=["enqueued", "CUDA graph"])
@pytest.mark.parametrize("decoder", ["ffmpeg", "nvdec"])
def test_faces_are_those_of_the_cpu(
    run: Run, faces: list[str], kit: Path, tmp_path: Path, decoder: str, graph: str, cpu_faces: list[Any]
) -> None:
    run(
        *faces,
        f"engine.cuda_graph={graph}",
        f"decoder={decoder}",
        f"input={kit}/carphone_pristine.mp4",
        f"output={tmp_path}/faces.mp4",
        f"records={tmp_path}/gpu.jsonl",
    )
    assert_same_faces(records(tmp_path / "gpu.jsonl"), cpu_faces)
    assert video_times(tmp_path / "faces.mp4") == pytest.approx(video_times(kit / "carphone_pristine.mp4"))


@pytest.fixture(scope="module")
def cpu_pictures(kit: Path, upscaled: Callable[..., list[Seen]]) -> list[Seen]:
    meaning = "{layout: NCHW, channels: RGB, std: 255}"
    words = ["pipeline=super_resolution", f"model.file={kit}/realesr_animevideov3_x2.onnx", "device=cpu"]
    words += [f"model.inputs={{input: {meaning}}}", f"model.outputs={{output: {meaning}}}"]
    return upscaled(*words, f"input={kit}/carphone_pristine.mp4", "decoder.end=1.0")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["decoder=nvdec"],
        ["decoder=nvdec", "engine.batch=4"],
        ["decoder=nvdec", "engine.cuda_graph=true"],
        ["engine.cuda_graph=true", "engine.batch=4"],
    ],
    ids=" ".join,
)
def test_pictures_are_those_of_the_cpu(
    upscaled: Callable[..., list[Seen]], upscaling: list[str], kit: Path, words: list[str], cpu_pictures: list[Seen]
) -> None:
    seen = upscaled(*upscaling, *words, f"input={kit}/carphone_pristine.mp4", "decoder.end=1.0")
    assert [one.time for one in seen] == [one.time for one in cpu_pictures]
    assert len(seen) == 30
    worst = min(psnr(one.pixels, other.pixels) for one, other in zip(seen, cpu_pictures, strict=True))
    print(f"least PSNR to the CPU: {worst:.2f} dB")
    assert worst >= 50


def test_a_whole_clip_with_its_sound(run: Run, upscaling: list[str], kit: Path, tmp_path: Path) -> None:
    clip = kit / "bigbuckbunny.mp4"
    for name in ("ffmpeg", "nvdec"):
        words = [f"decoder={name}", f"input={clip}", f"output={tmp_path}/{name}.mp4", "encoder.preset=ultrafast"]
        outcome = run(*upscaling, *words, "decoder.end=1.0")
        assert outcome.frames == 25
        assert sound_packets(tmp_path / f"{name}.mp4")
    assert video_times(tmp_path / "ffmpeg.mp4") == video_times(tmp_path / "nvdec.mp4")
    assert len(sound_packets(tmp_path / "ffmpeg.mp4")) == len(sound_packets(tmp_path / "nvdec.mp4"))


def test_memory_does_not_grow(compiled: Callable[..., Any], upscaling: list[str], kit: Path, tmp_path: Path) -> None:
    import torch

    from benchmarks.looped import looped
    from bmfgraph.runner.run import run_plan

    frames = int(os.environ.get("BMFGRAPH_GPU_FRAMES", "1000"))
    clip = looped(kit / "carphone_pristine.mp4", -(-frames // 120), tmp_path / "loop.mp4")
    used: dict[int, int] = {}

    def look(progress: Progress) -> None:
        # The memory of the whole GPU is counted, so other tests must not run at the same time.
        free, total = torch.cuda.mem_get_info()
        used[progress.done] = total - free

    outcome = run_plan(compiled(*upscaling, f"input={clip}", "decoder=nvdec", "encoder=measure"), progress=look)
    assert outcome.frames >= frames
    early = max(bytes_ for done, bytes_ in used.items() if done <= frames // 5)
    late = max(bytes_ for done, bytes_ in used.items() if done > frames // 2)
    print(f"GPU memory: {early / 1e6:.0f} MB in the first fifth, {late / 1e6:.0f} MB in the second half")
    assert late <= early * 1.02 + 8e6
