"""Signals that stop a run."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from bmfgraph.runner.monitor import RunMonitor

__all__ = ["stopped_by_signals"]


@contextlib.contextmanager
def stopped_by_signals(watch: RunMonitor) -> Iterator[contextlib.AbstractContextManager[None]]:
    """SIGINT and SIGTERM stop the run, a second one of them stops waiting for it, a third the process.

    Yields a context manager within which the first one also interrupts the main thread at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield contextlib.nullcontext()
        return
    count = 0
    at_once = False

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal count
        count += 1
        watch.cancel({signal.SIGINT: "interrupted (Ctrl-C)", signal.SIGTERM: "terminated"}[signal.Signals(number)])
        watch.second_signal = count > 1
        if count > 2:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        if at_once and count == 1:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def interruptible() -> Iterator[None]:
        nonlocal at_once
        at_once = True
        try:
            if watch.stopped:
                raise KeyboardInterrupt
            yield
        finally:
            at_once = False

    saved = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruptible()
    finally:
        for number, handler in saved.items():
            signal.signal(number, handler)
