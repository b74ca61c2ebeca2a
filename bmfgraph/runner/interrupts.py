"""Stop a run by signals."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Protocol

__all__ = ["Stoppable", "stopped_by_signals"]

_REASONS = {
    signal.SIGINT: "interrupted (Ctrl-C)",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "the terminal was closed",
}


class Stoppable(Protocol):
    """One run, or several, that a signal can stop."""

    second_signal: bool
    """Whether the user has sent a second signal, after which nothing is waited for."""

    @property
    def stopped(self) -> bool:
        """Whether the run must end now."""

    def cancel(self, why: str) -> None:
        """End it because the user wants it; ``why`` is the text of the error."""


@contextlib.contextmanager
def stopped_by_signals(monitor: Stoppable) -> Iterator[contextlib.AbstractContextManager[None]]:
    """Handle SIGINT, SIGTERM and SIGHUP within the context.

    The first signal stops the run, the second one stops waiting for its end, the third one kills the process. On any
    thread but the main one nothing is handled.

    Args:
        monitor: Monitor of the run to stop, or of several.

    Yields:
        A context manager within which the first signal also raises KeyboardInterrupt on the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield contextlib.nullcontext()
        return
    count = 0
    raises = False

    def handle(number: int, _: FrameType | None) -> None:
        nonlocal count
        count += 1
        monitor.cancel(_REASONS[signal.Signals(number)])
        monitor.second_signal = count > 1
        if count > 2:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        if raises and count == 1:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def interruptible() -> Iterator[None]:
        nonlocal raises
        raises = True
        try:
            if monitor.stopped:
                raise KeyboardInterrupt
            yield
        except Exception:
            if count:
                # An import turns the interruption into an error of its own, such as a missing library.
                raise KeyboardInterrupt from None
            raise
        finally:
            raises = False

    # `nohup` ignores SIGHUP, and the run goes on.
    handled = [number for number in _REASONS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, handle) for number in handled}
    try:
        yield interruptible()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
