"""Test frames around the memory of torch tensors, which reach BMF's encoder without a copy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np
import pytest
import torch

from bmfgraph.compile import compile_pipeline
from bmfgraph.config.pipeline import PipelineSpec
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.registry import spec_class
from bmfgraph.plan.plan import Inferred, InputType, PlanNode, Requirement
from bmfgraph.plan.types import FrameSpec, Port, PortType
from bmfgraph.runner.run import run_plan
from bmfgraph.stages.base import Stage
from bmfgraph.stages.items import Frame
from bmfgraph.stages.pictures import frame_of_planes, new_frame
from tests.conftest import FrameMaker
from tests.tools import make_clip

WIDTH, HEIGHT, COUNT = 64, 48, 5
CHROMA = {"yuv420p": (24, 32), "yuv422p": (48, 32), "yuv444p": (48, 64), "yuv420p10le": (24, 32)}


def planes(index: int, pixel_format: str) -> list[torch.Tensor]:
    """Draw frame ``index``: gradients with noise."""
    random = np.random.default_rng(index)
    deep = pixel_format.endswith("10le")
    results = []
    for shape in ((HEIGHT, WIDTH), CHROMA[pixel_format], CHROMA[pixel_format]):
        level = np.linspace(40, 200, shape[1]) + random.integers(-9, 9, shape) + 3 * index
        plane = torch.from_numpy(level.round().astype(np.uint8))
        results.append((plane.to(torch.int32) * 4 + 1).to(torch.uint16) if deep else plane)
    return results


class PlanesSpec(NodeSpec):
    """Replaces each frame by another one in a YUV format."""

    kind: str = "planes"
    pixel_format: str
    stage: ClassVar[str] = "tests.stages.test_pictures:Planes"

    def accepts(self, index: int) -> InputType:
        return InputType(FrameSpec)

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        assert isinstance(inputs[0], FrameSpec)
        return Inferred((Port("out", replace(inputs[0], pixel_format=self.pixel_format)),), self.pixel_format)


class Planes(Stage):
    """Creates frames around planes without another reference."""

    def process(self, *items: Any) -> Iterable[Frame]:
        frame: Frame = items[0]
        result = frame_of_planes(frame, planes(frame.index, self.params), self.params)
        assert result.size == (WIDTH, HEIGHT)
        return (result,)


@pytest.mark.parametrize("pixel_format", CHROMA)
def test_planes_reach_the_encoder_unchanged(tmp_path: Path, pixel_format: str) -> None:
    given = make_clip(tmp_path / "in.mp4", frames=COUNT, size=(WIDTH, HEIGHT))
    nodes: dict[str, Any] = {
        "source": {"kind": "decoder", "path": str(given)},
        "sink": {"kind": "encoder", "inputs": ["planes"], "path": str(tmp_path / "out.mkv"), "crf": 0}
        | {"preset": "ultrafast", "pixel_format": pixel_format},
    }
    specs: dict[str, NodeSpec] = {name: spec_class(one["kind"]).model_validate(one) for name, one in nodes.items()}
    specs["planes"] = PlanesSpec(inputs=("source.video",), pixel_format=pixel_format)
    plan = compile_pipeline(PipelineSpec(name="planes", nodes=specs))
    assert [node.kind for node in plan] == ["decoder", "planes", "encoder"]
    run_plan(plan)
    with av.open(str(tmp_path / "out.mkv")) as container:
        results = list(container.decode(video=0))
    assert [frame.format.name for frame in results] == [pixel_format] * COUNT
    worst = 0
    for index, frame in enumerate(results):
        for plane, expected in zip(frame.planes, planes(index, pixel_format), strict=True):
            dtype = np.uint16 if pixel_format.endswith("10le") else np.uint8
            rows = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)[:, : plane.width]
            worst = max(worst, int(np.abs(rows.astype(int) - expected.numpy().astype(int)).max()))
    # With 10 bits, crf 0 is not lossless.
    assert worst <= (4 if pixel_format.endswith("10le") else 0)


def test_an_rgb_frame_shares_its_memory_and_keeps_its_place(video_frame: FrameMaker) -> None:
    source = video_frame(3)
    pixels = torch.arange(48 * 64 * 3, dtype=torch.int64).remainder(251).to(torch.uint8).reshape(48, 64, 3)
    result = frame_of_planes(source, [pixels], "rgb24")
    assert torch.equal(result.pixels(), pixels)
    pixels[5, 6] = 255
    assert result.pixels()[5, 6].tolist() == [255] * 3
    assert (result.index, result.time, result.size) == (3, source.time, (64, 48))


def test_the_size_of_a_frame_is_that_of_its_picture(video_frame: FrameMaker) -> None:
    frame = video_frame(0)
    assert frame.size == (64, 48)
    assert new_frame(frame, 32, 20)[0].size == (32, 20)
