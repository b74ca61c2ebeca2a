"""Report the progress of long work, and show it in a terminal."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bmfgraph.system.console import say, terminal_console

if TYPE_CHECKING:
    from rich.progress import Task
    from rich.text import Text

__all__ = ["Progress", "ProgressCallback", "show_progress"]

_INTERVAL = 10.0
"""Seconds between two lines if standard error is not a terminal."""


@dataclass(frozen=True)
class Progress:
    """State of a task."""

    task: str
    """Title of the task, such as the name of the pipeline."""
    done: int
    total: int
    """0 if unknown."""
    unit: Literal["frames", "steps", "seconds"]
    """``seconds`` are those of video."""


ProgressCallback = Callable[[Progress], None]
"""Called at intervals, on the thread that waits for the work."""


@contextlib.contextmanager
def show_progress(enabled: bool = True) -> Iterator[ProgressCallback | None]:
    """Show a bar on standard error while the block runs, or a line every 10 seconds if it is not a terminal.

    Args:
        enabled: False shows nothing.

    Yields:
        The callback to give to ``Job.run`` or ``Job.build``; None if ``enabled`` is false.
    """
    if not enabled:
        yield None
    elif _is_terminal():
        with _bar() as callback:
            yield callback
    else:
        yield _regular_lines()


def _is_terminal() -> bool:
    # A program without a console has None there, or a closed stream.
    with contextlib.suppress(AttributeError, ValueError):
        return sys.stderr.isatty()
    return False


@contextlib.contextmanager
def _bar() -> Iterator[ProgressCallback]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress as Bar,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Speed(ProgressColumn):
        """Frames per second."""

        def render(self, task: Task) -> Text:
            speed, unit = task.finished_speed or task.speed or 0, task.fields["unit"]
            texts = {"frames": f"{speed:.1f} fps", "seconds": f"s of video, {speed:.1f}x"}
            return Text(texts.get(unit, unit))

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Speed(),
        TimeRemainingColumn(),
    )
    bar = Bar(*columns, console=terminal_console(stderr=True), transient=True)

    def update(progress: Progress) -> None:
        # Tasks run one after the other, so a new title replaces the bar.
        if not bar.tasks or bar.tasks[0].description != progress.task:
            for task in bar.task_ids:
                bar.remove_task(task)
            bar.add_task(progress.task, total=None, unit=progress.unit)
        bar.update(bar.task_ids[0], completed=progress.done, total=progress.total or None)

    with bar:
        yield update


def _regular_lines() -> ProgressCallback:
    due = time.monotonic() + _INTERVAL

    def update(progress: Progress) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + _INTERVAL
            count = f"{progress.done} of {progress.total}" if progress.total else str(progress.done)
            unit = "s of video" if progress.unit == "seconds" else progress.unit
            say(f"{progress.task}: {count} {unit}")

    return update
