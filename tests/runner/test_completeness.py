"""Test that frames are counted from node to node."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from bmfgraph import error_codes as codes
from bmfgraph.errors import RunError
from bmfgraph.plan.plan import Plan
from bmfgraph.runner.completeness import check_complete
from bmfgraph.runner.monitor import RunMonitor
from bmfgraph.runner.run import run_plan
from tests.runner.media_tools import Sound, compiled, decoder, encoder, scene, through_rgb, write


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("counted")
    path = write(folder / "clip.mp4", [scene(index, 64, 48) for index in range(6)], sound=Sound(seconds=0.2))
    sink = encoder(folder / "out.mp4", "back", "source.audio")
    return compiled({"source": decoder(path), **through_rgb("source.video"), "sink": sink})


def test_every_node_takes_what_the_one_before_it_sends(plan: Plan) -> None:
    timings = run_plan(plan, overwrite=True).timings
    assert [timings[name].frames for name in ("source", "tensor", "back", "sink")] == [6, 6, 6, 6]
    assert timings["source"].sent == 6
    assert [timings[ref.node].sent for ref in plan.node("sink").inputs if ref.port != "audio"] == [6]


@pytest.mark.parametrize("lost", [1, 6])
def test_a_frame_that_does_not_arrive(plan: Plan, lost: int) -> None:
    monitor = RunMonitor()
    for node in plan:
        timings = monitor.timings_of(node.name, node.kind)
        timings.frames, timings.last_time = 6, Fraction(1, 5)
    monitor.timings["source"].sent = 6
    assert check_complete(plan, monitor) == []
    first = plan.consumers("source")[0][0]
    monitor.timings[first.name].frames -= lost
    with pytest.raises(RunError, match=f"node '{first.name}'.* it took {6 - lost} of the 6 frames of 'source'") as info:
        check_complete(plan, monitor)
    assert info.value.problems[0].code is codes.LOST_FRAMES


def test_sound_is_not_counted_as_frames(plan: Plan, tmp_path: Path) -> None:
    """The sink takes six frames, and packets of sound beside them."""
    assert [ref.port for ref in plan.node("sink").inputs if ref.node == "source"] == ["audio"]
    assert run_plan(plan, overwrite=True).frames == 6
