"""Compare the result of a super-resolution network for tiles with that for whole pictures, and print a table.

    python benchmarks/tiles.py --model realesr_animevideov3_x2.onnx
    python benchmarks/tiles.py --model realesr_animevideov3_x2.onnx --size 2560x1440 --tile 256 --overlap 16 32 64

The network reads and writes RGB in 0..1 and may have any scale. Pictures are frames of the sample bigbuckbunny, scaled.
Each row is a process of its own, with the memory that it needed at most after the first and after the last frame.
Differences are in levels of 0..255 to the picture that was not cut: near seams, which is where tiles overlap, and away
from them. ``above 1`` is the share of all values that differ by more than a level.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

import bmfgraph
from bmfgraph.media.sources import locate
from bmfgraph.plan.types import Tiling

COLUMNS = "overlap     tiles  seconds    MB, 1   MB, all | near seams:  max     mean  above 1 | away:  max     mean"


def write_clip(path: Path, width: int, height: int, frames: int) -> None:
    """Write frames of the sample in another size, without loss."""
    source = bmfgraph.compose("super_resolution").config["samples"]["bigbuckbunny"]
    with av.open(str(locate(source, None))) as container, av.open(str(path), "w") as target:
        stream = target.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        container.seek(2_000_000)
        for number, frame in zip(range(frames), container.decode(video=0), strict=False):
            scaled = frame.reformat(width=width, height=height, interpolation="BICUBIC")
            scaled.pts, scaled.time_base = number, Fraction(1, 25)
            target.mux(stream.encode(scaled))
        target.mux(stream.encode(None))


def job(model: str, clip: str, tile: int, overlap: int | None, batch: int) -> bmfgraph.Job:
    """Return the job; without tiles where ``overlap`` is None."""
    levels = {"layout": "NCHW", "channels": "RGB", "std": 255}
    net = {"name": "net", "file": model, "inputs": {"input": levels}, "outputs": {"output": levels}}
    nodes: dict[str, Any] = {
        "source": {"kind": "decoder", "path": clip},
        "prepare": {"kind": "preprocess", "inputs": ["source.video"]},
        "upscale": {"kind": "inference", "inputs": ["prepare"], "model": net},
        "restore": {"kind": "frames", "inputs": ["upscale"]},
        "sink": {"kind": "encoder", "inputs": ["restore"], "container": "null"},
    }
    if overlap is not None:
        nodes["tiles"] = {"kind": "tiles", "inputs": ["prepare"], "size": [tile, tile], "overlap": overlap}
        nodes["upscale"] |= {"inputs": ["tiles"], "engine": {"batch": batch}}
        nodes["stitch"] = {"kind": "stitch", "inputs": ["upscale"]}
        nodes["restore"]["inputs"] = ["stitch"]
    return bmfgraph.Job({"name": "tiles", "nodes": nodes})


def peak_memory() -> float:
    """Return the most memory that this process has needed, in MB."""
    match = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match
    return int(match[1]) / 1024


def work(settings: dict[str, Any], folder: Path) -> None:
    """Run one job in this process, store its last frame, and print what it took."""
    started, peaks, pixels = time.perf_counter(), [], None
    for frame in job(**settings).stream("restore"):
        pixels = frame.numpy()
        peaks.append(peak_memory())
    assert pixels is not None
    np.save(folder / f"{settings['overlap']}.npy", pixels)
    print(json.dumps({"seconds": (time.perf_counter() - started) / len(peaks), "first": peaks[0], "all": peaks[-1]}))


def row(settings: dict[str, Any], folder: Path) -> tuple[dict[str, float], NDArray[np.uint8]]:
    """Run one job in a process of its own."""
    command = [sys.executable, __file__, "--worker", json.dumps(settings), "--folder", str(folder)]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(result.stdout.splitlines()[-1]), np.load(folder / f"{settings['overlap']}.npy")


def seams(tiling: Tiling, height: int, width: int) -> NDArray[np.bool_]:
    """Return the pixels of the result where tiles overlap."""

    def along(starts: tuple[int, ...], tile: int, length: int, size: int) -> NDArray[np.bool_]:
        covers = np.zeros(size, int)
        for start in starts:
            covers[start * size // length : (start + tile) * size // length] += 1
        return covers > 1

    rows = along(tiling.tops, tiling.height, tiling.picture_height, height)
    columns = along(tiling.lefts, tiling.width, tiling.picture_width, width)
    return rows[:, None] | columns


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare tiles with whole pictures.")
    parser.add_argument("--model", help="ONNX file of a network from RGB in 0..1 to RGB in 0..1")
    parser.add_argument("--size", default="3840x2160", help="WIDTHxHEIGHT of the pictures")
    parser.add_argument("--tile", type=int, default=256)
    parser.add_argument("--overlap", type=int, nargs="+", default=[0, 16, 32, 64])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--frames", type=int, default=1)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(json.loads(arguments.worker), arguments.folder)
        return
    if not arguments.model:
        parser.error("--model is missing")
    width, height = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        folder, clip = Path(name), Path(name) / "clip.mkv"
        write_clip(clip, width, height, arguments.frames)
        settings = {"model": arguments.model, "clip": str(clip), "tile": arguments.tile, "batch": arguments.batch}
        print(f"{arguments.size}, {arguments.frames} frame(s), tiles of {arguments.tile}x{arguments.tile}\n{COLUMNS}")
        cost, whole = row({**settings, "overlap": None}, folder)
        print(f"{'whole':>7} {1:9} {cost['seconds']:8.1f} {cost['first']:8.0f} {cost['all']:9.0f} |", flush=True)
        for overlap in arguments.overlap:
            cost, stitched = row({**settings, "overlap": overlap}, folder)
            tiling = job(**settings, overlap=overlap).plan().node("tiles").params.tiling
            off = np.abs(whole.astype(np.int16) - stitched)
            near = seams(tiling, *whole.shape[:2])
            print(
                f"{overlap:7} {len(tiling.places):9} {cost['seconds']:8.1f} {cost['first']:8.0f} {cost['all']:9.0f} |"
                f" {off[near].max(initial=0):16} {off[near].mean() if near.any() else 0:8.5f} {(off > 1).mean():8.5%} |"
                f" {off[~near].max(initial=0):10} {off[~near].mean() if not near.all() else 0:8.5f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
