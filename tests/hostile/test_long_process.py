"""Processes that run many times, and scripts beside files with the names of modules."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runner.command import Ended, start

Clip = Callable[..., Path]

_MANY = """
import os, sys
from pathlib import Path
import bmfgraph as bg
job = bg.compose("super_resolution", input="clip.mp4", output="out.mp4")
for number in range(15):
    job.run(overwrite=True)
    if number in (0, 14):
        print(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1_000_000)
"""


@pytest.mark.wide
def test_memory_levels_off(tmp_path: Path, clip: Clip) -> None:
    """Each run has new threads. With a heap for each of them, 15 runs took 150 MB more than one; with
    decoders that Python's collector has to find, 60 MB."""
    clip("clip.mp4", size=(320, 180), frames=8)
    ended = start([sys.executable, "-c", _MANY], tmp_path).wait(120)
    first, last = map(int, ended.success().out.split())
    assert last < first + 30
    assert last < 450


def script(folder: Path, body: str) -> Ended:
    (folder / "script.py").write_text(
        f"import bmfgraph as bg\ntry:\n    {body}\n"
        "except bg.BmfgraphError as error:\n"
        "    print(type(error).__name__, error.problems[0].code, error.problems[0].message)\n"
    )
    return start([sys.executable, str(folder / "script.py")], folder).wait()


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("av.py", "x = 1\n"),
        ("torch.py", "raise ImportError('not this one')\n"),
        ("pydantic.py", ""),
        ("numpy/__init__.py", ""),
    ],
)
def test_a_file_beside_the_script_stands_in_the_way(name: str, content: str, tmp_path: Path, clip: Clip) -> None:
    clip("clip.mp4", frames=3)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    ended = script(tmp_path, "bg.compose('super_resolution', input='clip.mp4', output='out.mp4').run()")
    assert ended.code == 0, ended
    module = re.split(r"[./]", name)[0]
    assert " E813 " in ended.out, ended
    assert f"{str(path)!r} stands in the way of the module {module!r}" in ended.out


def test_a_failure_that_such_a_file_does_not_explain(tmp_path: Path, clip: Clip) -> None:
    """The script's folder holds a file with such a name, but the library itself was imported before."""
    (tmp_path / "late.py").write_text("")
    ended = script(tmp_path, "bg.compose('super_resolution', input='none.mp4', output='out.mp4').run()")
    assert "does not exist" in ended.out
    assert "E813" not in ended.out
