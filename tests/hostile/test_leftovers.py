"""Files and folders of processes that were killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bmfgraph.errors import Cancelled
from bmfgraph.runner.interrupts import stopped_by_signals
from bmfgraph.runner.monitor import RunMonitor
from bmfgraph.system.processes import child
from bmfgraph.system.temporary import publish, reserved, temporary_folder
from tests.runner.command import bmfgraph, start

Clip = Callable[..., Path]
_HOLD = """
import sys, time
from bmfgraph.system.temporary import reserved, temporary_folder
from pathlib import Path
with reserved(Path(sys.argv[1])), temporary_folder():
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    """A process that holds a part of ``out.mp4`` and a temporary folder."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "tmp").mkdir()
    command = [sys.executable, "-c", _HOLD, str(tmp_path / "out.mp4")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_what_a_killed_process_left_goes_and_what_a_live_one_holds_stays(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    def hidden() -> tuple[list[Path], list[Path]]:
        return sorted(tmp_path.glob(".*.part")), sorted((tmp_path / "tmp").iterdir())

    held = hidden()
    assert [len(paths) for paths in held] == [1, 1]
    with reserved(tmp_path / "out.mp4"), temporary_folder():
        assert [len(paths) for paths in hidden()] == [2, 2]
    assert hidden() == held
    holder.kill()
    holder.wait()
    (held[1][0] / "inside").mkdir()
    with reserved(tmp_path / "another.mp4"):
        assert held[0][0].exists()
    with reserved(tmp_path / "out.mp4"), temporary_folder():
        assert [len(paths) for paths in hidden()] == [1, 1]
        assert hidden()[0] != held[0]
    assert hidden() == ([], [])


def test_only_files_of_our_form_go(tmp_path: Path) -> None:
    kept = [tmp_path / name for name in (".out.mp4.part", ".out.mp4.ABCDEFGH.part", "out.mp4.abcdefgh.part")]
    for path in kept:
        path.write_text("mine")
    target = tmp_path / "target"
    target.write_text("mine")
    link, pipe = (tmp_path / f".out.mp4.{letter * 8}.part" for letter in "ab")
    link.symlink_to(target)
    os.mkfifo(pipe)
    with reserved(tmp_path / "out.mp4"):
        pass
    assert all(path.exists() for path in (*kept, target, link, pipe))
    if os.geteuid() == 0:
        foreign = tmp_path / ".out.mp4.dddddddd.part"
        foreign.touch()
        os.chown(foreign, 65534, 65534)
        with reserved(tmp_path / "out.mp4"):
            assert foreign.exists()


def test_a_part_that_was_copied_stays_locked(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with reserved(path) as part, reserved(part) as copy:
        publish(copy, part)
        with reserved(path):
            assert part.exists()
        publish(part, path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.mp4"]


def test_a_run_deletes_what_a_killed_run_left(tmp_path: Path, clip: Clip) -> None:
    clip("long.mp4", size=(320, 180), frames=300)
    (tmp_path / "tmp").mkdir()
    env = {"TMPDIR": str(tmp_path / "tmp")}
    killed = start(bmfgraph("input=long.mp4", "output=out.mp4", "progress=false"), tmp_path, env=env)
    deadline = time.monotonic() + 20
    while not [path for path in tmp_path.glob(".out.mp4.*.part") if path.stat().st_size]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    killed.send(signal.SIGKILL)
    killed.wait()
    assert list(tmp_path.glob(".out.mp4.*.part"))
    again = bmfgraph("input=long.mp4", "output=out.mp4", "decoder.end=0.1", "progress=false")
    start(again, tmp_path, env=env).wait().success()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.mp4", "out.mp4", "tmp"]
    assert list((tmp_path / "tmp").glob("bmfgraph-*")) == []


def interrupt(command: list[str], log: Path) -> None:
    """Start a child, wait for its first line, and leave the block by an exception."""
    with contextlib.suppress(TimeoutError), child(command, log) as process:
        assert process.stdout
        assert process.stdout.readline()
        raise TimeoutError


@pytest.mark.sample(1)
@pytest.mark.parametrize("stubborn", [False, True])
def test_a_child_may_clean_up_before_it_is_killed(tmp_path: Path, stubborn: bool) -> None:
    code = (
        "import pathlib, signal, sys, time\n"
        f"signal.signal(signal.SIGTERM, {'signal.SIG_IGN' if stubborn else 'lambda *_: sys.exit(3)'})\n"
        "try:\n    print('ready', flush=True); time.sleep(60)\n"
        f"finally:\n    pathlib.Path({str(tmp_path / 'cleaned')!r}).touch()\n"
    )
    interrupt([sys.executable, "-c", code], tmp_path / "log")
    assert (tmp_path / "cleaned").exists() != stubborn


def test_an_interrupted_worker_of_a_sweep_cleans_up(tmp_path: Path) -> None:
    """Between its runs, too, SIGTERM ends the worker by an exception."""
    folder = tmp_path / "cell"
    folder.mkdir()
    code = (
        "import signal, sys\nimport bmfgraph.sweep.worker as worker\n"
        "def measure(*_):\n    import time\n    try:\n        print('ready', flush=True)\n"
        f"        time.sleep(60)\n    finally:\n        open({str(tmp_path / 'cleaned')!r}, 'w').close()\n"
        "worker.measure, worker.read_json = measure, lambda _: {}\n"
        "sys.exit(worker.main([sys.argv[1]]))\n"
    )
    command = [sys.executable, "-c", code, str(folder)]
    interrupt(command, tmp_path / "log")
    assert (tmp_path / "cleaned").exists()


_ENDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "the terminal was closed"}


@pytest.mark.sample(1)
@pytest.mark.parametrize("number", _ENDS)
def test_a_signal_during_the_run(number: signal.Signals, tmp_path: Path, clip: Clip) -> None:
    clip("long.mp4", size=(320, 180), frames=300)
    running = start(bmfgraph("input=long.mp4", "output=out.mp4", "progress=false"), tmp_path)
    deadline = time.monotonic() + 20
    while not [path for path in tmp_path.glob(".out.mp4.*.part") if path.stat().st_size]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send(number)
    assert _ENDS[number] in running.wait().error(130)
    assert [path.name for path in tmp_path.iterdir()] == ["long.mp4"]


@pytest.mark.wide
def test_a_run_under_nohup_ignores_the_end_of_its_terminal(tmp_path: Path, clip: Clip) -> None:
    clip("clip.mp4", size=(320, 180), frames=20)
    ignoring = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731
    command = bmfgraph("input=clip.mp4", "output=out.mp4", "progress=false")
    running = start(command, tmp_path, preexec_fn=ignoring)
    deadline = time.monotonic() + 20
    while not list(tmp_path.glob(".out.mp4.*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    running.send(signal.SIGHUP)
    running.wait().success()
    assert (tmp_path / "out.mp4").is_file()


def test_an_interruption_that_an_import_swallows_still_counts() -> None:
    monitor = RunMonitor()
    with stopped_by_signals(monitor) as interruptible, pytest.raises(KeyboardInterrupt), interruptible:
        swallowing_import()
    assert isinstance(monitor.error, Cancelled)


def swallowing_import() -> None:
    try:
        signal.raise_signal(signal.SIGTERM)
    except KeyboardInterrupt:
        raise ImportError("a library is missing") from None
