"""Child processes that never outlive the one that asked for them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

__all__ = ["child", "end_with_stdin", "ended", "last_lines"]


@contextlib.contextmanager
def child(words: Sequence[str], log: Path, *, everything: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A process in a group of its own, killed when the block is left early; stderr (or all) goes to the log.

    Its stdin says nothing, and ends when this process does.
    """
    with log.open("ab") as file:
        output: int | IO[bytes] = file if everything else subprocess.PIPE
        process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=output, stderr=file, text=True, start_new_session=True
        )
    try:
        yield process
        process.wait()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def end_with_stdin() -> None:
    """End this process when its stdin does: with the one that asked for it, however that ends."""

    def wait() -> None:
        while os.read(0, 1):  # Not sys.stdin, whose lock a thread must not hold when the interpreter ends.
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def ended(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was ended by {name}"


def last_lines(log: Path, count: int = 5) -> str:
    """The end of a log, each line on one of its own; empty where it says nothing."""
    try:
        lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return "".join(f"\n    {line[:300]}" for line in lines[-count:])
