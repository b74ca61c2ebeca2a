"""Test batches: what runs, what is kept, what is told, and what is left when the process is killed."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

import bmfgraph as bg
from bmfgraph.batches.files import ClipFiles
from bmfgraph.batches.journal import Journal
from bmfgraph.compile.job import compile_job
from bmfgraph.config.job import JobReading
from bmfgraph.errors import BmfgraphError, RunError
from bmfgraph.plan.plan import Plan, files_written
from tests.codes.command import Outcome, run_cli
from tests.runner.command import FAULTY, start
from tests.tools import double_model

Clip = Callable[..., Path]
BMFGRAPH = [sys.executable, "-m", "bmfgraph"]
JOURNAL = Path("outputs/batch/super_resolution.journal")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    double_model(Path("x.onnx"))


@pytest.fixture
def clips(clip: Clip) -> list[str]:
    """Make four clips in two folders."""
    Path("clips/deep").mkdir(parents=True)
    return [str(clip(f"clips/{name}.mp4", frames=3 + number)) for number, name in enumerate(("a", "b", "deep/a", "c"))]


MODEL = {"name": "x", "file": "x.onnx", "inputs": {"input": {}}, "outputs": {"output": {}}}
WORDS = ("encoder.preset=ultrafast", "engine.runtime=onnxruntime")


def batch(*overrides: str, **values: Any) -> list[Any]:
    options = {"input": "clips/**/*.mp4", "output": "out/{relpath}.mp4", "model": MODEL, **values}
    return list(bg.batch("super_resolution", *WORDS, *overrides, **options))


def command(*overrides: str) -> list[str]:
    return [*BMFGRAPH, "batch", *cli_words(*overrides)]


def cli_words(*overrides: str) -> list[str]:
    words = ["pipeline=super_resolution", "model.name=x", "model.file=x.onnx", *WORDS, "progress=false"]
    meaning = ["model.inputs={input: {}}", "model.outputs={output: {}}"]
    return [*words, *meaning, "input=clips/**/*.mp4", "output=out/{relpath}.mp4", *overrides]


def cli(verb: str, *overrides: str) -> Outcome:
    """Run a command line in this process, which has imported what it needs."""
    return run_cli(shlex.join([*verb.split(), *cli_words(*overrides)]), Path(), as_json=False)


def outputs() -> dict[str, tuple[int, int]]:
    """Return inode and time of each output."""
    found = (path for path in Path("out").rglob("*") if path.is_file())
    return {path.relative_to("out").as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def summary(name: str = "super_resolution") -> Any:
    return json.loads(Path(f"outputs/batch/{name}/summary.json").read_text())


def frames_in(path: str) -> int:
    with av.open(path) as file:
        return sum(1 for _ in file.decode(video=0))


# --------------------------------------------------------------------------------------------- what runs


def test_clips_run_in_parts(clips: list[str]) -> None:
    batch()
    expected = {path: frames_in(f"out/{path}") for path in outputs()}
    shutil.rmtree("out")
    ended = batch("segments=2", "parallel=2")
    assert sorted(each.result.frames for each in ended) == sorted(expected.values())
    assert {path: frames_in(f"out/{path}") for path in outputs()} == expected
    assert not batch("segments=3")


def test_all_clips_run_once_and_then_none(clips: list[str]) -> None:
    first = batch("parallel=2")
    assert sorted(ended.clip for ended in first) == ["clips/a.mp4", "clips/b.mp4", "clips/c.mp4", "clips/deep/a.mp4"]
    assert [frames_in(f"out/{name}.mp4") for name in ("a", "b", "deep/a", "c")] == [3, 4, 5, 6]
    before = outputs()
    assert batch() == []
    assert outputs() == before
    assert summary()["clips"] == {"done": 0, "kept": 4, "failed": 0, "waiting": 0}
    assert summary()["frames"] == 18


def test_a_clip_is_compiled_once(clips: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []

    def counted(reading: JobReading) -> Plan:
        compiled.append(str(reading.spec.input))
        return compile_job(reading)

    monkeypatch.setattr("bmfgraph.api.compile_job", counted)
    batch()
    assert sorted(compiled) == ["clips/a.mp4", "clips/b.mp4", "clips/c.mp4", "clips/deep/a.mp4"]


@pytest.mark.parametrize(
    ("output", "encoder"),
    [("out/{stem}_{model}.mp4", {}), ("out/{stem}_%04d.png", {"codec": "png"}), ("-", {"container": "nut"})],
)
def test_outputs_are_foreseen_without_a_plan(clips: list[str], output: str, encoder: dict[str, str]) -> None:
    job = bg.compose("super_resolution", input=clips[0], output=output, model=MODEL, encoder=encoder)
    assert ClipFiles.of(job.config).outputs == [str(path) for path in files_written(job.plan())]


def change_an_input() -> None:
    shutil.copy("clips/b.mp4", "clips/a.mp4")


def delete_an_output() -> None:
    Path("out/a.mp4").unlink()


def damage_an_output() -> None:
    with Path("out/a.mp4").open("ab") as file:
        file.write(b"x")


def leave_everything() -> None:
    pass


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("change", "overrides", "again"),
    [
        (change_an_input, (), {"a.mp4"}),
        (delete_an_output, (), {"a.mp4"}),
        (leave_everything, ("encoder.crf=40",), {"a.mp4", "b.mp4", "c.mp4", "deep/a.mp4"}),
        (leave_everything, ("parallel=3", "on_error=skip", "report=out/{relpath}.json"), set()),
    ],
)
def test_what_has_changed_runs_again(
    clips: list[str], change: Callable[[], None], overrides: tuple[str, ...], again: set[str]
) -> None:
    batch()
    before = outputs()
    change()
    batch(*overrides)
    after = outputs()
    assert {name for name in before if after[name] != before[name]} == again
    assert frames_in("out/a.mp4") == frames_in("clips/a.mp4")


def test_an_output_that_somebody_changed_is_not_replaced(clips: list[str]) -> None:
    batch()
    damage_an_output()
    (failed,) = batch("on_error=skip")
    assert failed.error.problems[0].code == "E220"
    assert Path("out/a.mp4").read_bytes().endswith(b"x")
    (done,) = batch("overwrite=true")
    assert done.clip == "clips/a.mp4"
    assert frames_in("out/a.mp4") == 3


def test_an_output_is_still_ours_after_a_failure(clips: list[str]) -> None:
    batch()
    whole = Path("clips/a.mp4").read_bytes()
    Path("clips/a.mp4").write_bytes(whole[: len(whole) // 2])
    (failed,) = batch("on_error=skip")
    assert failed.error
    Path("clips/a.mp4").write_bytes(whole)
    (done,) = batch()
    assert (done.clip, done.error) == ("clips/a.mp4", None)


def test_another_pattern_for_the_same_clips(clips: list[str]) -> None:
    batch()
    assert batch(input="clips/**/*.mp?") == []


def test_names_that_are_not_utf_8(clips: list[str]) -> None:
    shutil.copy("clips/a.mp4", os.fsdecode(b"clips/\xff.mp4"))
    for counts in ({"done": 5, "kept": 0}, {"done": 0, "kept": 5}):
        # In a process of its own: pytest-xdist cannot send the messages.
        start(command(), Path.cwd()).wait().success()
        assert counts.items() <= summary()["clips"].items()
    assert Path(os.fsdecode(b"out/\xff.mp4")).exists()


def test_overrides_of_a_manifest(clips: list[str]) -> None:
    Path("m.csv").write_text("input,output,decoder.end\nclips/a.mp4,x.mp4,0.04\nclips/b.mp4,y.mp4,\n")
    assert len(batch(input="m.csv")) == 2
    assert (frames_in("x.mp4"), frames_in("y.mp4")) == (1, 4)
    Path("m.csv").write_text("input,output,decoder.end\nclips/a.mp4,x.mp4,0.08\nclips/b.mp4,y.mp4,\n")
    (again,) = batch(input="m.csv")
    assert again.clip == "clips/a.mp4"
    assert frames_in("x.mp4") == 2


def test_check_of_a_manifest(clips: list[str]) -> None:
    Path("m.csv").write_text("input,output,decoder.end\nclips/a.mp4,x.mp4,0.04\nclips/b.mp4,y.mp4,\n")
    good = cli("check", "input=m.csv")
    assert (good.code, good.out.splitlines()[-1]) == (0, "super_resolution: nothing is wrong"), good
    Path("m.csv").write_text(
        "input,output,decoder.end\nclips/a.mp4,x.mp4,-1\nclips/b.mp4,y.mp4,\nnone.mp4,y.mp4,\nclips/c.mp4,y.mp4,\n"
    )
    bad = cli("check", "input=m.csv")
    assert bad.code == 2
    assert set(re.findall(r"^error +(E\d+)", bad.out, re.M)) == {"E207", "E222", "E401"}
    assert not Path("outputs").exists()


def test_run_takes_a_manifest_and_a_journal(clips: list[str]) -> None:
    Path("m.jsonl").write_text('{"input": "clips/a.mp4", "output": "x.mp4"}\n')
    start([*BMFGRAPH, *cli_words("input=m.jsonl")], Path.cwd()).wait().success()
    assert JOURNAL.exists()
    assert cli("", "journal=own.journal", "output={index}.mp4").code == 0
    assert sorted(path.name for path in Path().glob("*.mp4")) == ["0.mp4", "1.mp4", "2.mp4", "3.mp4", "x.mp4"]
    assert json.loads(Path("own/summary.json").read_text())["clips"]["done"] == 4


@pytest.mark.sample(1)
@pytest.mark.parametrize("parts", [1, 3, 6])
def test_shards_are_the_whole_and_no_clip_twice(clips: list[str], parts: int) -> None:
    ended = [each.clip for part in range(parts) for each in batch(f"shard={part + 1}/{parts}")]
    assert sorted(ended) == sorted(os.path.relpath(name) for name in clips)


def test_new_files_are_taken_while_it_watches(clips: list[str]) -> None:
    running = bg.batch(
        "super_resolution", *WORDS, "watch=true", input="clips/*.mp4", output="out/{relpath}.mp4", model=MODEL
    )
    assert sorted(next(running).clip for _ in range(3)) == ["clips/a.mp4", "clips/b.mp4", "clips/c.mp4"]
    data = Path("clips/deep/a.mp4").read_bytes()

    def write_slowly() -> None:
        with Path("clips/new.mp4").open("wb") as file:
            for start in range(0, len(data), len(data) // 5):
                file.write(data[start : start + len(data) // 5])
                file.flush()
                time.sleep(0.5)

    writer = threading.Thread(target=write_slowly)
    writer.start()
    new = next(running)
    writer.join()
    assert (new.clip, new.error) == ("clips/new.mp4", None)
    assert frames_in("out/new.mp4") == 5
    running.close()
    assert batch("on_error=skip", input="clips/*.mp4") == []


# ------------------------------------------------------------------------------------------ what fails


def test_failures_are_listed_and_run_again(clips: list[str]) -> None:
    good = Path("clips/b.mp4").read_bytes()
    Path("clips/b.mp4").write_bytes(b"no video")
    done = cli("batch", "on_error=skip")
    assert done.code == 1
    # All clips have the same engine.
    assert done.err.count("x in ONNX Runtime") == 1
    assert "failed: clips/b.mp4: E404: node 'source' (decoder): input 'clips/b.mp4' is not a video" in done.err
    assert summary()["clips"] == {"done": 3, "kept": 0, "failed": 1, "waiting": 0}
    assert summary()["codes"] == {"E404": 1}
    with Path("outputs/batch/super_resolution/clips.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {row["input"]: row for row in csv.DictReader(file)}
    assert (rows["clips/b.mp4"]["state"], rows["clips/b.mp4"]["error_code"]) == ("failed", "E404")
    assert rows["clips/deep/a.mp4"]["outputs"] == str(Path("out/deep/a.mp4").absolute())
    page = Path("outputs/batch/super_resolution/index.html").read_text()
    assert "E404" in page
    assert "clips/b.mp4" in page
    Path("clips/b.mp4").write_bytes(good)
    (again,) = batch("on_error=skip", "progress=false")
    assert again.clip == "clips/b.mp4"
    assert summary()["clips"] == {"done": 1, "kept": 3, "failed": 0, "waiting": 0}


def test_a_failure_stops_the_others(clips: list[str]) -> None:
    Path("clips/a.mp4").write_bytes(b"no video")
    done = cli("batch")
    assert done.code == 1
    assert len(re.findall(r"error\[E404\]", done.err)) == 1
    assert summary()["clips"] == {"done": 0, "kept": 0, "failed": 1, "waiting": 3}


@pytest.mark.sample(2)
@pytest.mark.parametrize("retries", ["2", "{E801: 2}", "{E404: 5}", "0"])
def test_retries(clips: list[str], retries: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    original = bg.Job.run

    def run(job: bg.Job, **options: Any) -> bg.RunResult:
        calls.append(str(job.spec.input))
        if calls.count("clips/b.mp4") < 3 and calls[-1] == "clips/b.mp4":
            raise RunError("x", "y", "no luck", code="E801")
        return original(job, **options)

    monkeypatch.setattr(bg.Job, "run", run)
    monkeypatch.setattr("bmfgraph.batches.run._PAUSE", 0.01)
    failed = [ended.clip for ended in batch("on_error=skip", f"retries={retries}") if ended.error]
    tried = 3 if "2" in retries else 1
    assert calls.count("clips/b.mp4") == tried
    assert failed == ([] if tried == 3 else ["clips/b.mp4"])


@pytest.mark.parametrize(
    ("output", "names"),
    [("out/{stem}.mp4", ("clips/a.mp4", "clips/deep/a.mp4")), ("out/one.mp4", ("clips/a.mp4", "clips/b.mp4"))],
)
def test_two_clips_that_would_write_one_file(clips: list[str], output: str, names: tuple[str, str]) -> None:
    with pytest.raises(BmfgraphError, match=rf"the clips '{names[0]}' and '{names[1]}' would both write") as caught:
        batch(output=output)
    assert caught.value.problems[0].code == "E222"
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("overrides", "values", "code", "path"),
    [
        (("shard=0/4",), {}, "E209", "shard"),
        (("shard=5/4",), {}, "E209", "shard"),
        (("retries=-1",), {}, "E207", "retries"),
        ((), {"input": "none/*.mp4"}, "E402", "input"),
        ((), {"input": "none.csv"}, "E403", "input"),
        ((), {"journal": "x.onnx"}, "E225", "journal"),
        ((), {"journal": "x.onnx/x.journal"}, "E225", "journal"),
        ((), {"journal": "clips"}, "E225", "journal"),
    ],
)
def test_mistakes(clips: list[str], overrides: tuple[str, ...], values: dict[str, Any], code: str, path: str) -> None:
    with pytest.raises(BmfgraphError) as caught:
        batch(*overrides, **values)
    problem = caught.value.problems[0]
    assert (problem.code, problem.path.partition(".")[0]) == (code, path)
    assert problem.hint
    assert not Path("out").exists()


def test_one_batch_at_a_time_uses_a_journal(clips: list[str]) -> None:
    first = bg.batch("super_resolution", *WORDS, input="clips/*.mp4", output="out/{relpath}.mp4", model=MODEL)
    next(first)
    with pytest.raises(BmfgraphError, match="another batch uses") as caught:
        batch()
    assert caught.value.problems[0].code == "E815"
    first.close()
    assert len(batch()) >= 1


def test_a_journal_of_another_version(clips: list[str]) -> None:
    base = sqlite3.connect("old.journal")
    base.execute("PRAGMA user_version=99")
    base.execute("CREATE TABLE clips (x)")
    base.close()
    with pytest.raises(BmfgraphError, match=r"'old.journal' is no journal of this version"):
        batch(journal="old.journal")


# ------------------------------------------------------------------------------------------ what survives


@pytest.fixture
def many(clip: Clip) -> int:
    """Make 20 clips; return their number."""
    Path("clips").mkdir()
    one = clip("clips/0.mp4", frames=30)
    for number in range(1, 20):
        shutil.copy(one, f"clips/{number}.mp4")
    return 20


def test_kill_in_the_middle_and_once_more(many: int) -> None:
    running = start(command("parallel=2"), Path.cwd())
    deadline = time.monotonic() + 60
    while len(list(Path("out").glob("*.mp4"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    running.process.kill()
    running.wait()
    before = {name: state for name, state in outputs().items() if name.endswith(".mp4")}
    assert 5 <= len(before) < many
    assert all(frames_in(f"out/{name}") == 30 for name in before)
    done = start(command("parallel=2"), Path.cwd()).wait(60).success()
    kept = int(re.findall(rf"(\d+) of {many} clips were done before", done.err)[0])
    after = outputs()
    # A clip whose files appeared, and that the journal had not noted, is the only one that may run again.
    assert len(before) - 2 <= kept <= len(before)
    assert sum(after[name] != state for name, state in before.items()) <= len(before) - kept
    assert sorted(after) == sorted(f"{number}.mp4" for number in range(many))


def test_ctrl_c_keeps_what_is_done(many: int) -> None:
    running = start(command(), Path.cwd())
    deadline = time.monotonic() + 60
    while len(list(Path("out").glob("*.mp4"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send(signal.SIGINT)
    ended = running.wait()
    assert ended.code == 130
    assert len(re.findall(r"error\[E800\]", ended.err)) == 1
    left = outputs()
    assert all(name.endswith(".mp4") for name in left)
    counts = summary()["clips"]
    assert counts["done"] == len(left)
    assert counts["done"] + counts["waiting"] == many


@pytest.mark.wide
def test_a_clip_that_ends_the_process_fails_alone_the_next_time(clips: list[str], faulty_kind: dict[str, str]) -> None:
    rows = [{"input": name, "pipeline.nodes.stage.fault": "kill" if name == clips[1] else "none"} for name in clips]
    Path("list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["pipeline=faulty", f"--config-dir={FAULTY / 'conf'}", "input=list.jsonl", "output=out/{index}.mp4"]
    words += ["on_error=skip", "parallel=4", "progress=false", "+pipeline.nodes.stage.frame=1"]
    command = [*BMFGRAPH, "batch", *words, "+pipeline.nodes.stage.fault=none"]
    first = start(command, Path.cwd(), env=faulty_kind).wait(60)
    assert first.code == -signal.SIGKILL
    second = start(command, Path.cwd(), env=faulty_kind).wait(60)
    assert second.code == 1, second
    counts = summary("faulty")
    # Some may have been done before the first command was killed.
    assert counts["clips"]["done"] + counts["clips"]["kept"] == 3, second.err
    assert list(counts["codes"]) == ["E809"]


def test_a_clip_that_ends_the_process_again_and_again_is_left_out(clips: list[str]) -> None:
    batch("on_error=skip")
    Path("out/a.mp4").unlink()
    for _ in range(2):
        journal = Journal(JOURNAL)
        (row,) = [row for row in journal.rows() if row.clip == "clips/a.mp4"]
        journal.begin(row.key, [])
        journal.close()
        # What the next command does first.
        journal = Journal(JOURNAL)
        assert journal.set_waiting(row.key, 0) < 3
        journal.begin(row.key, [])
        journal.close()
    (left_out,) = batch("on_error=skip")
    assert (left_out.clip, left_out.exit_code, left_out.error.problems[0].code) == ("clips/a.mp4", 1, "E816")
    assert summary()["codes"] == {"E816": 1}
    (again,) = batch("on_error=skip")
    assert again.clip == "clips/a.mp4"
