"""Define a row of the table: a command line with a mistake, and its message."""

from __future__ import annotations

from dataclasses import dataclass

from tests.codes.command import HERE, Situation

__all__ = [
    *("BUILD", "CHECK_SWEEP", "COPY", "FIND", "MIX", "NOTED", "ODD", "RUN", "RUN_COPY", "SEGMENT", "STITCH"),
    *("SWEEP", "TEMPORAL", "TILES", "TRT", "UP", "N", "Row"),
]


@dataclass(frozen=True)
class Row:
    """A mistake. ``text`` is the beginning of the message with its place, and of the hint where that matters.

    ``<NAME>`` in ``words`` stands for an engine of tests.codes.engines.
    """

    code: str
    words: str
    text: str
    exit: int = 2
    situation: Situation = HERE
    also: tuple[str, ...] = ()
    """Codes of further problems, such as a node that is left idle."""
    bundled: bool = False
    """Whether it needs decord's FFmpeg, because a system's FFmpeg may have the missing feature."""


_CLIP = "input=clip.mp4 output=out.mp4 overwrite=true "
_FAST = "progress=false encoder.preset=ultrafast "
_UP = "pipeline=super_resolution model.file=double.onnx "

N = "pipeline.nodes."
UP = f"check {_UP}{_CLIP}"
"""Super resolution with a model that doubles pixels."""
COPY = f"check --config-dir conf pipeline=copy {_CLIP}"
FIND = f"check --config-dir conf pipeline=face_detection model=tiny_detector records=out.jsonl {_CLIP}"
TEMPORAL = f"check --config-dir conf pipeline=super_resolution model=middle {_CLIP}"
"""A model that reads 7 frames and produces 3."""
NOTED = f"check --config-dir conf pipeline=detection model=noted records=out.jsonl {_CLIP}"
"""A model whose file says what it does."""
MIX = f"check --config-dir conf pipeline=mix model=mix {_CLIP}"
"""A model with two inputs."""
SEGMENT = (
    f"check pipeline=segmentation model=ppocr_det model.file=grey.onnx '+model.inputs.input.channels=GRAY' {_CLIP}"
)
"""A model with one number for each pixel."""
TILES = UP + "'+pipeline.nodes.tiles={kind: tiles, inputs: [prepare]}' pipeline.nodes.window.inputs=[tiles] "
STITCH = TILES + "'+pipeline.nodes.stitch={kind: stitch, inputs: [upscale]}' pipeline.nodes.restore.inputs=[stitch] "
"""Super resolution in tiles, without and with the node that puts them together."""
TRT = UP + "target=trt.json "
"""The same on a machine with TensorRT."""
BUILD = f"build {_UP}{_CLIP}{_FAST}engine.runtime=tensorrt_rtx engine.store=built engine.builder=command "
RUN = f"run {_UP}{_CLIP}{_FAST}"
RUN_COPY = f"run --config-dir conf pipeline=copy {_CLIP}{_FAST}"
CHECK_SWEEP = f"check -m {_UP}{_CLIP}target=bare.json sweep.dir=sweep "
SWEEP = f"run -m {_UP}{_CLIP}{_FAST}engine.batch=1,2 sweep.dir=sweep "

ODD = Situation(packs=("packs/odd",))
