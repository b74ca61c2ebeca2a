"""Test Ctrl-C and SIGTERM at all times, and closed standard streams."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.runner.command import Ended, Running, bmfgraph, faulty, frames_in, message_has
from tests.runner.conftest import Workplace

INTERRUPTED = {signal.SIGINT: "interrupted .Ctrl-C.", signal.SIGTERM: "terminated"}


def stops(running: Running, place: Workplace, *numbers: signal.Signals, within: float = 5.0) -> Ended:
    """Send the signals; check that the run ends soon, with one message, and leaves no files."""
    sent = 0.0
    for number in numbers:
        sent = sent or time.monotonic()
        running.send(number)
        time.sleep(0.05)
    ended = running.wait()
    assert time.monotonic() - sent < within + 0.3
    message_has(ended.error(130), "stopped", INTERRUPTED[numbers[0]], "nothing was written under the final name")
    assert place.files() == []
    return ended


@pytest.fixture
def slow(clips: Path) -> list[str]:
    """Start a run that reports frame 5 and would take nine seconds."""
    words = ("pipeline.nodes.stage.fault=at_frame", "pipeline.nodes.stage.frame=5", "pipeline.nodes.stage.seconds=0.1")
    return faulty(f"input={clips / 'good.mp4'}", "output=out.mp4", *words)


@pytest.mark.sample(1)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle(
    place: Workplace, slow: list[str], faulty_kind: dict[str, str], number: signal.Signals
) -> None:
    running = place.start(slow, env=faulty_kind)
    running.read_until("there")
    assert place.files()
    stops(running, place, number, within=3.0)


@pytest.mark.wide
def test_two_signals_in_quick_succession(place: Workplace, slow: list[str], faulty_kind: dict[str, str]) -> None:
    running = place.start(slow, env=faulty_kind)
    running.read_until("there")
    stops(running, place, signal.SIGINT, signal.SIGINT, within=3.0)


@pytest.mark.wide
def test_a_signal_while_a_stage_hangs(place: Workplace, clips: Path, faulty_kind: dict[str, str]) -> None:
    command = faulty(f"input={clips / 'good.mp4'}", "output=out.mp4", "pipeline.nodes.stage.fault=hang")
    running = place.start(command, env=faulty_kind)
    running.read_until("there")
    stops(running, place, signal.SIGINT)


@pytest.mark.wide
def test_a_second_signal_while_a_stage_hangs_ends_at_once(
    place: Workplace, clips: Path, faulty_kind: dict[str, str]
) -> None:
    command = faulty(f"input={clips / 'good.mp4'}", "output=out.mp4", "pipeline.nodes.stage.fault=hang")
    running = place.start(command, env=faulty_kind)
    running.read_until("there")
    stops(running, place, signal.SIGTERM, signal.SIGINT, within=2.0)


@pytest.mark.sample(1)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_a_stage_is_being_opened(
    place: Workplace, clips: Path, faulty_kind: dict[str, str], number: signal.Signals
) -> None:
    command = faulty(f"input={clips / 'good.mp4'}", "output=out.mp4", "pipeline.nodes.stage.fault=slow_open")
    running = place.start(command, env=faulty_kind)
    running.read_until("opening")
    stops(running, place, number, within=2.0)


@pytest.mark.sample(2)
@pytest.mark.parametrize("delay", [0.2, 0.8, 0.5, 1.1, 1.4])
def test_ctrl_c_at_any_moment_of_the_start(
    place: Workplace, clips: Path, slow: list[str], faulty_kind: dict[str, str], delay: float
) -> None:
    running = place.start(slow, env=faulty_kind, fresh=True)
    time.sleep(delay)
    sent = running.send(signal.SIGINT)
    ended = running.wait()
    assert time.monotonic() - sent < 5.3
    # Before bmfgraph's first line, the signal ends Python itself; during its imports, a word is printed.
    assert ended.code in (130, -signal.SIGINT), ended
    if ended.code == 130 and ended.err not in ("", "bmfgraph: interrupted\n"):
        ended.error(130)
    assert place.files() == []


@pytest.mark.wide
def test_standard_streams_that_are_closed(place: Workplace, clips: Path, faulty_kind: dict[str, str]) -> None:
    def close_all() -> None:
        for number in (0, 1, 2):
            os.close(number)

    options = {"env": faulty_kind, "preexec_fn": close_all, "stdin": None, "stdout": None, "stderr": None}
    assert place.run(faulty("input=none.mp4", "output=out.mp4"), **options).code == 1
    assert place.run(faulty(f"input={clips / 'good.mp4'}", "output=out.mp4"), **options).code == 0
    assert place.files() == ["out.mp4"]
    assert frames_in(place.output) == 90


@pytest.mark.wide
def test_nobody_reads_the_messages(place: Workplace, clips: Path) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    assert place.run(bmfgraph("input=none.mp4", "output=out.mp4"), stdout=writes, stderr=writes).code == 1
    words = (f"input={clips / 'good.mp4'}", "output=out.mp4")
    assert place.run(bmfgraph(*words), stdout=writes, stderr=writes).code == 0
    os.close(writes)
    assert frames_in(place.output) == 90


@pytest.mark.wide
def test_a_full_pipe_does_not_keep_a_run_from_being_stopped(place: Workplace) -> None:
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    try:
        while True:
            os.write(writes, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writes, True)
    words = ("input=none.mp4", "output=out.mp4")
    running = place.start(bmfgraph(*words), stderr=writes)
    with pytest.raises(subprocess.TimeoutExpired):
        running.process.wait(2)
    # The first signal may cause a message, which is not read either.
    running.send(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.process.wait(0.5)
    running.send(signal.SIGTERM)
    assert running.wait(3).code
    assert place.files() == []
    os.close(reads)
    os.close(writes)
