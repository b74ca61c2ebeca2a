"""Test batches on the workers of a Ray cluster on this machine: results, and workers and drivers that are killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest

import bmfgraph as bg
from tests.tools import double_model

ray = pytest.importorskip("ray", reason="Ray is not installed: make cluster")

# Ray lets go of the processes of its cluster before they have ended, which they do a moment later.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")

CLIPS = 16
WORDS = (
    *("pipeline=super_resolution", "model.name=x", "model.file=x.onnx", "model.inputs={input: {}}"),
    *("model.outputs={output: {}}", "engine.runtime=onnxruntime", "engine.threads=1", "encoder.preset=ultrafast"),
    *("progress=false", "input=clips/*.mp4", "output=out/{relpath}.mp4"),
)
COMMAND = [sys.executable, "-m", "bmfgraph", "batch", *WORDS]
RAY = ("launcher=ray", "parallel=2", "resources.cpus=0")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: Callable[..., Path]) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    double_model(Path("x.onnx"))
    Path("clips").mkdir()
    one = clip("clips/0.mp4", frames=150, size=(320, 240))
    for number in range(1, CLIPS):
        shutil.copy(one, f"clips/{number}.mp4")
    yield
    for name in [*Path().rglob("*.mp4")]:
        name.unlink()


def done() -> dict[str, float]:
    return {path.name: path.stat().st_mtime for path in Path("out").glob("*.mp4")}


def wait_for(count: int, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while len(done()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def workers() -> list[int]:
    """Return the processes of Ray's workers that run clips of this test."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            title, place = (path / "cmdline").read_bytes(), str((path / "cwd").readlink())
        except OSError:
            continue
        if title.startswith(b"ray::_Worker") and place == str(Path.cwd()):
            found.append(int(path.name))
    return found


def frames_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [frame.to_ndarray().tobytes() for frame in file.decode(video=0)]


def frames_in(path: Path) -> int:
    with av.open(str(path)) as file:
        return sum(1 for _ in file.decode(video=0))


@pytest.mark.timeout(240)
def test_results_are_those_of_one_machine_although_a_worker_is_killed() -> None:
    process = subprocess.Popen([*COMMAND, *RAY], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for(2)
    first = workers()
    os.kill(first[0], signal.SIGKILL)
    deadline = time.monotonic() + 60
    while not set(workers()) - set(first):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 0, errors
    apart = {path.name: path.read_bytes() for path in Path("out").glob("*.mp4")}
    assert len(apart) == CLIPS
    shutil.rmtree("out")
    subprocess.run([*COMMAND, "journal=other.journal"], check=True, capture_output=True)
    assert {path.name: path.read_bytes() for path in Path("out").glob("*.mp4")} == apart


@pytest.mark.timeout(240)
def test_parts_of_a_clip_run_on_all_workers_although_one_is_killed() -> None:
    for number in range(1, CLIPS):
        Path(f"clips/{number}.mp4").unlink()
    words = ("encoder.codec=ffv1", "encoder.preset=null", "output=out/{relpath}.mkv", "segments=10")
    process = subprocess.Popen([*COMMAND, *RAY, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 90
    while not [*Path("out").glob(".0.mkv.parts-*/0*-sink.mkv")]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for worker in workers()[:1]:
        os.kill(worker, signal.SIGKILL)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 0, errors
    assert len(set(re.findall(r"process (\d+)", errors))) >= 2
    decoded = frames_of(Path("out/0.mkv"))
    subprocess.run([*COMMAND, *words[:3], "journal=other.journal", "overwrite=true"], check=True, capture_output=True)
    assert decoded == frames_of(Path("out/0.mkv"))
    assert len(decoded) == 150


@pytest.mark.timeout(240)
def test_cells_of_a_sweep_run_on_the_workers() -> None:
    words = [word for word in WORDS if not word.startswith(("input=", "output="))]
    command = [sys.executable, "-m", "bmfgraph", "-m", *words, *RAY, "input=clips/0.mp4", "encoder.crf=20,30"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert len(re.findall(r"process \d+", ended.stderr)) == 2
    results = [json.loads(path.read_text()) for path in Path("outputs/sweeps").glob("*/cells/*/result.json")]
    assert [result["status"] for result in results] == ["ok", "ok"]


@pytest.mark.timeout(240)
def test_a_batch_whose_driver_was_killed_goes_on() -> None:
    process = subprocess.Popen([*COMMAND, *RAY], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(3)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while workers():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    before = done()
    ended = subprocess.run([*COMMAND, *RAY], capture_output=True, text=True, check=True)
    kept = int(re.findall(r"(\d+) of 16 clips were done before", ended.stderr)[0])
    assert len(before) - 2 <= kept <= len(before)
    after = done()
    assert len(after) == CLIPS
    assert sum(after[name] != when for name, when in before.items()) <= len(before) - kept
    assert all(frames_in(path) == 150 for path in Path("out").glob("*.mp4"))
    # Nothing unfinished is left.
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(after)


@pytest.mark.timeout(120)
def test_failures_come_with_their_codes() -> None:
    for number in range(3, CLIPS):
        Path(f"clips/{number}.mp4").unlink()
    Path("clips/1.mp4").write_bytes(Path("clips/1.mp4").read_bytes()[:2000])
    ended = subprocess.run([*COMMAND, *RAY, "on_error=skip"], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "failed: clips/1.mp4: E404" in ended.stderr
    assert sorted(done()) == ["0.mp4", "2.mp4"]


@pytest.mark.timeout(120)
def test_ctrl_c_ends_the_workers() -> None:
    process = subprocess.Popen([*COMMAND, *RAY], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for(2)
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert "error[E800]" in errors
    deadline = time.monotonic() + 20
    while workers():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.timeout(120)
def test_a_cluster_without_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bmfgraph.batches.ray_workers._START", 3.0)
    monkeypatch.setattr("bmfgraph.batches.run._PAUSE", 0.0)
    words = [word for word in WORDS if not word.startswith("pipeline=")]
    with pytest.raises(bg.BmfgraphError, match="no worker started within 3 s: each needs 999 CPUs") as caught:
        list(bg.batch("super_resolution", *words, "launcher=ray", "resources.cpus=999"))
    assert caught.value.problems[0].code == "E817"


def test_a_cluster_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray-is-not-here")
    words = [word for word in WORDS if not word.startswith("pipeline=")]
    with pytest.raises(bg.BmfgraphError, match="the cluster cannot be reached") as caught:
        list(bg.batch("super_resolution", *words, "launcher=ray"))
    assert caught.value.problems[0].code == "E817"
