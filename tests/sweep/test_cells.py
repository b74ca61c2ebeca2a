"""Test the files of a sweep's cells."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from bmfgraph.errors import BmfgraphError
from bmfgraph.runner.monitor import NodeTimings
from bmfgraph.runner.run import steady_fps
from bmfgraph.runner.series import Series
from bmfgraph.sweep.commands import command_of
from bmfgraph.sweep.files import RESULT, oserror_as_sweep_error, read_json, write_json

CONTENT = {"id": "1", "sweep": "2", "varied": {}, "command": "", "status": "ok", "errors": []} | {
    "metrics": {},
    "nodes": [],
    "outputs": {},
    "fingerprint": {},
}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"schema": 1}', "\x00", json.dumps({"schema": 0, **CONTENT})])
def test_a_damaged_result_is_not_read(tmp_path: Path, text: str) -> None:
    (tmp_path / RESULT).write_text(text)
    assert read_json(tmp_path / RESULT) is None
    write_json(tmp_path / RESULT, CONTENT)
    assert read_json(tmp_path / RESULT) == {"schema": 1, **CONTENT}


def test_a_failed_write_names_the_file_and_the_reason(small_disk: Path) -> None:
    (small_disk / "full").write_bytes(bytes(60_000))
    with pytest.raises(BmfgraphError, match=r"x/result.json' cannot be written \(No space left on device\)"):
        write_json(small_disk / "x" / RESULT, {"much": "x" * 30_000})
    assert not list((small_disk / "x").iterdir())
    with pytest.raises(BmfgraphError, match="Permission denied"), oserror_as_sweep_error(small_disk):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_the_command_of_a_cell_runs_as_it_is_written() -> None:
    overrides = ("pipeline=faulty", "++engine.batch=4", "++own=1", "++sweep.id=5", "hydra/launcher=joblib", "~gone")
    arguments = ("-m", "--config-dir", "conf", "+sweep=precision")
    assert command_of((*overrides, "+sweep=precision"), arguments) == (
        "python -m bmfgraph --config-dir conf pipeline=faulty engine.batch=4 ++own=1 '~gone'"
    )


def test_frames_of_one_batch_are_not_a_speed() -> None:
    def timings(*done: float) -> NodeTimings:
        return NodeTimings("sink", "encoder", frames=len(done), done=Series(done), last_done=done[-1])

    alone = timings(*(1.0 + 0.1 * number for number in range(12)))
    batched = timings(*(1.3 + 0.4 * (number // 4) for number in range(12)))
    assert steady_fps(alone, 1, 0.0) == pytest.approx(10)
    assert steady_fps(batched, 4, 0.0) == pytest.approx(10)
    assert steady_fps(timings(2.0, 2.0, 2.0, 2.0, 2.1), 4, 0.0) == pytest.approx(5 / 2.1)
    assert steady_fps(timings(2.0), 1, 0.0) == 0.5
