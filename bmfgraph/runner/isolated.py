"""Run a plan in a child process: ``python -m bmfgraph.runner.isolated``.

A crash of a library ends the child only, several children run at once, and memory is given back. The child reads
``sys.path`` and the plan, pickled, from standard input. It writes pickled messages to the descriptor named by its
argument: progress and log records, then the result or the error. Each progress is answered by a byte: a callback that
raises stops the run before its files appear.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import pickle
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from bmfgraph import error_codes as codes
from bmfgraph.config.job import Isolation
from bmfgraph.errors import BmfgraphError, RunError, one_error
from bmfgraph.plan.plan import Plan, pipe_errors
from bmfgraph.runner.monitor import RunMonitor
from bmfgraph.runner.resources import crash_under_limits, resource_errors
from bmfgraph.runner.result import RunResult
from bmfgraph.runner.run import run_plan
from bmfgraph.system.console import logger
from bmfgraph.system.limits import Limit
from bmfgraph.system.obstacles import MORE_THREADS, explained
from bmfgraph.system.processes import end_group, end_with_stdin, ended, python_command
from bmfgraph.system.progress import Progress, ProgressCallback
from bmfgraph.system.temporary import remove_leftover_parts

__all__ = ["run_isolated"]

_POLL = 0.05
"""Seconds between two looks at whether the run was stopped."""


def run_here_or_isolated(
    plan: Plan, isolated: bool | Isolation | None, *, overwrite: bool, progress: ProgressCallback | None
) -> RunResult:
    """Run a plan in this process, or in a child process with the limits of an Isolation."""
    if not isolated:
        return run_plan(plan, overwrite=overwrite, progress=progress)
    limits = isolated if isinstance(isolated, Isolation) else Isolation()
    memory, seconds = limits.memory_bytes, limits.seconds
    return run_isolated(plan, overwrite=overwrite, progress=progress, memory=memory, seconds=seconds)


def run_isolated(
    plan: Plan,
    *,
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
    memory: int | None = None,
    seconds: float | None = None,
) -> RunResult:
    """Run a plan in a child process.

    Args:
        plan: A plan whose engines exist. Its node classes must be importable by name in a new interpreter.
        overwrite: Replace outputs that exist.
        progress: Called with the child's progress, on this thread.
        memory: Bytes of memory that the child may allocate; None for no limit.
        seconds: Time that the child may take; None for no limit.

    Raises:
        BmfgraphError: As :func:`bmfgraph.runner.run.run_plan`; RunError also if the child crashed or reached a limit.
    """
    if errors := pipe_errors(plan, "a child process cannot have what was read of it here"):
        raise one_error(errors)
    try:
        data = pickle.dumps(sys.path) + pickle.dumps((plan, overwrite))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise _failure(
            f"the plan cannot be sent to a child process ({error})", "define its node classes in a module"
        ) from None
    if memory is not None and (short := resource_errors(plan, [Limit("isolated.memory", "data", memory, 0)])):
        raise one_error(short)
    reader, writer = os.pipe()
    try:
        return _watched(plan, data, reader, writer, progress, memory, seconds)
    finally:
        # A child that crashes leaves its unfinished files.
        for path in filter(None, (node.written for node in plan)):
            remove_leftover_parts(Path(path))


def _watched(
    plan: Plan,
    data: bytes,
    reader: int,
    writer: int,
    progress: ProgressCallback | None,
    memory: int | None,
    seconds: float | None,
) -> RunResult:
    """Start the child, send it the plan, and take its messages until the result or the error."""
    late = threading.Event()
    with os.fdopen(reader, "rb") as messages, _child(writer, memory) as process, _time_limit(process, seconds, late):
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(data)
            process.stdin.flush()
        for message in _messages(messages):
            if isinstance(message, Progress):
                if progress:
                    progress(message)
                with contextlib.suppress(BrokenPipeError):
                    os.write(process.stdin.fileno(), b".")
            elif isinstance(message, logging.LogRecord):
                if logger.isEnabledFor(message.levelno):
                    logger.handle(message)
            elif isinstance(message, BaseException):
                raise _too_late(seconds) if late.is_set() else message
            else:
                result: RunResult = message
                return result
        code = process.wait()
    if late.is_set():
        raise _too_late(seconds)
    cause = f"the child process {ended(code)}"
    if (error := crash_under_limits(cause, memory=memory)) is not None:
        raise error
    raise _failure(cause, "see the messages above; run it without isolated=True")


@contextmanager
def _child(writer: int, memory: int | None) -> Iterator[subprocess.Popen[bytes]]:
    command = python_command("bmfgraph.runner.isolated", str(writer), str(memory or ""))
    # In a session of its own, Ctrl-C in the terminal reaches the parent only.
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[writer], start_new_session=True)
    except OSError as error:
        os.close(writer)
        if error.errno == errno.EAGAIN:
            raise BmfgraphError(
                "no child process can be started", hint=MORE_THREADS, code=codes.THREADS_SHORT
            ) from None
        raise _failure(f"no child process can be started ({error.strerror})", "run it without isolated=True") from error
    os.close(writer)
    with process:
        try:
            yield process
        finally:
            end_group(process)


@contextmanager
def _time_limit(process: subprocess.Popen[bytes], seconds: float | None, late: threading.Event) -> Iterator[None]:
    """End the process after some seconds, and set ``late``."""
    if seconds is None:
        yield
        return

    def stop() -> None:
        late.set()
        end_group(process)

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _too_late(seconds: float | None) -> BmfgraphError:
    return BmfgraphError(
        f"the run took longer than {seconds:g} s",
        path="isolated.seconds",
        hint="raise isolated.seconds, or end the input earlier (decoder.end)",
        code=codes.TIME_LIMIT,
    )


def _messages(stream: IO[bytes]) -> Iterator[Any]:
    while True:
        try:
            yield pickle.load(stream)
        except (EOFError, pickle.UnpicklingError):
            # A child that crashes can leave half a message.
            return


def _failure(cause: str, hint: str) -> RunError:
    return RunError("run", "pipeline", cause, hint=hint, code=codes.ISOLATED_RUN_FAILURE)


class _SendingHandler(logging.Handler):
    """Send log records to the parent."""

    def __init__(self, send: Callable[[object], None]) -> None:
        super().__init__()
        self.send = send

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        # Arguments and tracebacks may not be picklable.
        record = logging.makeLogRecord({**vars(record), "msg": text, "args": None, "exc_info": None})
        with contextlib.suppress(OSError, ValueError):
            self.send(record)


def main(descriptor: int, memory: int | None) -> None:
    """Run the plan from standard input.

    Args:
        descriptor: File descriptor that the messages are written to.
        memory: Limit on the memory of this process in bytes; None for no limit.
    """
    if memory is not None:
        # Unlike the limit on the address space, this one does not count what libraries map but never write to.
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    lock = threading.Lock()
    answers = threading.Semaphore(0)
    monitor = RunMonitor()
    # The parent may have exited.
    with contextlib.suppress(BrokenPipeError, EOFError), os.fdopen(descriptor, "wb") as stream:

        def send(message: object) -> None:
            data = pickle.dumps(message)
            with lock:
                stream.write(data)
                stream.flush()

        def report(progress: Progress) -> None:
            send(progress)
            while not monitor.stopped and not answers.acquire(timeout=_POLL):
                pass

        logger.addHandler(_SendingHandler(send))
        logger.setLevel(logging.INFO)
        logger.propagate = False
        try:
            sys.path[:] = pickle.load(sys.stdin.buffer)
            try:
                plan, overwrite = pickle.load(sys.stdin.buffer)
            except (ImportError, AttributeError) as error:
                raise _failure(
                    f"the child process cannot load the plan ({error})", "define node classes in a module"
                ) from error
            end_with_stdin(answers.release)
            send(run_plan(plan, overwrite=overwrite, progress=report, monitor=monitor))
        except BmfgraphError as error:
            send(error)
        except Exception as error:
            if (explanation := explained(error)) is None:
                raise
            send(explanation)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if sys.argv[2] else None)
    # A node that hangs in native code would block the interpreter's shutdown.
    os._exit(0)
