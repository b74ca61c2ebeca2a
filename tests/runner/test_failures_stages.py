"""Test stages of node packs that raise, return invalid items or hang."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runner.command import faulty, message_has
from tests.runner.conftest import Workplace

Fails = Callable[..., str]


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("fault", "where", "cause"),
    [
        ("open", "", "cannot start: ValueError: broken in open"),
        ("process", ", frame 57 at 1.900 s", "ValueError: broken in process"),
        ("finish", "", "after the last frame: ValueError: broken in finish"),
        ("close", "", "cannot be closed: ValueError: broken in close"),
        (
            "garbage",
            ", frame 57 at 1.900 s",
            "process produced 'not a frame', which is not a Frame, Sample or Result",
        ),
    ],
)
def test_a_stage_that_fails(
    fails: Fails, clips: Path, faulty_kind: dict[str, str], fault: str, where: str, cause: str
) -> None:
    command = faulty(f"input={clips / 'good.mp4'}", f"pipeline.nodes.stage.fault={fault}")
    message = fails(command, env=faulty_kind)
    assert message.startswith(f"node 'stage' (faulty){where}: "), message
    message_has(message, cause, "debug=true")


@pytest.mark.wide
def test_debug_shows_the_traceback(place: Workplace, clips: Path, faulty_kind: dict[str, str]) -> None:
    words = (f"input={clips / 'good.mp4'}", "output=out.mp4", "pipeline.nodes.stage.fault=process", "debug=true")
    ended = place.run(faulty(*words), env=faulty_kind)
    assert ended.code == 1
    assert ended.err.count("bmfgraph: error[") == 1
    message_has(ended.err, "Traceback", "stage.py", "with a second line")


@pytest.mark.wide
def test_a_stage_that_hangs_does_not_keep_the_others_failure_waiting(
    place: Workplace, clips: Path, faulty_kind: dict[str, str]
) -> None:
    """The second of two stages fails while the first hangs for a minute."""
    words = (
        "pipeline.nodes.stage.fault=hang",
        "pipeline.nodes.stage.frame=20",
        "++pipeline.nodes.other={kind: faulty, inputs: [source.video], fault: process, frame: 21, seconds: 0.02}",
        "++pipeline.nodes.table={kind: encoder, inputs: [other], container: 'null'}",
    )
    running = place.start(faulty(f"input={clips / 'good.mp4'}", "output=out.mp4", *words), env=faulty_kind)
    running.read_until("there")
    began = time.monotonic()
    message_has(running.wait(8).error(), "node 'other' .faulty., frame 21", "broken in process")
    assert time.monotonic() - began < 6
    assert place.files() == []
