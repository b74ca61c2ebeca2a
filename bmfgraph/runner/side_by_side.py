"""Run the jobs of many clips side by side, on threads of this process."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from bmfgraph.errors import BmfgraphError, Cancelled
from bmfgraph.runner.interrupts import stopped_by_signals
from bmfgraph.runner.result import RunResult
from bmfgraph.system.heap import existing_objects_frozen
from bmfgraph.system.progress import Progress, ProgressCallback

__all__ = ["Amount", "ClipResult", "ClipRun", "Work", "run_side_by_side"]

_POLL = 0.1
"""Seconds between two reports of progress."""

ClipRun = Callable[[ProgressCallback], RunResult]
"""Runs the job of one clip; what the callback raises ends it."""

Work = tuple[str, float, ClipRun]
"""Name of a clip, its length (0 if unknown), and its run."""


@dataclass(frozen=True)
class Amount:
    """How much there is to do."""

    title: str
    """Name of the pipeline."""
    clips: int
    """Number of clips."""
    length: float
    """Length of all; 0 if unknown."""
    unit: Literal["frames", "seconds"] = "frames"
    """What lengths are counted in."""


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
        self.active: dict[int, tuple[float, Progress]] = {}

    @property
    def stopped(self) -> bool:
        """Whether all runs must end now."""
        return bool(self.reason)

    def cancel(self, why: str) -> None:
        """End all runs."""
        self.reason = self.reason or why

    def callback(self, number: int, length: float) -> ProgressCallback:
        """Return the callback of one run. It notes the progress, and ends the run when all must end."""

        def report(progress: Progress) -> None:
            self.active[number] = length, progress
            if self.stopped:
                raise Cancelled(self.reason)

        return report


def run_side_by_side(
    runs: Iterable[Work | None],
    *,
    amount: Amount,
    parallel: int,
    on_error: Literal["stop", "skip"],
    progress: ProgressCallback | None = None,
) -> Iterator[ClipResult]:
    """Run several jobs at once, and yield each result when its run has ended. The next job begins as one ends.

    Closing the iterator cancels the runs.

    Args:
        runs: The clips, in the order in which they begin; taken one by one. None: there is no clip yet.
        amount: How much there is to do, as far as it is known.
        parallel: Number of jobs that run at once.
        on_error: ``stop``: a failure ends all runs; ``skip``: the others go on.
        progress: Called about 10 times a second, on this thread, with the frames of all runs.

    Raises:
        Cancelled: The runs were stopped by a signal.
        BmfgraphError: A run failed, and ``on_error`` is ``stop``; raised after the others have ended.
    """
    group = _Group()
    waiting, taking = enumerate(runs), threading.Lock()
    ended = queue.SimpleQueue[tuple[int, Work, RunResult | BaseException]]()

    def work() -> None:
        while not group.stopped:
            number, task = -1, None
            try:
                with taking:
                    number, task = next(waiting, (-1, None))
                if task is None:
                    if number < 0:
                        return
                    time.sleep(_POLL)
                    continue
                ended.put((number, task, task[2](group.callback(number, task[1]))))
            except BaseException as error:
                ended.put((number, task or ("", 0, _nothing), error))

    threads = [
        threading.Thread(target=work, name=f"bmfgraph-clip-{place}", daemon=True)
        for place in range(min(parallel, amount.clips) if amount.clips else parallel)
    ]
    counts = _Counts(amount)
    with stopped_by_signals(group), existing_objects_frozen():
        for thread in threads:
            thread.start()
        try:
            while True:
                if progress:
                    progress(counts.progress(group.active))
                # Before the queue is looked at: what a thread puts there as its last act must not be missed.
                alive = any(thread.is_alive() for thread in threads)
                try:
                    number, (name, length, _), outcome = ended.get(timeout=_POLL if alive else 0)
                except queue.Empty:
                    if group.second_signal or not alive:
                        break
                    continue
                group.active.pop(number, None)
                counts.add(length)
                if not isinstance(outcome, BaseException):
                    yield ClipResult(name, outcome)
                elif group.stopped and isinstance(outcome, Cancelled):
                    continue
                elif not isinstance(outcome, BmfgraphError) or on_error == "stop":
                    raise outcome
                else:
                    yield ClipResult(name, None, outcome)
            if group.stopped:
                raise Cancelled(group.reason)
        finally:
            group.cancel("the other clips were given up")
            for thread in threads:
                # The garbage collector may close the generator on one of them.
                if thread is not threading.current_thread() and not group.second_signal:
                    thread.join()


def _nothing(report: ProgressCallback) -> RunResult:
    raise NotImplementedError


@dataclass
class _Counts:
    """The clips that have ended."""

    amount: Amount
    ended: int = 0
    length: float = 0

    def add(self, length: float) -> None:
        self.ended += 1
        self.length += length

    def progress(self, active: Mapping[int, tuple[float, Progress]]) -> Progress:
        """Return the progress of all clips."""
        running = [(length, each) for length, each in list(active.values()) if each.unit == "frames"]
        if self.amount.unit == "frames":
            done = self.length + sum(each.done for _, each in running)
        else:
            done = self.length + sum(length * min(1, each.done / each.total) for length, each in running if each.total)
        clips = f"{self.ended} of {self.amount.clips}" if self.amount.clips else str(self.ended)
        return Progress(f"{self.amount.title}, {clips} clips", int(done), int(self.amount.length), self.amount.unit)
