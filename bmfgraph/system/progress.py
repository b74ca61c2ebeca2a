"""The progress bar."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from bmfgraph.system.console import say

__all__ = ["shown_progress"]

_SECONDS = 10.0
"""Between two lines."""


@contextlib.contextmanager
def shown_progress(title: str, wanted: bool, unit: str = "frames") -> Iterator[Callable[[int, int], None] | None]:
    """A bar on standard error while the block runs, or a line now and then where that is no terminal.

    Yields what to call with (done, of), counted in ``unit``, or None.
    """
    if not wanted:
        yield None
        return
    if not sys.stderr.isatty():
        yield _line_now_and_then(title, unit)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Speed(ProgressColumn):
        """Frames per second."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.finished_speed or task.speed or 0:.1f} fps" if unit == "frames" else unit)

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Speed(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of or None)


def _line_now_and_then(title: str, unit: str) -> Callable[[int, int], None]:
    due = time.monotonic() + _SECONDS

    def tell(done: int, of: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + _SECONDS
            say(f"{title}: {done} of {of} {unit}" if of else f"{title}: {done} {unit}")

    return tell
