"""Run a program, and end it with all its descendants when the process that asked for it ends.

    python guard.py PROGRAM [ARGUMENT ...]

The other end of the pipe on standard input belongs to that process, and the pipe breaks when the process ends for any
reason. Descendants whose own parent has ended become children of this process, so none is missed, not even a daemon.
The program may read standard input, too. What it leaves running ends with it. This process ends as the program did.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

__all__ = ["MARK", "kill_marked", "run"]

MARK = "BMFGRAPH_GUARD"
"""Variable in the environment of all descendants of a guard, by which they are found if the guard itself is killed."""
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL, more than a run takes to give up a node that hangs."""
_LIMIT = 8.0
"""Seconds for descendants to end: some may wait in the kernel, or belong to another user."""


def kill_marked(session: int, mark: str) -> None:
    """Kill the processes of a session, and those with a value of ``MARK``."""
    variable = f"{MARK}={mark}".encode()
    for number, _, leader in _processes():
        with contextlib.suppress(OSError):
            if leader == session or variable in Path(f"/proc/{number}/environ").read_bytes().split(b"\0"):
                os.kill(number, signal.SIGKILL)


def _processes() -> Iterator[tuple[int, int, int]]:
    """Yield the running processes: number, parent, and leader of the session."""
    try:
        entries = list(os.scandir("/proc"))
    except OSError:
        # Without it the descendants are not known, and only the program itself ends.
        return
    for entry in entries:
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = Path(entry.path, "stat").read_text(encoding="utf-8", errors="replace")
                numbers = stat.rpartition(") ")[2].split()
                yield int(entry.name), int(numbers[1]), int(numbers[3])


def run(command: list[str]) -> NoReturn:
    """Run a program and end as it does."""
    library = ctypes.CDLL(None)
    library.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writer)
    own = os.getpid()
    program = os.fork()
    if not program:
        _become(command, own, library)
    poll = select.poll()
    # Without an event to wait for, a broken pipe is reported, and no byte of the program's input is touched.
    poll.register(0, 0)
    poll.register(reader, select.POLLIN)
    while True:
        if 0 in dict(poll.poll()):
            _let_end(program)
            _end_children()
            os._exit(1)
        with contextlib.suppress(BlockingIOError):
            os.read(reader, 4096)
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == program:
                    _end_children()
                    _end_like(ended[1])


def _become(command: list[str], guard: int, library: ctypes.CDLL) -> NoReturn:
    """Replace this process by the program, which is killed if the guard is."""
    library.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    # Python ignores them, and a new program would inherit that.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        if os.getppid() == guard:
            os.execvp(command[0], command)
    except OSError as error:
        os.write(2, os.fsencode(f"{command[0]} cannot be run ({error.strerror})\n"))
    os._exit(127)


def _let_end(program: int) -> None:
    """Ask the program to end, and give it some seconds to clean up."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(program, signal.SIGTERM)
    end = time.monotonic() + _GRACE
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < end and not os.waitpid(program, os.WNOHANG)[0]:
            time.sleep(0.02)


def _end_children() -> None:
    """Kill all descendants: those of a killed child become children of this process."""
    end = time.monotonic() + _LIMIT
    while time.monotonic() < end:
        for number, parent, _ in _processes():
            if parent == os.getpid():
                with contextlib.suppress(OSError):
                    os.kill(number, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.005)


def _end_like(status: int) -> NoReturn:
    """End with the exit code or the signal of a status of ``waitpid``."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(abs(code))


if __name__ == "__main__":
    run(sys.argv[1:])
