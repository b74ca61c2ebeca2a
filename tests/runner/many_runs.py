"""Run many times in one process through the API, with good and failing runs; started as a subprocess.

    many_runs.py CLIPS FOLDER recovery      after each kind of failure, a good run must succeed
    many_runs.py CLIPS FOLDER leaks         failing runs must leave neither threads, descriptors nor memory
    many_runs.py CLIPS FOLDER threads       good and failing runs at once from several threads

Prints one JSON object.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bmfgraph.compile import compile_pipeline
from bmfgraph.config.pipeline import parse_pipeline
from bmfgraph.errors import BmfgraphError
from bmfgraph.runner.run import run_plan
from bmfgraph.system.progress import Progress

CLIPS, FOLDER = Path(sys.argv[1]), Path(sys.argv[2])


def run(
    clip: str = "good.mp4", output: str = "out.mp4", codec: str = "x264", progress: Any = None, **stage: Any
) -> str:
    """Run once; return the error's message, or an empty string."""
    sink = {"kind": "encoder", "inputs": ["stage"], "path": str(FOLDER / output), "codec": codec}
    sink |= {"preset": "ultrafast"} if codec == "x264" else {"backend": "bmf"}
    nodes = {
        "source": {"kind": "decoder", "path": str(CLIPS / clip)},
        "stage": {"kind": "faulty", "inputs": ["source.video"], **stage},
        "sink": sink,
    }
    try:
        plan = compile_pipeline(parse_pipeline({"name": "many", "nodes": nodes}))
        outcome = run_plan(plan, overwrite=True, progress=progress)
    except BmfgraphError as error:
        return f"{type(error).__name__}: {error.message}"
    assert outcome.frames == 90, outcome.frames
    return ""


@contextlib.contextmanager
def no_room(size: int) -> Iterator[None]:
    """Limit the size of files to ``size`` bytes within the context."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    # Python would leave truncated bytecode.
    sys.dont_write_bytecode = True
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def full_disk() -> str:
    """Run without room for the output."""
    with no_room(10_000):
        return run()


def hanging() -> str:
    """Run with a stage that hangs, and stop by two signals."""
    for seconds in (0.6, 0.8):
        threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()
    with contextlib.redirect_stdout(sys.stderr):
        return run(fault="hang", frame=3)


def giving_up() -> str:
    """Run with a progress callback that raises."""

    def progress(_: Progress) -> None:
        raise RuntimeError("enough")

    try:
        return run(seconds=0.01, progress=progress)
    except RuntimeError as error:
        return str(error)


def recovery() -> dict[str, Any]:
    faults = ("init", "open", "process", "finish", "close", "nothing", "garbage", "exit", "signal")
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    messages: dict[str, str] = {}
    after: dict[str, str] = {}
    for fault in faults:
        messages[fault], after[fault] = run(fault=fault), run()
    for clip in ("none.mp4", "text.mp4", "cut_good.mkv", "damaged.mp4"):
        messages[clip], after[clip] = run(clip), run()
    for name, fail in (("full disk", full_disk), ("giving up", giving_up), ("hang", hanging)):
        messages[name], after[name] = fail(), run()
    messages["codec"], after["codec"] = run(codec="x265"), run()
    kept = handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    return {
        "told": messages,
        "after": after,
        "handlers_kept": kept,
        "left": sorted(path.name for path in FOLDER.iterdir()),
    }


def count(folder: str) -> int:
    """Count the entries of a folder."""
    return sum(1 for _ in Path(folder).iterdir())


def state() -> dict[str, int]:
    """Return the quantities that must not grow."""
    gc.collect()
    return {
        "threads": threading.active_count(),
        "tasks": count("/proc/self/task"),
        "descriptors": count("/proc/self/fd"),
        "memory": int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize(),
    }


def leaks() -> dict[str, Any]:
    faults = ("process", "open", "finish", "close", "garbage")

    def twenty() -> None:
        for number in range(20):
            if number % 4 == 3:
                assert full_disk()
            else:
                assert run(fault=faults[number % len(faults)], frame=5)

    run()
    twenty()
    before = state()
    twenty()
    return {"before": before, "after": state()}


def threads() -> dict[str, Any]:
    messages: dict[int, list[str]] = {}

    def work(number: int) -> None:
        fault: dict[str, Any] = {"fault": "process", "frame": 30 + number} if number % 2 else {}
        messages[number] = [run(output=f"{number}.mp4", **fault) for _ in range(5)]

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print("still heard", file=sys.stderr)
    return {"told": messages, "left": sorted(path.name for path in FOLDER.iterdir())}


if __name__ == "__main__":
    print(json.dumps({"recovery": recovery, "leaks": leaks, "threads": threads}[sys.argv[3]]()))
