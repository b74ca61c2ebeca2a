"""Test how many frames travel together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bmfgraph.compile.size_batches import size_batches
from bmfgraph.plan.plan import Plan
from bmfgraph.plan.types import FrameSpec, TensorSpec
from tests.compile.machines import BARE, HOPPER_TRT
from tests.compile.pipelines import COPY, DETECT, UPSCALE, MakePlan, engine


def grown(plan: Plan, factor: int) -> Plan:
    """Return the plan with frames and tensors of so many times the size."""
    nodes = []
    for node in plan:
        outputs = []
        for port in node.outputs:
            kind = port.type
            if isinstance(kind, FrameSpec):
                kind = replace(kind, width=factor * kind.width, height=factor * kind.height)
            elif isinstance(kind, TensorSpec):
                dims = tuple(
                    replace(dim, size=factor * dim.size) if dim.name in ("height", "width") and dim.size else dim
                    for dim in kind.dims
                )
                kind = replace(kind, dims=dims)
            outputs.append(replace(port, type=kind))
        nodes.append(replace(node, outputs=tuple(outputs)))
    return replace(plan, nodes=tuple(nodes))


@pytest.mark.parametrize("text", [COPY, DETECT, UPSCALE])
def test_small_frames_travel_in_fours_on_a_cpu_and_by_32_on_a_gpu(plan: MakePlan, text: str) -> None:
    assert plan(text, machine=BARE).batch == 4
    assert plan(text, machine=HOPPER_TRT).batch == (4 if text == COPY else 32)


@pytest.mark.parametrize(
    ("factor", "cpu", "gpu"),
    # RGB of 128x96 leaves UPSCALE, so the largest edge has 36,864 bytes times the square of the factor.
    [(1, 4, 32), (4, 4, 32), (6, 3, 32), (8, 1, 32), (16, 1, 28), (32, 1, 7), (64, 1, 1), (256, 1, 1)],
)
def test_large_frames_travel_in_smaller_batches(plan: MakePlan, factor: int, cpu: int, gpu: int) -> None:
    assert size_batches(grown(plan(UPSCALE, machine=BARE), factor)).batch == cpu
    assert size_batches(grown(plan(UPSCALE, machine=HOPPER_TRT), factor)).batch == gpu


@pytest.mark.parametrize(("gigabytes", "expected"), [(141, 7), (24, 2), (8, 1)])
def test_a_small_gpu_has_room_for_fewer_frames(plan: MakePlan, gigabytes: int, expected: int) -> None:
    large = grown(plan(UPSCALE, machine=HOPPER_TRT), 32)
    assert large.machine.gpu is not None
    gpu = replace(large.machine.gpu, memory=gigabytes << 30)
    assert size_batches(replace(large, machine=replace(large.machine, gpu=gpu))).batch == expected


@pytest.mark.parametrize(("batch", "expected"), [(1, 32), (2, 32), (3, 30), (5, 30), (8, 32), (12, 24), (40, 40)])
def test_a_batch_on_a_gpu_fills_the_engines_own(plan: MakePlan, batch: int, expected: int) -> None:
    assert plan(engine(UPSCALE, f"{{batch: {batch}}}"), machine=HOPPER_TRT).batch == expected
    assert plan(engine(UPSCALE, f"{{batch: {batch}}}"), machine=BARE).batch == 4


@pytest.mark.parametrize(
    ("latency", "expected"), [(None, 32), (0.0, 1), (0.03, 1), (0.08, 2), (0.2, 5), (10.0, 32)], ids=str
)
def test_latency_bounds_a_batch(plan: MakePlan, latency: float | None, expected: int) -> None:
    """The clip has 25 frames per second."""
    small = replace(plan(UPSCALE, machine=HOPPER_TRT), latency=latency)
    assert size_batches(small).batch == expected
