"""Measure the drift between sound and picture over a long clip.

    python benchmarks/sync.py --minutes 60

A clip of 29.97 frames per second flashes white, and beeps, together every ten seconds. It runs through a pipeline that
makes tensors of all frames and frames of them again, with the sound copied, and encoded again. Times of flashes come
from the frames of the output, times of beeps from its samples.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE = Fraction(30000, 1001)
SAMPLES = 48_000
PERIOD = 10
"""Seconds from one flash to the next, about: a flash takes the place of a frame, and its beep begins with it."""
BEEP = 2400
"""Samples of a beep."""


@dataclass(frozen=True)
class Drift:
    """Differences between beep and flash, in ms, beyond those of the clip itself."""

    events: int
    first: float
    last: float
    most: float
    """The largest change of the difference between any two events."""


def write_clip(path: Path, seconds: float, stretch: float = 1.0) -> int:
    """Write the clip, 64x48, H.264 and AAC in Matroska.

    Args:
        path: The file.
        seconds: Its length.
        stretch: Factor of the times of the beeps; other than 1 they drift.

    Returns:
        The number of flashes.
    """
    frames = round(seconds * RATE)
    every = round(PERIOD * RATE)
    flashes = list(range(every // 2, frames, every))
    starts = [round(float(index / RATE) * stretch * SAMPLES) for index in flashes]
    dark = av.VideoFrame.from_ndarray(np.full((72, 64), 16, np.uint8), format="yuv420p")
    light = av.VideoFrame.from_ndarray(np.full((72, 64), 235, np.uint8), format="yuv420p")
    tone = (0.8 * np.sin(np.arange(BEEP) * 2 * np.pi * 1000 / SAMPLES)).astype(np.float32)
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "bf": "2", "g": "250"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound: Any = out.add_stream("aac", rate=SAMPLES, layout="mono")
        flashing, position = set(flashes), 0
        for index in range(frames):
            frame = light if index in flashing else dark
            frame.pts, frame.time_base = index, 1 / RATE
            out.mux(video.encode(frame))
            while position < (index + 1) / RATE * SAMPLES:
                block = np.zeros((1, 1024), np.float32)
                for start in starts:
                    if start - 1024 < position < start + BEEP:
                        at = np.arange(position, position + 1024) - start
                        inside = (at >= 0) & (at < BEEP)
                        block[0, inside] = tone[at[inside]]
                samples = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
                samples.sample_rate, samples.pts, samples.time_base = SAMPLES, position, Fraction(1, SAMPLES)
                out.mux(sound.encode(samples))
                position += 1024
        out.mux(video.encode(None))
        out.mux(sound.encode(None))
    return len(flashes)


def events(path: Path) -> tuple[list[float], list[float]]:
    """Return the times of the flashes and of the beeps of a clip, in seconds."""
    flashes: list[float] = []
    beeps: list[float] = []
    quiet = SAMPLES
    with av.open(str(path)) as container:
        for frame in container.decode(video=0, audio=0):
            assert isinstance(frame, av.VideoFrame | av.AudioFrame)
            assert frame.pts is not None
            assert frame.time_base is not None
            time = float(frame.pts * frame.time_base)
            if isinstance(frame, av.VideoFrame):
                if memoryview(frame.planes[0])[0] > 128:
                    flashes.append(time)
                continue
            level = np.abs(frame.to_ndarray()[0])
            loud = np.flatnonzero(level > 0.1)
            if loud.size and quiet + loud[0] >= SAMPLES:
                beeps.append(time + float(loud[0]) / SAMPLES)
            quiet = level.size - 1 - int(loud[-1]) if loud.size else quiet + level.size
    return flashes, beeps


def drift(source: Path, target: Path) -> Drift:
    """Compare the events of a copy with those of its source."""
    differences = []
    for path in (source, target):
        flashes, beeps = events(path)
        assert len(flashes) == len(beeps), (path, len(flashes), len(beeps))
        differences.append(np.subtract(beeps, flashes) * 1000)
    assert len(differences[0]) == len(differences[1])
    shift = differences[1] - differences[0]
    return Drift(len(shift), float(shift[0]), float(shift[-1]), float(shift.max() - shift.min()))


def copy(source: Path, target: Path, audio: str, backend: str = "pyav") -> None:
    """Run a clip through tensors, with its sound copied or encoded again."""
    import bmfgraph

    nodes = {
        "source": {"kind": "decoder", "path": str(source), "backend": backend},
        "tensor": {"kind": "preprocess", "inputs": ["source.video"], "dtype": "uint8", "layout": "NHWC"},
        "back": {"kind": "frames", "inputs": ["tensor"]},
        "sink": {
            "kind": "encoder",
            "inputs": ["back", "source.audio"],
            "path": str(target),
            "preset": "ultrafast",
            "audio": audio,
            "backend": backend,
        },
    }
    bmfgraph.Job({"name": "sync", "nodes": nodes}).run()


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the drift between sound and picture.")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--audio", nargs="+", default=["copy", "aac"], help="what becomes of the sound")
    parser.add_argument("--targets", nargs="+", default=["mp4", "mkv"], help="extensions of the outputs")
    parser.add_argument("--backend", choices=("pyav", "bmf"), default="pyav")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "clip.mkv"
        flashes = write_clip(source, arguments.minutes * 60)
        print(f"{arguments.minutes:g} minutes at {float(RATE):.3f} fps, {flashes} flashes with beeps")
        print(f"{'output':12}{'events':>8}{'first ms':>10}{'last ms':>10}{'drift ms':>10}")
        for audio in arguments.audio:
            for extension in arguments.targets:
                target = Path(name) / f"{audio}.{extension}"
                copy(source, target, audio, arguments.backend)
                result = drift(source, target)
                print(
                    f"{audio + ' .' + extension:12}{result.events:8}{result.first:10.3f}{result.last:10.3f}"
                    f"{result.most:10.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
