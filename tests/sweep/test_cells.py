"""What a cell of a sweep leaves, and what it depends on."""

from __future__ import annotations

import errno
import json
from array import array
from pathlib import Path

import pytest

from bmfgraph.errors import BmfgraphError
from bmfgraph.runner.monitor import NodeTimings
from bmfgraph.runner.run import steady_fps
from bmfgraph.sweep.cells import RESULT, read_json, write_json, writing
from bmfgraph.sweep.run import command_of

RESULTED = {"id": "1", "sweep": "2", "varied": {}, "command": "", "status": "ok", "errors": []} | {
    "metrics": {},
    "nodes": [],
    "outputs": {},
    "fingerprint": {},
}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"schema": 1}', "\x00", json.dumps({"schema": 0, **RESULTED})])
def test_a_damaged_result_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / RESULT).write_text(text)
    assert read_json(tmp_path / RESULT) is None
    write_json(tmp_path / RESULT, RESULTED)
    assert read_json(tmp_path / RESULT) == {"schema": 1, **RESULTED}


def test_what_cannot_be_written_is_told(small_disk: Path) -> None:
    (small_disk / "full").write_bytes(bytes(60_000))
    with pytest.raises(BmfgraphError, match=r"x/result.json' cannot be written \(No space left on device\)"):
        write_json(small_disk / "x" / RESULT, {"much": "x" * 30_000})
    assert not list((small_disk / "x").iterdir())
    with pytest.raises(BmfgraphError, match="Permission denied"), writing(small_disk):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_the_command_of_a_cell_runs_as_it_is_written() -> None:
    overrides = ("pipeline=faulty", "++engine.batch=4", "++own=1", "++sweep.id=5", "hydra/launcher=joblib", "~gone")
    words = ("-m", "--config-dir", "conf", "+sweep=precision")
    assert command_of((*overrides, "+sweep=precision"), words) == (
        "python -m bmfgraph --config-dir conf pipeline=faulty engine.batch=4 ++own=1 '~gone'"
    )


def test_frames_that_came_at_once_are_no_speed() -> None:
    def meter(*done: float) -> NodeTimings:
        return NodeTimings("sink", "encoder", frames=len(done), done=array("d", done), last_done=done[-1])

    alone = meter(*(1.0 + 0.1 * number for number in range(12)))
    batched = meter(*(1.3 + 0.4 * (number // 4) for number in range(12)))
    assert steady_fps(alone, 1, 0.0) == pytest.approx(10)
    assert steady_fps(batched, 4, 0.0) == pytest.approx(10)
    assert steady_fps(meter(2.0, 2.0, 2.0, 2.0, 2.1), 4, 0.0) == pytest.approx(5 / 2.1)
    assert steady_fps(meter(2.0), 1, 0.0) == 0.5
