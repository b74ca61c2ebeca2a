"""Run a plan in a child process: ``python -m bmfgraph.runner.isolated``.

A crash of a library ends the child only, several children run at once, and memory is given back. The child reads
``sys.path`` and the plan, pickled, from standard input. It writes pickled messages to the descriptor named by its
argument: progress and log records, then the result or the error.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from bmfgraph import error_codes as codes
from bmfgraph.errors import BmfgraphError, RunError
from bmfgraph.plan.plan import Plan
from bmfgraph.runner.result import RunResult
from bmfgraph.runner.run import run_plan
from bmfgraph.system.console import logger
from bmfgraph.system.processes import ended, python_command
from bmfgraph.system.progress import Progress, ProgressCallback

__all__ = ["run_isolated"]


def run_isolated(plan: Plan, *, progress: ProgressCallback | None = None) -> RunResult:
    """Run a plan in a child process.

    Args:
        plan: A plan whose engines exist. Its node classes must be importable by name in a new interpreter.
        progress: Called with the child's progress, on this thread.

    Raises:
        BmfgraphError: As :func:`bmfgraph.runner.run.run_plan`; RunError also if the child crashed.
    """
    try:
        data = pickle.dumps(sys.path) + pickle.dumps(plan)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise _failure(
            f"the plan cannot be sent to a child process ({error})", "define its node classes in a module"
        ) from None
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as messages, _child(writer) as process:
        os.close(writer)
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(data)
            process.stdin.flush()
        for message in _messages(messages):
            if isinstance(message, Progress):
                if progress:
                    progress(message)
            elif isinstance(message, logging.LogRecord):
                if logger.isEnabledFor(message.levelno):
                    logger.handle(message)
            elif isinstance(message, BaseException):
                raise message
            else:
                result: RunResult = message
                return result
        code = process.wait()
    raise _failure(f"the child process {ended(code)}", "see the messages above; run it without isolated=True")


@contextmanager
def _child(writer: int) -> Iterator[subprocess.Popen[bytes]]:
    command = python_command("bmfgraph.runner.isolated", str(writer))
    # In a session of its own, Ctrl-C in the terminal reaches the parent only.
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[writer], start_new_session=True) as process:
        try:
            yield process
        finally:
            # SIGTERM lets the child remove its unfinished files.
            process.terminate()


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


def main(descriptor: int) -> None:
    """Run the plan from standard input.

    Args:
        descriptor: File descriptor that the messages are written to.
    """
    lock = threading.Lock()
    # The parent may have exited.
    with contextlib.suppress(BrokenPipeError, EOFError), os.fdopen(descriptor, "wb") as stream:

        def send(message: object) -> None:
            data = pickle.dumps(message)
            with lock:
                stream.write(data)
                stream.flush()

        logger.addHandler(_SendingHandler(send))
        logger.setLevel(logging.INFO)
        logger.propagate = False
        try:
            sys.path[:] = pickle.load(sys.stdin.buffer)
            try:
                plan = pickle.load(sys.stdin.buffer)
            except (ImportError, AttributeError) as error:
                raise _failure(
                    f"the child process cannot load the plan ({error})", "define node classes in a module"
                ) from error
            threading.Thread(target=_stop_with_parent, daemon=True).start()
            send(run_plan(plan, progress=send))
        except BmfgraphError as error:
            send(error)


def _stop_with_parent() -> None:
    """Stop the run when the parent exits, which closes standard input."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(int(sys.argv[1]))
    # A node that hangs in native code would block the interpreter's shutdown.
    os._exit(0)
