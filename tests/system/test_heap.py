"""Test that large blocks are used again, and that garbage is collected, in processes of their own."""

from __future__ import annotations

import gc
import os
import subprocess
import sys

import pytest

from bmfgraph.system.heap import existing_objects_frozen

_SCRIPT = """
import resource, sys
import numpy as np
from bmfgraph.system import heap

if sys.argv[1] == "keep":
    heap.keep_blocks()

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.empty(44_000_000, np.uint8).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults())
"""


_GARBAGE = """
import gc, weakref
from bmfgraph.system.heap import existing_objects_frozen

class Node:
    pass

def made():
    first, second = Node(), Node()
    first.other, second.other = second, first
    first.data = [[number] for number in range(1000)]
    return weakref.ref(first)

nodes, most = [], 0
for _ in range(1500):
    nodes.append(made())
    with existing_objects_frozen():
        pass
    nodes = [node for node in nodes if node() is not None]
    most = max(most, len(nodes))
print(most)
"""


def test_garbage_from_before_a_run_is_collected_in_the_end() -> None:
    done = subprocess.run([sys.executable, "-c", _GARBAGE], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 300


@pytest.mark.parametrize(("already", "expected"), [(0, True), (375, True), (12_000, False)])
def test_what_python_froze_by_itself_is_not_taken_for_the_callers(
    already: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = gc.get_freeze_count
    before = counted()
    monkeypatch.setattr(gc, "get_freeze_count", lambda: already)
    with existing_objects_frozen():
        assert (counted() > before + 4000) == expected
    assert counted() <= before


def faults(setting: str, **environment: str) -> int:
    """Return the page faults of ten blocks of 44 MB, each freed before the next."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    # Huge pages, which NumPy asks for, hide the number of pages.
    plain["NUMPY_MADVISE_HUGEPAGE"] = "0"
    command = [sys.executable, "-c", _SCRIPT, setting]
    return int(subprocess.run(command, env=plain | environment, capture_output=True, text=True, check=True).stdout)


def test_a_large_block_is_not_given_back_between_two_frames() -> None:
    default = faults("leave")
    if default < 10_000:
        pytest.skip("this allocator keeps large blocks by itself")
    kept = faults("keep")
    if kept > default // 2:
        pytest.skip("this glibc refuses the setting")
    assert kept < 100


def test_the_users_own_setting_stays() -> None:
    default = faults("leave", MALLOC_MMAP_THRESHOLD_="131072")
    assert abs(faults("keep", MALLOC_MMAP_THRESHOLD_="131072") - default) <= default // 10 + 100
