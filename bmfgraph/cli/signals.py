"""Turn failures and signals of a command into messages and an exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.errors import BmfgraphError, Cancelled, Problem
from bmfgraph.system.console import print_problems, write_stderr
from bmfgraph.system.obstacles import explained

__all__ = ["INTERRUPTED", "ProblemPrinter", "end_interrupted", "ignore_signals", "run_command"]

INTERRUPTED = "interrupted (Ctrl-C)"

ProblemPrinter = Callable[[Iterable[Problem]], None]
"""Shows problems to the user."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_REASONS = {signal.SIGTERM: "terminated", signal.SIGHUP: "the terminal was closed"}
_INTERVAL, _PATIENCE = 0.02, 2.0
"""Seconds between two checks whether an import has ended, and seconds after which a signal stops waiting for it."""
_FULL = (errno.ENOSPC, errno.EFBIG, errno.EIO)


class _Interrupter:
    """Raise KeyboardInterrupt on SIGINT, SIGTERM and SIGHUP, but let a running import end first.

    An exception raised inside an import can get lost in a library's callback, or a library turns it into another error.
    So the first signal waits for the import's end, at most ``_PATIENCE`` seconds; a second signal does not wait.
    Python drops an exception raised inside a destructor, so the interruption is then raised once more.
    """

    def __init__(self) -> None:
        self.first: int | None = None
        self._deadline = 0.0
        self._previous: list[tuple[int, Any]] = []
        # Handlers can be set on the main thread only.
        with contextlib.suppress(ValueError):
            # `nohup` ignores SIGHUP.
            heeded = [one for one in _SIGNALS if one != signal.SIGHUP or signal.getsignal(one) != signal.SIG_IGN]
            self._previous += [(number, signal.signal(number, self)) for number in heeded]
        self._unraisable = sys.unraisablehook
        if self._previous:
            sys.unraisablehook = self._dropped

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.first is None and number != signal.SIGALRM:
            self.first, self._deadline = number, time.monotonic() + _PATIENCE
            self._previous.append((signal.SIGALRM, signal.signal(signal.SIGALRM, self)))
            number = signal.SIGALRM
        if number == signal.SIGALRM and time.monotonic() < self._deadline and _importing(frame):
            # A timer, not a thread: the import may hold the locks that a new thread needs.
            signal.setitimer(signal.ITIMER_REAL, _INTERVAL)
            return
        raise self.interruption()

    def _dropped(self, dropped: sys.UnraisableHookArgs) -> None:
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            self._unraisable(dropped)
        elif self.first is not None:
            signal.setitimer(signal.ITIMER_REAL, _INTERVAL)

    def interruption(self) -> KeyboardInterrupt:
        """Return the exception of the first signal. The timer is off."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        return KeyboardInterrupt(_REASONS.get(signal.Signals(self.first), "") if self.first else "")

    def restore(self) -> None:
        """Give the signals back to the previous handlers."""
        if self._previous:
            sys.unraisablehook = self._unraisable
        if self.first is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._previous:
            signal.signal(number, handler)


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def ignore_signals() -> None:
    """Ignore these signals, because the process is about to exit with its own exit code."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in _SIGNALS:
        with contextlib.suppress(ValueError):
            signal.signal(number, signal.SIG_IGN)


def end_interrupted(interruption: KeyboardInterrupt) -> int:
    """Print that a signal stopped the command, and return the exit code."""
    hint = "no half-written file has its final name"
    print_problems(Cancelled(str(interruption) or INTERRUPTED, hint=hint).problems)
    ignore_signals()
    return Cancelled.exit_code


def run_command(
    command: Callable[[], int], *, debug: Callable[[], bool] = lambda: False, printer: ProblemPrinter = print_problems
) -> int:
    """Run a command, and turn every failure into messages and an exit code.

    Args:
        command: Returns its exit code.
        debug: Returns, after a failure, whether to print the traceback too.
        printer: Shows the problems of a failure.

    Returns:
        The command's exit code, or that of its failure.

    Raises:
        KeyboardInterrupt: A signal came; its text is the reason, and empty for SIGINT.
        SystemExit: The run was cancelled.
        OSError: The output cannot be written.
    """
    interrupter = _Interrupter()
    try:
        code = command()
    except BmfgraphError as error:
        failure = error
        trace = error.trace or traceback.format_exc()
    except BrokenPipeError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None and error.errno in _FULL:
            # The disk of the output is full: main() discards the rest of the output and reports it.
            raise
        failure = explained(error) or BmfgraphError(
            f"{type(error).__name__}: {error}",
            hint="unexpected error; please report it, with the output of debug=true",
            code=codes.INTERNAL_ERROR,
        )
        trace = traceback.format_exc()
    else:
        interrupter.restore()
        if interrupter.first is not None:
            raise interrupter.interruption()
        return code
    if interrupter.first is not None and not isinstance(failure, Cancelled):
        # Some libraries, such as pydantic and Hydra, turn an interrupt into an error of their own.
        raise interrupter.interruption()
    if debug():
        write_stderr(trace)
    printer(failure.problems)
    if getattr(failure, "abandoned", False):
        # A node hangs in native code, so the interpreter's shutdown would hang, too.
        os._exit(failure.exit_code)
    if isinstance(failure, Cancelled):
        # Exit at once, because an interruption ends all runs of a sweep.
        ignore_signals()
        sys.exit(failure.exit_code)
    interrupter.restore()
    return failure.exit_code
