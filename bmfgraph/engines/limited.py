"""Run a function that reads untrusted data in a child process with limits of memory and time.

A damaged or hostile model can make a native library crash, allocate without end or compute for ever. In a child
process that is an answer, and not the end of this process.

    python limited.py MODULE:FUNCTION MEMORY CPU REQUEST        REQUEST and the answer on stdout are JSON
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bmfgraph.errors import UnplacedError
from bmfgraph.system.processes import child, end_with_stdin, ended, python_command
from bmfgraph.system.temporary import temporary_folder
from bmfgraph.system.untrusted import read_bounded

__all__ = ["Failure", "available_memory", "call_limited", "report"]

_LOG = 64 << 20
"""Bytes that a child may write."""
_RESULT = "result "


@dataclass(frozen=True)
class Failure:
    """The reason why a child has no result."""

    kind: Literal["memory", "time", "crash", "killed", "failed", "absent"]
    """``killed``: by SIGKILL, most often because the machine has no memory left; ``absent``: the child could not work
    at all, which says nothing about its request."""
    text: str
    """How it ended, such as "was ended by SIGSEGV"."""
    reports: tuple[str, ...] = ()
    """Words that the function passed to :func:`report`."""


def call_limited(
    function: str, request: Mapping[str, Any], *, memory: int, seconds: int, wall_seconds: float
) -> Any | Failure:
    """Call a function in a child process.

    Args:
        function: ``package.module:name`` of a function that takes the request, and returns a JSON value.
        request: A JSON object.
        memory: Bytes that the child may allocate.
        seconds: CPU time that it may use, on all cores together.
        wall_seconds: Time until it is ended, much longer than ``seconds`` because the machine may be busy.

    Raises:
        UnplacedError: The function raised it.
    """
    command = python_command(__name__, function, str(memory), str(seconds), json.dumps(request))
    try:
        with temporary_folder() as folder:
            log = folder / "log"
            try:
                with child(command, log, everything=True) as process:
                    process.wait(wall_seconds)
            except subprocess.TimeoutExpired:
                return Failure("failed", f"was stopped after {wall_seconds:g} s")
            return _result(process.returncode, read_bounded(log, _LOG).decode(errors="replace").splitlines())
    except OSError as error:
        return Failure("absent", f"cannot be started ({error.strerror or error})")


def _result(code: int, lines: list[str]) -> Any | Failure:
    reports = tuple(line.removeprefix("report ") for line in lines if line.startswith("report "))
    # Only a child that has reached its end exits with 0, so no other line is taken for the result.
    if code == 0 and lines and lines[-1].startswith(_RESULT):
        answer = json.loads(lines[-1].removeprefix(_RESULT))
        if "error" in answer:
            message, hint, error_code = answer["error"]
            raise UnplacedError(message, hint, code=error_code)
        return Failure("memory", "needs more memory", reports) if answer.get("memory") else answer["value"]
    if code == -signal.SIGXCPU:
        return Failure("time", ended(code), reports)
    if code == -signal.SIGKILL:
        return Failure("killed", ended(code), reports)
    if any("bad_alloc" in line or "MemoryError" in line for line in lines[-20:]):
        return Failure("memory", ended(code), reports)
    if code == 127:
        return Failure("absent", ended(code), reports)
    return Failure("crash" if code < 0 else "failed", ended(code), reports)


def available_memory() -> int:
    """Return the bytes of memory that a child can allocate now without swapping."""
    limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    return min([free, *(limit for limit in limits if limit != resource.RLIM_INFINITY)])


def report(word: str) -> None:
    """Say in the child how far its function has come."""
    os.write(1, f"\nreport {word}\n".encode())


def _limit(kind: int, soft: int, hard: int) -> None:
    """Set a limit, but none above one that is set already."""
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(kind, (soft, hard))


def _main(function: str, memory: str, seconds: str, request: str) -> None:
    """Call the function with the limits set, and write its result."""
    end_with_stdin()
    # One thread for NumPy, because each has its own memory.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    _limit(resource.RLIMIT_CORE, 0, 0)
    _limit(resource.RLIMIT_FSIZE, _LOG, _LOG)
    _limit(resource.RLIMIT_CPU, int(seconds), int(seconds) + 2)
    _limit(resource.RLIMIT_DATA, int(memory), int(memory))
    module, _, name = function.partition(":")
    answer: dict[str, Any]
    try:
        answer = {"value": getattr(importlib.import_module(module), name)(json.loads(request))}
    except UnplacedError as error:
        answer = {"error": [str(error), error.hint, str(error.code)]}
    except MemoryError:
        answer = {"memory": True}
    os.write(1, f"\n{_RESULT}{json.dumps(answer)}\n".encode())
    # Destructors of native libraries can crash after the work is done.
    os._exit(0)


if __name__ == "__main__":
    _main(*sys.argv[1:])
