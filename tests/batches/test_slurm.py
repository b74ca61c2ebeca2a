"""Test batches and sweeps as jobs of submitit, which are processes of this machine where there is no Slurm."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import bmfgraph as bg
from bmfgraph import error_codes as codes
from bmfgraph.errors import BmfgraphError
from tests.tools import double_model

pytest.importorskip("submitit", reason="submitit is not installed: make cluster")
pytestmark = [
    pytest.mark.skipif(shutil.which("srun") is not None, reason="Slurm would run the jobs"),
    # submitit leaves the processes that watch its local jobs to themselves.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
]

WORDS = ("engine.runtime=onnxruntime", "encoder.preset=ultrafast", "launcher=slurm", "parallel=2")
MODEL = {"name": "x", "file": "x.onnx", "inputs": {"input": {}}, "outputs": {"output": {}}}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: Callable[..., Path]) -> None:
    monkeypatch.chdir(tmp_path)
    double_model(Path("x.onnx"))
    Path("clips").mkdir()
    for number in range(3):
        clip(f"clips/{number}.mp4", frames=4 + number)


def batch(*words: str) -> dict[str, int | None]:
    """Return the frames of each clip; None where it failed."""
    words = (*WORDS, *words)
    results = bg.batch("super_resolution", *words, model=MODEL, input="clips/*.mp4", output="out/{stem}.mp4")
    return {Path(ended.clip).name: ended.result.frames if ended.result else None for ended in results}


def test_each_clip_is_a_job() -> None:
    assert batch() == {"0.mp4": 4, "1.mp4": 5, "2.mp4": 6}
    assert not batch()


def test_parts_are_jobs() -> None:
    assert batch("segments=2") == {"0.mp4": 4, "1.mp4": 5, "2.mp4": 6}


def test_a_clip_that_fails_does_not_stop_the_others() -> None:
    Path("clips/1.mp4").write_bytes(b"no video")
    assert batch("on_error=skip") == {"0.mp4": 4, "1.mp4": None, "2.mp4": 6}


def test_a_job_that_dies_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    killer = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
    Path("site").mkdir()
    # Each job imports this module when it starts.
    Path("site/sitecustomize.py").write_text(f"import sys\nif 'submitit' in ' '.join(sys.orig_argv):\n    {killer!r}\n"
                                             f"    exec({killer!r})\n")  # fmt: skip
    monkeypatch.setenv("PYTHONPATH", "site")
    with pytest.raises(BmfgraphError) as caught:
        batch()
    assert caught.value.problems[0].code == codes.LOST_WORKER


def test_cells_of_a_sweep_are_jobs() -> None:
    words = ["pipeline=super_resolution", "model.name=x", "model.file=x.onnx", "model.inputs={input: {}}"]
    words += ["model.outputs={output: {}}", *WORDS, "input=clips/0.mp4", "progress=false", "encoder.crf=20,30"]
    done = subprocess.run(
        [sys.executable, "-m", "bmfgraph", "-m", *words], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    results = [json.loads(path.read_text()) for path in Path("outputs/sweeps").glob("*/cells/*/result.json")]
    assert [result["status"] for result in results] == ["ok", "ok"]
    assert "process" in done.stderr


def test_closing_the_batch_ends_its_jobs() -> None:
    results = bg.batch("super_resolution", *WORDS, model=MODEL, input="clips/*.mp4", output="out/{stem}.mp4")
    next(results)
    results.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("bmfgraph-clip")]
