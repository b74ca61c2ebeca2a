"""Progress where standard error is not a terminal."""

from __future__ import annotations

import io
import sys

import pytest

from bmfgraph.system.progress import Progress, show_progress


@pytest.mark.parametrize("stream", [None, "closed"])
def test_a_program_without_a_console(stream: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO() if stream else None
    if stderr:
        stderr.close()
    monkeypatch.setattr(sys, "stderr", stderr)
    with show_progress() as callback:
        assert callback is not None
        callback(Progress("task", 1, 2, "frames"))
