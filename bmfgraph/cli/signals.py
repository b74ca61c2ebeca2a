"""What becomes of a failure or a signal while a command is done: messages and an exit code."""

from __future__ import annotations

import _thread
import contextlib
import errno
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from types import FrameType

from bmfgraph.errors import BmfgraphError, Cancelled, Problem
from bmfgraph.system.console import print_problems

__all__ = ["ProblemPrinter", "listen", "run_command", "stop_listening"]

_SOON, _PATIENCE = 0.02, 2.0
"""Seconds after which it is looked again whether an import is over, and after which that does not matter."""
_FULL = (errno.ENOSPC, errno.EFBIG, errno.EIO)
ProblemPrinter = Callable[[Iterable[Problem]], None]
"""Tells the user of problems."""


def listen(pending_signals: list[int]) -> None:
    """From here on signals interrupt, and are noted; one that was noted before does so now.

    During an import the first one waits for its end, but not for long: what is raised there may be lost in a callback
    of a library's, or made into another error.
    """
    waiting_since: list[float] = []
    reminders: list[int] = []

    def remind(number: int) -> None:
        time.sleep(_SOON)
        reminders.append(number)
        os.kill(os.getpid(), number)

    def interrupt(number: int, frame: FrameType | None) -> None:
        reminded = bool(reminders)
        reminders.clear()
        if reminded and pending_signals:
            # A second signal was faster.
            return
        patient = not waiting_since or (reminded and time.monotonic() - waiting_since[0] < _PATIENCE)
        if patient and _importing(frame):
            waiting_since.append(time.monotonic())
            # The import may be starting a thread, too, and hold the lock of `threading`.
            _thread.start_new_thread(remind, (number,))
            return
        pending_signals.append(number)
        raise _interruption(pending_signals)

    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(ValueError):
            # Not on the main thread: whoever called has the signals.
            signal.signal(number, interrupt)
    if pending_signals:
        raise _interruption(pending_signals)


def _importing(frame: FrameType | None) -> bool:
    """Whether an import is going on there."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _interruption(pending_signals: Sequence[int]) -> KeyboardInterrupt:
    return KeyboardInterrupt("terminated" if pending_signals[0] == signal.SIGTERM else "")


def stop_listening() -> None:
    """The process is on its way out: one more signal could only spoil its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(ValueError):
            signal.signal(number, signal.SIG_IGN)


def run_command(
    do: Callable[[], int], pending_signals: list[int], *, debug: bool, printer: ProblemPrinter = print_problems
) -> int:
    """Do it; every failure becomes messages and an exit code."""
    listen(pending_signals)
    try:
        return do()
    except BmfgraphError as error:
        failed = error
        trace = error.trace or traceback.format_exc()
    except BrokenPipeError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None and error.errno in _FULL:
            # What was printed has no room: whoever prints last tells.
            raise
        failed = BmfgraphError(
            f"{type(error).__name__}: {error}",
            hint="this should have been told better: please report it, with what debug=true shows",
            code="E899",
        )
        trace = traceback.format_exc()
    if pending_signals and not isinstance(failed, Cancelled):
        # Pydantic and Hydra, for two, make errors of their own of an interrupt.
        raise _interruption(pending_signals)
    if debug and sys.stderr is not None:
        sys.stderr.write(trace)
    printer(failed.problems)
    if getattr(failed, "abandoned", False):
        # A node hangs in native code, and so would the interpreter's own end.
        os._exit(failed.exit_code)
    if isinstance(failed, Cancelled):
        # Not only this run of a sweep.
        stop_listening()
        sys.exit(failed.exit_code)
    return failed.exit_code
