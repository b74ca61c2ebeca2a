"""A terminal that is closed: SIGHUP at any moment."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runner.command import bmfgraph, start


@pytest.mark.parametrize("moment", [0.05, 0.3, 1.0])
def test_a_closed_terminal_ends_the_command_with_a_word(
    tmp_path: Path, clip: Callable[..., Path], moment: float
) -> None:
    clip(frames=400)
    running = start(bmfgraph("input=clip.mp4", "output=out.mp4"), tmp_path)
    time.sleep(moment)
    running.send(signal.SIGHUP)
    ended = running.wait()
    # Python itself has not begun to handle signals in its first hundredth of a second.
    assert ended.code in (130, -signal.SIGHUP if moment < 0.1 else 130)
    assert ended.code != 130 or ended.err.startswith("bmfgraph: ")
    assert not [path for path in tmp_path.iterdir() if path.name != "clip.mp4"]
