"""A child process that does one thing while this one does another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bmfgraph.cli.overlap import run_in_child
from bmfgraph.errors import BmfgraphError, ConfigError, PipelineErrors, PlanError

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


def children() -> set[int]:
    """Of this process, the dead that nobody waited for included."""
    return {
        int(line.split()[0])
        for line in subprocess.run(
            ["ps", "-o", "pid=,comm=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        if line.split()[1] != "ps"
    }


def test_both_are_done_by_different_processes() -> None:
    here: list[int] = []
    before = children()
    there = run_in_child(lambda: {"pid": os.getpid(), "much": "x" * (1 << 20)}, lambda: here.append(os.getpid()))
    assert here == [os.getpid()]
    assert there["pid"] != os.getpid()
    assert len(str(there["much"])) == 1 << 20
    assert children() == before


def test_they_are_done_at_the_same_time() -> None:
    begun = time.perf_counter()
    run_in_child(lambda: time.sleep(1), lambda: time.sleep(1))
    assert time.perf_counter() - begun < 1.8


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("is wrong", path="engine", hint="mend it", code="E103"),
        PipelineErrors([PlanError("a", "x", code="E301"), ConfigError("y", hint="z", code="E106")]),
    ],
)
def test_an_error_comes_over_whole(error: BmfgraphError) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        run_in_child(fail, lambda: None)
    assert str(caught.value) == str(error)
    assert caught.value.problems == error.problems
    assert caught.value.exit_code == error.exit_code
    assert "in fail" in caught.value.trace


@pytest.mark.parametrize("end", ["killed", "raises", "exits", "does not pickle"])
def test_a_child_without_an_answer_is_replaced(end: str) -> None:
    parent = os.getpid()

    def do() -> object:
        if os.getpid() == parent:
            return "done here"
        if end == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if end == "raises":
            raise ValueError
        if end == "exits":
            sys.exit(3)
        return lambda: None

    assert run_in_child(do, lambda: None) == "done here"


def test_without_room_for_a_process_it_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", refuse)
    files = sorted(Path("/proc/self/fd").iterdir())
    assert run_in_child(os.getpid, lambda: None) == os.getpid()
    assert sorted(Path("/proc/self/fd").iterdir()) == files


def test_nothing_is_left_when_the_other_part_fails() -> None:
    before = children()
    with pytest.raises(ZeroDivisionError):
        run_in_child(lambda: time.sleep(60), lambda: 1 // 0)
    assert children() == before


def test_what_was_printed_before_is_printed_once(tmp_path: Path) -> None:
    code = """
from bmfgraph.cli.overlap import beside
print("before")
beside(lambda: print("there"), lambda: None)
print("after")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "before\nthere\nafter\n"
    assert done.stderr == ""
