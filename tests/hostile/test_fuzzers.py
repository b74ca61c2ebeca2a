"""A sample of each fuzzer, and the judge itself."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from tests.hostile.fuzz.__main__ import FUZZERS
from tests.hostile.fuzz.trial import Case, Outcome, faults, run

REPOSITORY = Path(__file__).parents[2]
_SAMPLES = {"configurations": 2, "models": 2, "caches": 1, "urls": 1, "signals": 1}
_MORE = {"configurations": 40, "models": 30, "caches": 20, "urls": 25, "signals": 5}
_WIDE = [*list(_SAMPLES.items())[2:], *_MORE.items()]
_GOOD = Outcome(0, "nothing is wrong\n", 0.1, 1_000)


@pytest.mark.parametrize(
    ("name", "cases"),
    [*list(_SAMPLES.items())[:2], *(pytest.param(*sample, marks=pytest.mark.wide) for sample in _WIDE)],
)
def test_a_sample_survives(name: str, cases: int, tmp_path: Path) -> None:
    """In a process of its own: cases are forks, and a fork of a test runner with threads may wait for ever."""
    options = ("--seed", "2", "--cases", str(cases), "--seconds", "100", "--only", name)
    command = (sys.executable, "-m", "tests.hostile.fuzz", *options, "--keep", str(tmp_path))
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f" {cases} " in done.stdout


@pytest.mark.parametrize("name", _SAMPLES)
def test_a_case_is_given_by_its_seed(name: str, tmp_path: Path) -> None:
    commands = []
    for copy in ("a", "b"):
        folder = tmp_path / copy / "case"
        folder.mkdir(parents=True)
        case = FUZZERS[name].case(Random("3"), folder)
        files = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and path.stat().st_size < 1_000_000 and path.name not in ("clip.mp4", "output.log")
        }
        commands.append((str(case.arguments).replace(str(folder), ""), case.signal, files))
    assert commands[0] == commands[1]


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        (replace(_GOOD, code=None), "did not end"),
        (replace(_GOOD, code=-11), "ended with -11"),
        (replace(_GOOD, code=2), "without a code"),
        (replace(_GOOD, code=1, output="error E899"), "unexpected error"),
        (replace(_GOOD, code=1, output="E801\nTraceback (most recent call last)"), "traceback"),
        (replace(_GOOD, output="\x1b[31m"), "control character"),
        (replace(_GOOD, output="for u:hunter2@host"), "secret"),
        (replace(_GOOD, cpu_seconds=9.0), "processor time"),
        (replace(_GOOD, memory=10**9), "1000 MB"),
    ],
)
def test_the_judge_notices(outcome: Outcome, fault: str, tmp_path: Path) -> None:
    case = Case(tmp_path, (), secrets=("hunter2",))
    assert not faults(case, _GOOD)
    assert [fault in text for text in faults(case, outcome)] == [True]


def test_the_judge_notices_changed_files_and_leftovers(tmp_path: Path) -> None:
    victim, outside = tmp_path / "victim", tmp_path / "outside"
    case = Case(tmp_path, (), intact={victim: b"precious", outside: None})
    for path in (victim, outside, tmp_path / ".out.mp4.x.part"):
        path.write_bytes(b"x")
    assert faults(case, _GOOD) == ["it changed victim", "it changed outside", "it left .out.mp4.x.part"]


def test_a_command_over_its_memory_does_not_take_the_machine_along(tmp_path: Path) -> None:
    case = Case(tmp_path, ("check", "pipeline=super_resolution", f"input={'x' * 100}"))
    outcome = run(case)
    assert outcome.code == 2
    assert "E401" in outcome.output
    assert not faults(case, outcome)
