"""Run the jobs of many clips side by side, on threads of this process."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bmfgraph.errors import BmfgraphError, Cancelled
from bmfgraph.runner.interrupts import stopped_by_signals
from bmfgraph.runner.result import RunResult
from bmfgraph.system.progress import Progress, ProgressCallback

__all__ = ["ClipResult", "ClipRun", "run_side_by_side"]

_POLL = 0.1
"""Seconds between two reports of progress."""

ClipRun = Callable[[ProgressCallback], RunResult]
"""Runs the job of one clip; what the callback raises ends it."""


@dataclass(frozen=True)
class ClipResult:
    """The result or the failure of one clip's run."""

    clip: str
    result: RunResult | None
    error: BmfgraphError | None = None
    """The failure; None if there is a result."""

    @property
    def exit_code(self) -> int:
        """Exit code that the command would have for this clip alone."""
        return self.error.exit_code if self.error else self.result.exit_code if self.result else 0


class _Group:
    """The state that the runs share: whether they must end, and how far each one is."""

    def __init__(self) -> None:
        self.reason = ""
        self.second_signal = False
        self.active: dict[int, Progress] = {}

    @property
    def stopped(self) -> bool:
        """Whether all runs must end now."""
        return bool(self.reason)

    def cancel(self, why: str) -> None:
        """End all runs."""
        self.reason = self.reason or why

    def callback(self, number: int) -> ProgressCallback:
        """Return the callback of one run. It notes the progress, and ends the run when all must end."""

        def report(progress: Progress) -> None:
            self.active[number] = progress
            if self.stopped:
                raise Cancelled(self.reason)

        return report


def run_side_by_side(
    runs: Sequence[tuple[str, int, ClipRun]],
    *,
    title: str,
    parallel: int,
    on_error: Literal["stop", "skip"],
    progress: ProgressCallback | None = None,
) -> Iterator[ClipResult]:
    """Run several jobs at once, and yield each result when its run has ended. The next job begins as one ends.

    Closing the iterator cancels the runs.

    Args:
        runs: Name, number of frames (0 if unknown) and job of each clip, in the order in which they begin.
        title: Name of the pipeline.
        parallel: Number of jobs that run at once.
        on_error: ``stop``: a failure ends all runs; ``skip``: the others go on.
        progress: Called about 10 times a second, on this thread, with the frames of all runs.

    Raises:
        Cancelled: The runs were stopped by a signal.
        BmfgraphError: A run failed, and ``on_error`` is ``stop``; raised after the others have ended.
    """
    group = _Group()
    waiting, ended = queue.SimpleQueue[int](), queue.SimpleQueue[tuple[int, RunResult | BaseException]]()
    for number in range(len(runs)):
        waiting.put(number)

    def work() -> None:
        while not group.stopped:
            try:
                number = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                ended.put((number, runs[number][2](group.callback(number))))
            except BaseException as error:
                ended.put((number, error))

    threads = [
        threading.Thread(target=work, name=f"bmfgraph-clip-{place}", daemon=True)
        for place in range(min(parallel, len(runs)))
    ]
    lengths = [frames for _, frames, _ in runs]
    counts = _Counts(title, len(runs), sum(lengths) if all(lengths) else 0)
    with stopped_by_signals(group):
        for thread in threads:
            thread.start()
        try:
            while counts.ended < len(runs):
                if progress:
                    progress(counts.progress(group.active))
                try:
                    number, outcome = ended.get(timeout=_POLL)
                except queue.Empty:
                    if group.second_signal or not any(thread.is_alive() for thread in threads):
                        break
                    continue
                group.active.pop(number, None)
                counts.add(outcome)
                if isinstance(outcome, RunResult):
                    yield ClipResult(runs[number][0], outcome)
                elif group.stopped and isinstance(outcome, Cancelled):
                    continue
                elif not isinstance(outcome, BmfgraphError) or on_error == "stop":
                    raise outcome
                else:
                    yield ClipResult(runs[number][0], None, outcome)
            if group.stopped:
                raise Cancelled(group.reason)
        finally:
            group.cancel("the other clips were given up")
            for thread in threads:
                # The garbage collector may close the generator on one of them.
                if thread is not threading.current_thread() and not group.second_signal:
                    thread.join()


@dataclass
class _Counts:
    """The frames and clips that have ended."""

    title: str
    clips: int
    total: int
    ended: int = 0
    frames: int = 0

    def add(self, outcome: RunResult | BaseException) -> None:
        self.ended += 1
        self.frames += outcome.frames if isinstance(outcome, RunResult) else 0

    def progress(self, active: dict[int, Progress]) -> Progress:
        """Return the progress of all clips."""
        running = [progress for progress in list(active.values()) if progress.unit == "frames"]
        done = self.frames + sum(progress.done for progress in running)
        task = f"{self.title}, {self.ended} of {self.clips} clips"
        return Progress(task, done, self.total, "frames")
