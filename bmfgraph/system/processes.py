"""Run child processes that never outlive their parent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

__all__ = ["child", "end_group", "end_with_stdin", "ended", "last_lines", "python_command"]

_GRACE, _POLL = 5.0, 0.02
"""Seconds between SIGTERM and SIGKILL, more than a run takes to give up a node that hangs; and between two checks."""
_MODULE = (
    "import sys; sys.path[:1] = [] if sys.path[:1] == [''] else sys.path[:1]; sys.argv[:1] = []; "
    "import runpy; runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)
"""Code that runs the module ``argv[1]`` without the current folder, which ``-m`` and ``-c`` put first on the path.

The option ``-P`` of Python does the same from version 3.11 on.
"""


def python_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module in a new interpreter like this one.

    The interpreter does not search the current folder, where a file such as ``pip.py`` may lie.

    Args:
        module: Full name of the module.
        arguments: Arguments of the module.
    """
    return [sys.executable, "-u", "-c", _MODULE, module, *arguments]


@contextlib.contextmanager
def child(command: Sequence[str], log: Path, *, everything: bool = False) -> Iterator[subprocess.Popen[str]]:
    """Run a process in its own process group; end the group if the block raises.

    The child's stdin stays empty and reaches its end when this process ends.

    Args:
        command: The program and its arguments.
        log: File to which the child's stderr is appended.
        everything: If true, stdout goes to the log, too.

    Yields:
        The process. Its stdout is a pipe unless ``everything`` is true. The end of the block waits for its end.

    Raises:
        OSError: The log or the process cannot be opened.
    """
    with log.open("ab") as file:
        output: int | IO[bytes] = file if everything else subprocess.PIPE
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=file, text=True, start_new_session=True
        )
    try:
        yield process
        process.wait()
    except BaseException:
        end_group(process)
        raise
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def end_group(process: subprocess.Popen[Any]) -> None:
    """Ask a process group to end by SIGTERM, so that it can clean up; kill what is left of it after some seconds.

    Args:
        process: The leader of the group.
    """
    try:
        _signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        # The leader is not reaped, because its number must not get free while the group is signalled.
        while process.returncode is None and time.monotonic() < deadline and not _has_ended(process):
            time.sleep(_POLL)
    finally:
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: subprocess.Popen[Any], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _has_ended(process: subprocess.Popen[Any]) -> bool:
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def end_with_stdin() -> None:
    """End this process when its stdin reaches the end, that is, when its parent has ended for any reason.

    It gets SIGTERM, so that it can clean up, and some seconds later it is ended.
    """

    def wait() -> None:
        while os.read(0, 1):  # A thread that holds the lock of sys.stdin would block the interpreter's exit.
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def ended(code: int) -> str:
    """Describe an exit code of ``subprocess``, where -N means signal N."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was ended by {name}"


def last_lines(log: Path, count: int = 5) -> str:
    """Return the last lines of a log, each after a line break and indented; empty if there are none."""
    try:
        lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return "".join(f"\n    {line[:300]}" for line in lines[-count:])
