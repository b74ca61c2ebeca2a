"""Run a long clip in one piece and in parts, and compare times and frames.

    python benchmarks/segments.py --minutes 20 --segments 1,2,4,8 --parallel 2

The clip of 128x72 is made here, with sound. It is written with a lossless codec, so each decoded frame must
be equal, and each packet of the sound. The seconds are those of whole runs, with the join.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from bmfgraph import compose

RATE, SOUND_RATE, SAMPLES = 25, 44_100, 1024


def film(path: Path, frames: int) -> Path:
    """Write a clip that pans over noise, and changes its brightness each second."""
    scenery = np.random.default_rng(0).integers(0, 128, (72, 2000, 3), dtype=np.uint8)
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "g": "250"})
        video.width, video.height, video.pix_fmt = 128, 72, "yuv420p"
        sound: Any = out.add_stream("aac", rate=SOUND_RATE, layout="mono")
        for index in range(frames):
            left = 3 * index % 1800
            pixels = np.ascontiguousarray(scenery[:, left : left + 128] + np.uint8(index // RATE % 100))
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for number in range(frames * SOUND_RATE // RATE // SAMPLES):
            wave = (0.1 * np.sin(np.arange(SAMPLES) / 20 + number)).astype(np.float32)
            piece = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
            piece.sample_rate, piece.pts, piece.time_base = SOUND_RATE, number * SAMPLES, Fraction(1, SOUND_RATE)
            out.mux(sound.encode(piece))
        out.mux(sound.encode(None))
    return path


def contents(path: Path) -> str:
    """Return a checksum of each decoded frame and each packet of sound, with their times."""
    digest = hashlib.sha256()
    with av.open(str(path)) as file:
        for packet in file.demux(file.streams.video[0], file.streams.audio[0]):
            if packet.stream.type == "audio":
                digest.update(f"sound {packet.pts}".encode() + bytes(packet))
            else:
                frames: Any = packet.decode()
                for frame in frames:
                    digest.update(f"frame {frame.pts}".encode() + frame.to_ndarray().tobytes())
    return digest.hexdigest()


def run(source: Path, target: Path, *overrides: str) -> float:
    """Run super resolution, and return its seconds."""
    words = ["encoder.codec=ffv1", "engine.runtime=onnxruntime", "progress=false", *overrides]
    job = compose("super_resolution", *words, input=source, output=target, overwrite=True)
    began = time.perf_counter()
    job.run()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--segments", default="1,2,4,8")
    parser.add_argument("--parallel", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = film(Path(folder, "film.mp4"), round(options.minutes * 60 * RATE))
        print("| segments | s | of one piece | equal |\n|---:|---:|---:|---|")
        run(source, Path(folder, "short.mkv"), "decoder.end=2")
        whole = run(source, Path(folder, "whole.mkv"))
        expected = contents(Path(folder, "whole.mkv"))
        print(f"| in one piece | {whole:.1f} | 1.00 | |", flush=True)
        for count in options.segments.split(","):
            target = Path(folder, "parts.mkv")
            seconds = run(source, target, f"segments={count}", f"parallel={options.parallel}")
            equal = "yes" if contents(target) == expected else "NO"
            print(f"| {count} | {seconds:.1f} | {whole / seconds:.2f} | {equal} |", flush=True)


if __name__ == "__main__":
    main()
