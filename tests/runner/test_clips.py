"""Run several clips in one process: what names them, how they run side by side, and how they fail."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

import bmfgraph as bg
from bmfgraph.engines.runtimes.ort_session import open_session
from bmfgraph.errors import BmfgraphError, MediaError
from bmfgraph.media.clips import clip_names
from tests.tools import double_model

Clip = Callable[..., Path]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def same_clips(clip: Clip, *names: str, **options: Any) -> list[str]:
    """Write a clip and copies of it: drawing a long one takes longer than the run."""
    first = clip(names[0], **options)
    for name in names[1:]:
        shutil.copy(first, name)
    return list(names)


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


# --------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (None, None),
        ("a.mp4", None),
        ("missing.mp4", None),
        ("-", None),
        ("https://host/[a]*.mp4", None),
        ("*.mp4", ("a.mp4", "b2.mp4", "b10.mp4")),
        ("**/*.mov", ("deep/er/c.mov", "videos/d.mov")),
        ("*.nothing", None),
        ("frames/*.png", None),
        ("frames", None),
        ("videos", ("videos/D.MKV", "videos/d.mov")),
        ("empty", None),
        (("a.mp4",), ("a.mp4",)),
        (("a.mp4", "videos", "b*.mp4"), ("a.mp4", "videos/D.MKV", "videos/d.mov", "b2.mp4", "b10.mp4")),
        (("frames", "a.mp4"), ("frames", "a.mp4")),
        ("list.txt", ("a.mp4", "videos/D.MKV", "videos/d.mov", "gone.mp4")),
    ],
)
def test_names(value: Any, names: tuple[str, ...] | None) -> None:
    touch("a.mp4", "b10.mp4", "b2.mp4", "frames/1.png", "frames/2.png", "videos/d.mov", "videos/D.MKV", "videos/x.json")
    touch("videos/.hidden.mov", "deep/er/c.mov")
    Path("empty").mkdir()
    Path("list.txt").write_text("# comment\na.mp4\n\n  videos  \ngone.mp4\n")
    assert clip_names(value) == names


def test_a_list_without_names() -> None:
    Path("list.txt").write_text("# nothing\n\n")
    with pytest.raises(MediaError, match=r"'list.txt' is a list without a name"):
        clip_names("list.txt")


def test_a_list_that_names_itself() -> None:
    Path("list.txt").write_text("list.txt\n")
    assert clip_names("list.txt") == ("list.txt",)


# ---------------------------------------------------------------------------------------------------- runs


def job(clips: Any, *overrides: str, **values: Any) -> bg.Job:
    double_model(Path("x.onnx"))
    model = {"name": "x", "file": "x.onnx", "inputs": {"input": {}}, "outputs": {"output": {}}}
    options = {"output": "{stem}_out.mp4", "model": model, **values}
    return bg.compose("super_resolution", "encoder.preset=ultrafast", *overrides, input=clips, **options)


def frames_in(name: str) -> int:
    with av.open(name) as file:
        return sum(1 for _ in file.decode(video=0))


@pytest.mark.parametrize("parallel", [1, 3])
def test_every_clip_is_run_as_it_would_be_alone(clip: Clip, parallel: int) -> None:
    counts = {f"{name}.mp4": frames for name, frames in (("a", 5), ("b", 40), ("c", 12), ("d", 1))}
    for name, frames in counts.items():
        clip(name, frames=frames)
    seen: list[bg.Progress] = []
    several = job(list(counts))
    results = {ended.clip: ended for ended in several.run_each(parallel=parallel, progress=seen.append)}
    assert {name: ended.result.frames for name, ended in results.items() if ended.result} == counts
    assert all(ended.exit_code == 0 for ended in results.values())
    assert {progress.total for progress in seen} <= {sum(counts.values())}
    assert all(progress.done <= sum(counts.values()) for progress in seen)
    together = {name: Path(f"{name}_out.mp4").read_bytes() for name in "abcd"}
    for single in several.clips():
        single.run(overwrite=True)
    assert together == {name: Path(f"{name}_out.mp4").read_bytes() for name in "abcd"}


def test_an_engine_is_loaded_once(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    original = open_session

    def counted(*arguments: Any, **options: Any) -> Any:
        opened.append(arguments)
        return original(*arguments, **options)

    monkeypatch.setattr("bmfgraph.engines.runtimes.onnxruntime.open_session", counted)
    clips = same_clips(clip, "0.mp4", "1.mp4", "2.mp4", frames=200)
    assert len(list(job(clips).run_each(parallel=3))) == 3
    assert len(opened) == 1


@pytest.mark.parametrize("key", ["output", "report"])
def test_two_clips_that_would_write_one_file(clip: Clip, key: str) -> None:
    clip("a.mp4", frames=2), clip("b.mp4", frames=2)
    several = job("*.mp4", **{key: "one.mp4"})
    for on_error in ("stop", "skip"):
        with pytest.raises(BmfgraphError, match=r"'a.mp4' and 'b.mp4' would both write '.*/one.mp4'") as info:
            list(several.run_each(on_error=on_error))
        assert info.value.problems[0].code == "E222"
    assert [problem.code for problem in several.check().problems if problem.severity == "error"] == ["E222"]
    assert not list(Path.cwd().glob("*_out.mp4"))


def test_one_clip_where_one_is_needed(clip: Clip) -> None:
    clip("a.mp4", frames=2), clip("b.mp4", frames=2)
    several = job(["a.mp4", "b.mp4"])
    for work in (several.plan, several.run, several.build, lambda: several.stream("source")):
        with pytest.raises(BmfgraphError, match=r"names 2 clips, from 'a\.mp4' to 'b\.mp4'") as info:
            work()
        assert info.value.problems[0].code == "E223"
    assert [single.plan().name for single in several.clips()] == ["super_resolution"] * 2
    assert several.check().ok


def broken(clip: Clip) -> None:
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        clip(name, frames=30)
    Path("b.mp4").write_bytes(b"rubbish" * 100)


def test_a_wrong_clip_stops_all_before_the_first_begins(clip: Clip) -> None:
    broken(clip)
    with pytest.raises(BmfgraphError, match=r"b\.mp4"):
        list(job("*.mp4").run_each(parallel=2))
    assert not list(Path.cwd().glob("*_out.mp4"))


def test_a_wrong_clip_is_left_out(clip: Clip) -> None:
    broken(clip)
    Path("r").mkdir()
    results = {ended.clip: ended for ended in job("*.mp4", report="r/{stem}.json").run_each(on_error="skip")}
    assert {name: ended.exit_code for name, ended in results.items()} == {"a.mp4": 0, "b.mp4": 1, "c.mp4": 0}
    assert results["b.mp4"].error is not None
    assert sorted(path.name for path in Path.cwd().glob("*_out.mp4")) == ["a_out.mp4", "c_out.mp4"]
    report = json.loads(Path("r/super_resolution_clips.json").read_text())
    assert [(one["input"], one["exit_code"], one.get("frames")) for one in report["clips"]] == [
        ("b.mp4", 1, None),
        ("a.mp4", 0, 30),
        ("c.mp4", 0, 30),
    ]
    assert report["clips"][0]["errors"][0]["code"] == "E404"
    assert json.loads(Path("r/a.json").read_text())["frames"]["out"] == 30


@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_a_clip_that_fails_while_it_runs(clip: Clip, on_error: Any) -> None:
    broken(clip)
    clip("b.mp4", frames=1500)
    data = Path("b.mp4").read_bytes()
    several = job("*.mp4", "decoder.start=0.2")
    results = several.run_each(on_error=on_error)
    assert next(results).clip == "a.mp4"
    # Its index promises more frames than it has.
    Path("b.mp4").write_bytes(data[: len(data) // 2])
    if on_error == "stop":
        with pytest.raises(BmfgraphError):
            list(results)
        assert not Path("c_out.mp4").exists()
    else:
        rest = {ended.clip: ended.error is None for ended in results}
        assert rest == {"b.mp4": False, "c.mp4": True}
    assert not Path("b_out.mp4").exists()
    assert not [path for path in Path.cwd().iterdir() if ".part" in path.name]


def test_a_closed_iterator_ends_the_runs(clip: Clip) -> None:
    clip("a.mp4", frames=2)
    same_clips(clip, "b.mp4", "c.mp4", frames=3000)
    results = job(["a.mp4", "b.mp4", "c.mp4"]).run_each(parallel=3)
    assert next(results).clip == "a.mp4"
    results.close()
    assert sorted(path.name for path in Path.cwd().glob("*_out.mp4")) == ["a_out.mp4"]
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("bmfgraph-clip")]


# ------------------------------------------------------------------------------------------ command line


def command(*words: str) -> list[str]:
    double_model(Path("x.onnx"))
    model = ["model.name=x", "+model.file=x.onnx", "model.source=null", "model.sha256=null"]
    return [sys.executable, "-m", "bmfgraph", "pipeline=super_resolution", *model, "encoder.preset=ultrafast", *words]


def test_the_command_line(clip: Clip) -> None:
    for name in ("a,1.mp4", "b [2].mp4", "c.mp4"):
        clip(name, frames=5)
    words = ["input=['a,1.mp4', 'b [2].mp4', c.mp4]", "output={stem}_out.mkv", "parallel=2"]
    done = subprocess.run(command(*words), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "bmfgraph: 3 clips: 3 done, 0 failed"
    assert {path.name for path in Path.cwd().glob("*.mkv")} == {"a,1_out.mkv", "b [2]_out.mkv", "c_out.mkv"}
    assert frames_in("b [2]_out.mkv") == 5
    words = ["input=[c.mp4, gone.mp4]", "output={stem}_o.mkv", "on_error=skip"]
    done = subprocess.run(command(*words), capture_output=True, text=True)
    assert done.returncode == 1
    assert "bmfgraph: gone.mp4:\nbmfgraph: error[E401]:" in done.stderr
    assert done.stderr.splitlines()[-1] == "bmfgraph: 2 clips: 1 done, 1 failed"


@pytest.mark.sample(1)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all(clip: Clip, number: signal.Signals) -> None:
    same_clips(clip, "a.mp4", "b.mp4", "c.mp4", frames=1500, size=(320, 240))
    words = command("input=[a.mp4,b.mp4,c.mp4]", "output={stem}_out.mkv", "parallel=2", "progress=false")
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    # Its engine is loaded, and the frames begin.
    line = process.stderr.readline()
    os.kill(process.pid, number)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 130, (line, text)
    assert not list(Path.cwd().glob("*_out.mkv"))
    assert not [path for path in Path.cwd().iterdir() if ".part" in path.name]


@pytest.mark.wide
@pytest.mark.parametrize(
    ("graph", "number"),
    [
        (2, signal.SIGTERM),
        (1, signal.SIGINT),
        (1, signal.SIGTERM),
        (2, signal.SIGINT),
    ],
)
def test_a_signal_while_a_graph_is_created(clip: Clip, graph: int, number: signal.Signals) -> None:
    """BMF's own handler, which it installs then, would end the clips as if they ended there."""
    same_clips(clip, "a.mp4", "b.mp4", "c.mp4", frames=600, size=(320, 240))
    double_model(Path("x.onnx"))
    Path("go.py").write_text(CREATION)
    ended = subprocess.run(
        [sys.executable, "go.py", str(graph), str(int(number))], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.stdout == "Cancelled\n", ended.stderr
    assert not list(Path.cwd().glob("*_out.mkv"))


CREATION = """
import contextlib, os, sys, time
import bmfgraph as bg
from bmfgraph.runner import run
created, (which, number) = [], map(int, sys.argv[1:])

@contextlib.contextmanager
def kept():
    created.append(None)
    here = len(created) == which
    yield lambda: None
    if here:
        os.kill(os.getpid(), number)
        time.sleep(0.3)

run.signals_kept = kept
model = {"name": "x", "file": "x.onnx", "inputs": {"input": {}}, "outputs": {"output": {}}}
job = bg.compose("super_resolution", "encoder.preset=ultrafast", "engine.runtime=onnxruntime", model=model,
                 input=["a.mp4", "b.mp4", "c.mp4"], output="{stem}_out.mkv")
try:
    print([ended.clip for ended in job.run_each(parallel=2)])
except bg.BmfgraphError as error:
    print(type(error).__name__)
"""
"""Sends a signal right after the graph with that number was created, before its handlers would be restored."""


def test_messages_come_while_another_clip_has_muted_the_terminal() -> None:
    ended = subprocess.run([sys.executable, "-c", MUTED], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stderr == "bmfgraph: before\nbmfgraph: while\nbmfgraph: after\n"


MUTED = """
import os, threading
from bmfgraph.system.console import console_output, say
from bmfgraph.system.stdio import terminal_muted
with console_output():
    say("before")
    with terminal_muted():
        os.write(2, b"of native code")
        other = threading.Thread(target=say, args=("while",))
        other.start()
        other.join()
    say("after")
"""
