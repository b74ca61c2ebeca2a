"""Run the command line in a forked process with limits, and judge how it ended."""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["CPU_SECONDS", "MEMORY", "Case", "Outcome", "faults", "run"]

CPU_SECONDS = 4.0
"""Processor time of a command, its child processes included."""
MEMORY = 500_000_000
"""Bytes that a command may need beyond what the fuzzer itself holds."""
_WALL_SECONDS = 30.0
_EXIT_CODES = (0, 1, 2, 3, 130)
_CODE = re.compile(r"\b[EW]\d{3}\b")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_LEFTOVERS = ("*.part", "tmp/*", "tmp/.*")


@dataclass(frozen=True)
class Case:
    """A command with hostile input."""

    folder: Path
    """Its current folder. ``tmp`` inside is its folder for temporary files."""
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    intact: Mapping[Path, bytes | None] = field(default_factory=dict)
    """Files that must keep their content; None: that must not appear."""
    secrets: tuple[str, ...] = ()
    """Words that must not be printed."""
    new_interpreter: bool = False
    """Start Python anew, for commands that load BMF and torch."""
    signal: tuple[float, signal.Signals] | None = None
    """Seconds after which the command gets a signal."""
    cpu_seconds: float = CPU_SECONDS
    wall_seconds: float = _WALL_SECONDS


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int | None
    """Exit code; negative for a signal; None: it was killed after the time limit."""
    output: str
    cpu_seconds: float
    memory: int
    """Bytes beyond those of the fuzzer."""


def run(case: Case) -> Outcome:
    """Run ``python -m bmfgraph ARGUMENTS`` in a fork of this process, which has imported what the command needs."""
    (case.folder / "tmp").mkdir(exist_ok=True)
    log = case.folder / "output.log"
    before = _resident()
    child = os.fork()
    if not child:
        _become(case, log)
    began, waiting, late = time.monotonic(), case.signal, False
    while True:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            break
        seconds = time.monotonic() - began
        if waiting is not None and seconds > waiting[0]:
            os.kill(child, waiting[1])
            waiting = None
        if seconds > case.wall_seconds:
            os.killpg(child, signal.SIGKILL)
            late = True
        time.sleep(0.002)
    code = None if late else os.waitstatus_to_exitcode(status)
    return Outcome(code, _text(log), usage.ru_utime + usage.ru_stime, max(0, usage.ru_maxrss * 1024 - before))


def faults(case: Case, outcome: Outcome) -> list[str]:
    """Return what was wrong with the end of a command; empty where it survived."""
    text = outcome.output
    checks = {
        f"it did not end within {case.wall_seconds:.0f} s": outcome.code is None,
        f"it ended with {outcome.code}": outcome.code is not None and outcome.code not in _EXIT_CODES,
        "it failed without a code": outcome.code in (1, 2, 3) and not _CODE.search(text),
        "it met an unexpected error (E899)": "E899" in text,
        "it printed a traceback": "Traceback (most recent call last)" in text,
        "it printed a control character": bool(_CONTROL.search(text)),
        f"it took {outcome.cpu_seconds:.1f} s of processor time": outcome.cpu_seconds > case.cpu_seconds,
        f"it took {outcome.memory / 1e6:.0f} MB": outcome.memory > MEMORY and not case.new_interpreter,
        "it printed a secret": any(secret in text for secret in case.secrets),
    }
    changed = [f"it changed {path.name}" for path, content in case.intact.items() if _content(path) != content]
    left = [f"it left {path.name}" for pattern in _LEFTOVERS for path in case.folder.glob(pattern)]
    return [*(text for text, wrong in checks.items() if wrong), *changed, *left]


def _become(case: Case, log: Path) -> None:
    """Turn a forked process into the command. It never returns."""
    code = 70
    try:
        os.setsid()
        os.chdir(case.folder)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        # A test runner may have replaced them.
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        if not case.new_interpreter:
            # A bomb must not take the machine's memory along.
            limit = _virtual() + 4 * MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.environ.update({"TMPDIR": str(case.folder / "tmp"), "COLUMNS": "120", "NO_COLOR": "1", **case.environment})
        if case.new_interpreter:
            os.execv(sys.executable, [sys.executable, "-m", "bmfgraph", *case.arguments])
        from bmfgraph.cli.main import main

        sys.argv = ["bmfgraph", *case.arguments]
        try:
            main(list(case.arguments))
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(code)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() and not path.is_symlink() else None


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _virtual() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
