"""Check the table of a plan in a terminal of 100 columns."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from bmfgraph.plan.plan import Plan
from bmfgraph.plan.views.table import plan_table
from tests.compile.machines import HOPPER_TRT
from tests.compile.pipelines import COPY, DETECT, UPSCALE, MakePlan
from tests.plan.test_golden import PLANS
from tests.plan.views.pipelines import ON_GPU


def shown(plan: Plan, width: int = 100) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(plan_table(plan))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


COPIED = """\
x: 2 nodes in 2 BMF nodes

 node     kind      device   BMF node   takes → gives
 ──────────────────────────────────────────────────────────────────
 source   decoder   cpu      1          → 64x48 yuv420p + audio aac
                                        clip.mp4
 sink     encoder   cpu      2          64x48 yuv420p + audio aac →
                                        out.mp4
                                        libx264 · mp4
"""


def test_a_small_plan(plan: MakePlan) -> None:
    assert shown(plan(COPY)) == COPIED


@pytest.mark.parametrize("name", PLANS)
def test_packaged_plans_fit(packaged: Callable[[str], Plan], name: str) -> None:
    plan = packaged(name)
    lines = shown(plan).splitlines()
    assert all(len(line) <= 100 for line in lines)
    firsts = [line.split()[:3] for line in lines if line.startswith(" ") and line[1] not in " ─"]
    assert firsts[0] == ["node", "kind", "device"]
    assert firsts[1:] == [[node.name, node.kind, node.device] for node in plan]
    # No more than the frame, and three lines for what reads, infers or writes.
    assert (
        len(lines) <= 5 + len(plan.nodes) + 2 * sum(node.kind == "inference" or not node.outputs for node in plan) + 3
    )


def test_nodes_of_one_bmf_node_are_bracketed(plan: MakePlan) -> None:
    lines = shown(plan(DETECT)).splitlines()
    marks = {line.split()[0]: line.split()[3:5] for line in lines if " cpu " in line}
    assert (marks["prepare"], marks["net"], marks["faces"]) == (["3", "┐"], ["3", "│"], ["3", "┘"])
    assert [marks[name][0] for name in ("source", "source-rgb24", "draw")] == ["1", "2", "4"]


def test_engines(plan: MakePlan) -> None:
    made = plan(ON_GPU, machine=HOPPER_TRT)
    text = shown(made)
    assert "tensorrt fp16, input 4x3x48x64" in text
    assert made.node("net").params.engine.path in text.replace("\n", "").replace(" ", "")
    made = plan(UPSCALE)
    assert "onnxruntime fp32, input 1x3x48x64" in shown(made)
    assert made.node("net").params.engine.path in shown(made, 400)


def test_brackets_are_no_markup(plan: MakePlan) -> None:
    made = plan(COPY.replace("@out.mp4", "@[red]out.mp4"))
    assert "[red]out.mp4" in shown(made)
