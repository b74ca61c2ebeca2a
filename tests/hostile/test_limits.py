"""Limits on memory, threads and time."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

import bmfgraph as bg
from bmfgraph import error_codes as codes
from bmfgraph.runner.monitor import failure
from bmfgraph.runner.resources import crash_under_limits, needs_watching, resource_errors
from bmfgraph.system import limits
from bmfgraph.system.limits import Limit
from bmfgraph.system.obstacles import obstacle
from bmfgraph.system.text import size_bytes
from tests.runner.command import Ended, bmfgraph, start

Clip = Callable[..., Path]
_NOBODY = 65534


def address_space(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size))


def slow_job(folder: Path, source: Path) -> bg.Job:
    return bg.compose("super_resolution", "encoder.preset=ultrafast", input=source, output=folder / "out.mp4")


@pytest.mark.sample(1)
@pytest.mark.parametrize("size", [200_000_000, 600_000_000])
def test_a_run_with_too_little_memory(size: int, tmp_path: Path, clip: Clip) -> None:
    clip("clip.mp4", frames=3)
    command = bmfgraph("input=clip.mp4", "output=out.mp4", "progress=false")
    ended = start(command, tmp_path, preexec_fn=address_space(size)).wait()
    message = ended.error()
    assert "error[E810]" in ended.err
    assert "ulimit -v" in message
    for advice in ("smaller frames", "engine.batch=1", "encoder.threads=1", "engine.threads=1"):
        assert advice in message
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.wide
def test_a_run_that_may_crash_for_want_of_memory_is_watched(tmp_path: Path, clip: Clip) -> None:
    """With this limit, libraries load, and fail later in one of several ways, some of them in native code."""
    clip("clip.mp4", size=(1280, 720), frames=3)
    command = bmfgraph("input=clip.mp4", "output=out.mp4", "progress=false")
    ended = start(command, tmp_path, preexec_fn=address_space(1_000_000_000)).wait()
    ended.error()
    assert "error[E810]" in ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_crash_under_a_limit_has_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    address = Limit("ulimit -v", "address space", 10**9, 0)
    monkeypatch.setattr("bmfgraph.runner.resources.memory_limits", lambda: [address])
    monkeypatch.setattr("bmfgraph.runner.resources.thread_limits", list)
    assert needs_watching()
    error = crash_under_limits("the child process was ended by SIGSEGV", memory=None)
    assert error is not None
    assert error.problems[0].code == codes.MEMORY_SHORT
    assert "SIGSEGV" in error.message
    assert "ulimit -v" in error.message


@pytest.mark.wide
def test_a_crashed_run_leaves_no_unfinished_file(tmp_path: Path, clip: Clip) -> None:
    """The child is killed while it writes, as by the system's out-of-memory killer."""
    job = slow_job(tmp_path, clip("clip.mp4", size=(64, 48), frames=600))

    def kill(progress: bg.Progress) -> None:
        if progress.done:
            for path in Path("/proc/self/task").glob("*/children"):
                for child in path.read_text().split():
                    os.kill(int(child), signal.SIGKILL)

    with pytest.raises(bg.BmfgraphError, match="SIGKILL"):
        job.run(isolated=True, progress=kill)
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs another user")
def test_a_run_with_too_few_threads(clip: Clip) -> None:
    # Another user cannot enter the folders of pytest.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(clip("clip.mp4", frames=3), folder)
        os.chown(folder, _NOBODY, _NOBODY)
        ended = few_threads(folder)
        assert "error[E811]" in ended.err
        message = ended.error()
        assert "ulimit -u: 6 threads are allowed" in message
        assert "encoder.threads=1" in message
        assert not list(folder.glob("*out*"))


def few_threads(folder: Path) -> Ended:
    user = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
    command = [*user, *bmfgraph("input=clip.mp4", "output=out.mp4", "progress=false")]
    few = lambda: resource.setrlimit(resource.RLIMIT_NPROC, (6, 6))  # noqa: E731
    return start(command, folder, env={"HOME": str(folder)}, preexec_fn=few).wait()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), codes.MEMORY_SHORT),
        (MemoryError("std::bad_alloc"), codes.MEMORY_SHORT),
        (OSError(12, "Cannot allocate memory"), codes.MEMORY_SHORT),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), codes.MEMORY_SHORT),
        (RuntimeError("Failed to allocate memory for requested buffer of size 235929600"), codes.MEMORY_SHORT),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"), codes.MEMORY_SHORT),
        (RuntimeError("can't start new thread"), codes.THREADS_SHORT),
        (RuntimeError("libgomp: Thread creation failed: Resource temporarily unavailable"), codes.THREADS_SHORT),
        (ImportError("libgomp.so.1: cannot allocate memory in static TLS block"), codes.NODE_FAILURE),
        (ValueError("no"), codes.NODE_FAILURE),
    ],
)
def test_failures_for_want_of_memory_or_threads(error: Exception, code: str) -> None:
    reported = failure("upscale", "inference", error)
    assert reported.problems[0].code == code
    assert reported.problems[0].place.startswith("node 'upscale'")


def test_a_cause_behind_another_error_counts() -> None:
    try:
        try:
            raise MemoryError
        except MemoryError as error:
            raise RuntimeError("the pass failed") from error
    except RuntimeError as error:
        problem = obstacle(error)
    assert problem is not None
    assert problem.code == codes.MEMORY_SHORT


def test_limits_of_control_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: Clip) -> None:
    monkeypatch.setattr(limits, "CONTROL_GROUPS", tmp_path)
    for name, content in {
        "memory.max": "100000000",
        "memory.current": "90000000",
        "pids.max": "30",
        "pids.current": "28",
    }.items():
        (tmp_path / name).write_text(content + "\n")
    resident = [limit for limit in limits.memory_limits() if limit.kind == "resident"]
    assert [(limit.value, limit.left) for limit in resident] == [(100_000_000, 10_000_000)]
    plan = bg.compose("super_resolution", input=str(clip("clip.mp4")), output="out.mp4").plan()
    found = {problem.code for error in resource_errors(plan) for problem in error.problems}
    assert found == {codes.MEMORY_SHORT, codes.THREADS_SHORT}
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "pids.max").write_text("max\n")
    assert resource_errors(plan) == []


@pytest.mark.wide
def test_limits_of_an_isolated_run(tmp_path: Path, clip: Clip) -> None:
    job = slow_job(tmp_path, clip("clip.mp4", size=(640, 360), frames=100))
    with pytest.raises(bg.BmfgraphError, match=r"longer than 1\.5 s") as late:
        job.run(isolated=bg.Isolation(seconds=1.5))
    assert late.value.problems[0].code == codes.TIME_LIMIT
    with pytest.raises(bg.BmfgraphError, match="memory is short") as short:
        job.run(isolated=bg.Isolation(memory="310MB"))
    assert short.value.problems[0].code == codes.MEMORY_SHORT
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.wide
def test_an_isolated_run_from_the_command_line(tmp_path: Path, clip: Clip) -> None:
    clip("clip.mp4", frames=3)
    limit = "isolated={memory:4GiB,seconds:100}"
    start(bmfgraph("input=clip.mp4", "output=out.mp4", "progress=false", limit), tmp_path).wait().success()
    assert (tmp_path / "out.mp4").is_file()


def test_wrong_limits_of_an_isolated_run(clip: Clip) -> None:
    for value, text in (({"memory": "much"}, "'much' is not a size"), ({"seconds": 0}, "greater than 0")):
        job = bg.compose("super_resolution", input=str(clip("clip.mp4")), output="out.mp4", isolated=value)
        assert any(text in str(problem) and "isolated" in problem.path for problem in job.check().problems)


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GiB", 4 << 30), ("500MB", 500_000_000), ("1.5k", 1500), (4096, 4096), ("0", None), ("4GX", None), ("-1", None)],
)
def test_sizes(text: int | str, size: int | None) -> None:
    assert size_bytes(text) == size
