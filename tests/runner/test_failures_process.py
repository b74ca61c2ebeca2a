"""Test many runs in one process: after failures, from several threads, and without leaks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.runner.command import frames_in, message_has, python
from tests.runner.conftest import Workplace


def many(place: Workplace, clips: Path, faulty_kind: dict[str, str], what: str) -> dict[str, Any]:
    """Return the results of the script."""
    running = place.start(python("many_runs.py", str(clips), str(place.folder), what), env=faulty_kind)
    ended = running.wait(60)
    assert ended.code == 0, ended
    assert len(ended.out.splitlines()) == 1, ended.out
    assert ended.err == {"threads": "still heard\n", "recovery": "there\n"}.get(what, "")
    found: dict[str, Any] = json.loads(ended.out)
    return found


@pytest.mark.wide
def test_a_run_succeeds_after_every_kind_of_failure(place: Workplace, clips: Path, faulty_kind: dict[str, str]) -> None:
    found = many(place, clips, faulty_kind, "recovery")
    assert not [name for name, message in found["told"].items() if not message]
    assert set(found["after"].values()) == {""}, found["after"]
    assert found["handlers_kept"]
    assert found["left"] == ["out.mp4"]
    message_has(
        found["told"]["init"], "RunError: node 'stage' .faulty.: .* cannot be created: ValueError: broken in init"
    )
    message_has(
        found["told"]["nothing"], "'stage' .faulty., frame 57 at 1.900 s: .*process returned None, not an iterable"
    )
    message_has(found["told"]["exit"], "'stage' .faulty., frame 57 at 1.900 s: SystemExit: no more")
    message_has(found["told"]["signal"], "Cancelled: .*interrupted")
    message_has(found["told"]["full disk"], "RunError: node 'sink'")
    message_has(found["told"]["hang"], "Cancelled: .*interrupted")
    message_has(found["told"]["giving up"], "^enough$")


@pytest.mark.wide
def test_failing_runs_leave_nothing_behind(place: Workplace, clips: Path, faulty_kind: dict[str, str]) -> None:
    found = many(place, clips, faulty_kind, "leaks")
    before, after = found["before"], found["after"]
    assert after["threads"] <= before["threads"]
    assert after["tasks"] <= before["tasks"]
    assert after["descriptors"] <= before["descriptors"]
    assert after["memory"] - before["memory"] < 60e6
    assert place.files() == ["out.mp4"]


@pytest.mark.wide
def test_runs_from_several_threads_at_once(place: Workplace, clips: Path, faulty_kind: dict[str, str]) -> None:
    found = many(place, clips, faulty_kind, "threads")
    for number, messages in found["told"].items():
        for message in messages:
            if int(number) % 2:
                assert re.match(rf"RunError: node 'stage' \(faulty\), frame {30 + int(number)} at ", message)
            else:
                assert message == ""
    assert found["left"] == ["0.mp4", "2.mp4"]
    assert [frames_in(place.folder / name) for name in found["left"]] == [90, 90]
