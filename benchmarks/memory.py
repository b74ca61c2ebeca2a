"""Measure the memory of a process that runs a pipeline many times, with and without bmfgraph's settings of the heap.

    python benchmarks/memory.py --runs 100

Each row is a process of its own. The columns are its resident memory in MB after that many runs. ``free`` is glibc's
default: each thread may have a heap of its own, which stays after the thread has ended. ``arenas`` lets all threads
share two heaps; ``trim`` gives free memory back after each run; bmfgraph does both.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import numpy as np

from bmfgraph import compose
from bmfgraph.system import heap

STEPS = (1, 10, 50, 100)
SETTINGS = ("free", "arenas", "trim", "arenas+trim")


def write_clip(path: Path) -> None:
    """Write 12 frames of 320x180."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        image = np.random.default_rng(1).integers(0, 256, (180, 320, 3), np.uint8)
        for index in range(12):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(image, 4 * index, 1), format="rgb24")))
        container.mux(stream.encode(None))


def resident() -> int:
    """Return the memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(setting: str, folder: Path, runs: int) -> None:
    """Run many times in this process, and print its memory."""
    if "arenas" not in setting:
        heap.limit_arenas = lambda: None
    if "trim" not in setting:
        heap.trim = lambda: None
    job = compose("super_resolution", input=folder / "clip.mp4", output=folder / f"{setting}.mp4")
    memory = []
    for number in range(1, runs + 1):
        job.run(overwrite=True)
        if number in STEPS or number == runs:
            memory.append(f"{resident() / 1e6:8.0f}")
    print(f"{setting:12}" + "".join(memory), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the memory of a process that runs many times.")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--setting", choices=SETTINGS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.setting:
        measure(arguments.setting, arguments.folder, arguments.runs)
        return
    steps = sorted({step for step in STEPS if step < arguments.runs} | {arguments.runs})
    print(f"{'runs':12}" + "".join(f"{step:8}" for step in steps), flush=True)
    with tempfile.TemporaryDirectory() as name:
        write_clip(Path(name) / "clip.mp4")
        for setting in SETTINGS:
            command = [sys.executable, __file__, "--runs", str(arguments.runs), "--setting", setting, "--folder", name]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
