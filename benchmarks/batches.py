"""Measure what a batch costs for each clip, besides the run itself, and how its memory grows.

    python benchmarks/batches.py --clips 200
    python benchmarks/batches.py --clips 10000 --memory

A clip of three frames of 64x48 is copied, so that the run itself is short. The plain loop calls ``Job.run`` for each
clip, in this process. Rounds are taken in turn; figures are medians. ``--memory`` runs one batch over a manifest, with
one clip in all rows, and prints its resident memory on the way.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from memory import resident  # type: ignore[import-not-found]  # the script beside this one

import bmfgraph as bg

ROUNDS = 3
WORDS = ("encoder.preset=ultrafast", "engine.runtime=onnxruntime", "device=cpu")


def write_clip(path: Path) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in (0, 100, 200):
            image = np.full((48, 64, 3), level, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode(None))
    return path


def loop(count: int) -> None:
    for number in range(count):
        job = bg.compose("super_resolution", *WORDS, input=f"clips/{number}.mp4", output=f"out/{number}.mp4")
        job.run(overwrite=True)


def prepared_loop(count: int) -> None:
    several = bg.compose("super_resolution", *WORDS, input="clips", output="out/{stem}.mp4")
    for job in several.clips():
        job.run(overwrite=True)


def batch(*overrides: str, keep: bool = False) -> Callable[[int], None]:
    def work(count: int) -> None:
        if not keep:
            shutil.rmtree("journals", ignore_errors=True)
        words = (*WORDS, *overrides, "journal=journals/x.journal", "overwrite=true")
        for _ in bg.batch("super_resolution", *words, input="clips", output="out/{stem}.mp4"):
            pass

    return work


def memory(clip: Path, count: int) -> None:
    with Path("rows.jsonl").open("w") as file:
        for number in range(count):
            file.write(json.dumps({"input": str(clip), "output": f"out/{number}.mp4"}) + "\n")
    steps = {count * part // 10 for part in range(11)}
    for done, _ in enumerate(bg.batch("super_resolution", *WORDS, input="rows.jsonl"), 1):
        if done in steps or done == 100:
            print(f"{done:6} clips: {resident() / 1e6:.0f} MB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        Path("clips").mkdir()
        first = write_clip(Path("clips/0.mp4"))
        if options.memory:
            memory(first, options.clips)
            return
        for number in range(1, options.clips):
            shutil.copy(first, f"clips/{number}.mp4")
        works = {
            "loop of compose and run": loop,
            "loop of run": prepared_loop,
            "batch": batch(),
            "batch, all done before": batch(keep=True),
            "batch, parallel=2": batch("parallel=2"),
        }
        if importlib.util.find_spec("ray"):
            works["batch, launcher=ray, one worker"] = batch("launcher=ray")
            works["batch, launcher=ray, two workers"] = batch("launcher=ray", "parallel=2")
        taken: dict[str, list[float]] = {work: [] for work in works}
        for round_ in range(ROUNDS + 1):
            for title, work in works.items():
                began = time.perf_counter()
                work(options.clips)
                # The first round fills caches.
                if round_:
                    taken[title].append(1e3 * (time.perf_counter() - began) / options.clips)
    print("| | ms per clip | more than the loop of run |\n|---|---:|---:|")
    base = taken["loop of run"]
    for title, values in taken.items():
        more = statistics.median(value - other for value, other in zip(values, base, strict=True))
        print(f"| {title} | {statistics.median(values):.1f} | {more:+.1f} |")


if __name__ == "__main__":
    main()
