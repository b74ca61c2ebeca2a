"""Run child processes that never outlive their parent."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from bmfgraph.system import guard
from bmfgraph.system.untrusted import open_regular

__all__ = ["child", "end_group", "end_with_stdin", "ended", "last_lines", "python_command"]

_GRACE, _POLL = 5.0, 0.02
"""Seconds between SIGTERM and SIGKILL, more than a run takes to give up a node that hangs; and between two checks."""
_LAST_SECONDS = 15.0
"""Seconds that a guard has to end all processes; it gives up a little earlier."""
_LOG_BYTES = 1 << 16
"""Bytes at the end of a log in which its last lines are searched."""
_MODULE = (
    "import sys; sys.path[:1] = [] if sys.path[:1] == [''] else sys.path[:1]; root, *sys.argv = sys.argv[1:]; "
    "from importlib import util; "
    "own = util.spec_from_file_location('bmfgraph', root + '/__init__.py', submodule_search_locations=[root]); "
    "sys.modules['bmfgraph'] = package = util.module_from_spec(own); own.loader.exec_module(package); "
    "import runpy; runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)
"""Code that runs the module ``argv[2]`` without the current folder, which ``-m`` and ``-c`` put first on the path.

``argv[1]`` is the folder of the package bmfgraph, which may lie in the current folder, or beside an installed one.
The option ``-P`` of Python leaves the current folder out, too, from version 3.11 on.
"""


def python_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module in a new interpreter like this one.

    The interpreter does not search the current folder, where a file such as ``pip.py`` may lie.

    Args:
        module: Full name of the module.
        arguments: Arguments of the module.
    """
    return [sys.executable, "-u", "-c", _MODULE, str(Path(__file__).parents[1]), module, *arguments]


@contextlib.contextmanager
def child(command: Sequence[str], log: Path, *, everything: bool = False) -> Iterator[subprocess.Popen[str]]:
    """Run a program under a guard, which ends it with all its descendants when the block or this process ends.

    The program's stdin stays empty and reaches its end when this process ends.

    Args:
        command: The program and its arguments.
        log: File to which the program's stderr is appended.
        everything: If true, stdout goes to the log, too.

    Yields:
        The guard, which ends as the program does; with exit code 127 if the program cannot be run. Its stdout is a
        pipe unless ``everything`` is true. The end of the block waits for its end.

    Raises:
        OSError: The log or the process cannot be opened.
    """
    mark = secrets.token_hex(16)
    with log.open("ab") as file:
        output: int | IO[bytes] = file if everything else subprocess.PIPE
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=file,
            text=True,
            errors="replace",
            start_new_session=True,
            env={**os.environ, guard.MARK: mark},
        )
    assert process.stdin is not None
    watcher = threading.Thread(target=_end_session, args=[process, mark], daemon=True)
    watcher.start()
    try:
        yield process
        process.wait()
    finally:
        process.stdin.close()
        watcher.join(_LAST_SECONDS)
        process.kill()  # A guard that is stopped does not see that its stdin is closed.
        watcher.join()
        if process.stdout is not None:
            process.stdout.close()


def _end_session(process: subprocess.Popen[str], mark: str) -> None:
    """Wait for the end of a guard, and end its descendants if it was killed itself."""
    if process.wait() < 0:
        guard.kill_marked(process.pid, mark)


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


def end_with_stdin(received: Callable[[], object] = lambda: None) -> None:
    """End this process when its stdin reaches the end, that is, when its parent has ended for any reason.

    It gets SIGTERM, so that it can clean up, and some seconds later it is ended.

    Args:
        received: Called for each byte that the parent sends, on a thread of its own.
    """

    def wait() -> None:
        while os.read(0, 1):  # A thread that holds the lock of sys.stdin would block the interpreter's exit.
            received()
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
        with open_regular(log) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_BYTES))
            text = file.read(_LOG_BYTES).decode(errors="replace")
    except OSError:
        return ""
    lines = [line for line in text.splitlines() if line.strip()]
    return "".join(f"\n    {line[:300]}" for line in lines[-count:])
