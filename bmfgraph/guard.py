"""What becomes of a failure or a signal while a command is done: messages and an exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from types import FrameType

from bmfgraph.errors import BmfgraphError, Cancelled, Problem
from bmfgraph.telling import tell

__all__ = ["Told", "guarded", "listen", "stop_listening"]

Told = Callable[[Iterable[Problem]], None]
"""Tells the user of problems."""


def listen(heard: list[int]) -> None:
    """From here on signals interrupt at once, and are noted; one that was noted before does so now."""

    def interrupt(number: int, _: FrameType | None) -> None:
        heard.append(number)
        raise _interruption(heard)

    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(ValueError):
            # Not on the main thread: whoever called has the signals.
            signal.signal(number, interrupt)
    if heard:
        raise _interruption(heard)


def _interruption(heard: Sequence[int]) -> KeyboardInterrupt:
    return KeyboardInterrupt("terminated" if heard[0] == signal.SIGTERM else "")


def stop_listening() -> None:
    """The process is on its way out: one more signal could only spoil its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(ValueError):
            signal.signal(number, signal.SIG_IGN)


def guarded(do: Callable[[], int], heard: list[int], *, debug: bool, told: Told = tell) -> int:
    """Do it; every failure becomes messages and an exit code."""
    listen(heard)
    try:
        return do()
    except BmfgraphError as error:
        failed = error
        trace = error.trace or traceback.format_exc()
    except BrokenPipeError:
        raise
    except Exception as error:
        if heard:
            # Pydantic, for one, makes an error of its own of an interrupt.
            raise _interruption(heard) from None
        failed = BmfgraphError(
            f"{type(error).__name__}: {error}",
            hint="this should have been told better: please report it, with what debug=true shows",
            code="E899",
        )
        trace = traceback.format_exc()
    if debug and sys.stderr is not None:
        sys.stderr.write(trace)
    told(failed.problems)
    if getattr(failed, "abandoned", False):
        # A node hangs in native code, and so would the interpreter's own end.
        os._exit(failed.exit_code)
    if isinstance(failed, Cancelled):
        # Not only this run of a sweep.
        stop_listening()
        sys.exit(failed.exit_code)
    return failed.exit_code
