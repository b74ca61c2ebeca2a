"""ONNX Runtime's telemetry: no identifier, no file through a link, no line on the terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runner.command import bmfgraph, start

pytest.importorskip("onnxruntime")


@pytest.fixture(autouse=True)
def no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variable, which importing bmfgraph has set for the tests, too."""
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)


@pytest.mark.wide
def test_a_run_leaves_nothing_of_the_telemetry(tmp_path: Path, clip: Callable[..., Path]) -> None:
    clip()
    for name in ("home", "tmp", "cache"):
        (tmp_path / name).mkdir()
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "tmp" / ".ses").symlink_to("../victim")
    paths = {"HOME": "home", "TMPDIR": "tmp", "BMFGRAPH_CACHE": "cache", "XDG_CACHE_HOME": "home"}
    env = {name: str(tmp_path / folder) for name, folder in paths.items()}
    start(bmfgraph("input=clip.mp4", "output=out.mp4"), tmp_path, env=env, fresh=True).wait().success()
    assert (tmp_path / "victim").read_text() == "precious"
    assert [path for path in (tmp_path / "home").rglob("*") if path.is_file()] == []


@pytest.mark.wide
def test_a_home_that_cannot_be_written_is_no_message(tmp_path: Path, clip: Callable[..., Path]) -> None:
    clip()
    env = {"HOME": "/nope/home", "BMFGRAPH_CACHE": str(tmp_path / "cache"), "TMPDIR": str(tmp_path)}
    words = ("input=clip.mp4", "output=out.mp4", "progress=false")
    ended = start(bmfgraph(*words), tmp_path, env=env, fresh=True).wait().success()
    assert [line for line in ended.err.splitlines() if not line.startswith("bmfgraph: ")] == []
    assert not (tmp_path / ".ses").exists()
