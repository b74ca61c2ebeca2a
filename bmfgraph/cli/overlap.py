"""Two things at once while a command starts: Python imports on one core only, and processes have more."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import TypeVar

from bmfgraph.errors import BmfgraphError

__all__ = ["run_in_child"]

T = TypeVar("T")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_in_child(do: Callable[[], T], meanwhile: Callable[[], object]) -> T:
    """What ``do`` returns, done by a child process while this one does ``meanwhile``.

    The result must be one that pickles. Raises the BmfgraphError that ``do`` raises, its trace in ``trace``; a child
    that ends in another way has it done here. Not for processes that have threads.
    """
    _flush()
    reader, writer = os.pipe()
    # A signal that came now would leave a child that goes on as if it were this process, or that nobody knows.
    signals = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        child = os.fork()
    except OSError:
        # No room for another process.
        os.close(reader)
        os.close(writer)
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        return do()
    if not child:
        os.close(reader)
        _answer(do, writer, signals)
    os.close(writer)
    try:
        with os.fdopen(reader, "rb") as file:
            signal.pthread_sigmask(signal.SIG_SETMASK, signals)
            meanwhile()
            answer = file.read()
    finally:
        # Nothing is left of it, whatever ends this one.
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if not answer:
        return do()
    result = pickle.loads(answer)
    if isinstance(result, BmfgraphError):
        raise result
    value: T = result
    return value


def _answer(do: Callable[[], object], writer: int, signals: Iterable[int]) -> None:
    """In the child: send what comes of it, or nothing, and end without what an interpreter does at its end."""
    with contextlib.suppress(BaseException):
        # A Ctrl-C is the parent's to tell of.
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        try:
            result = do()
        except BmfgraphError as error:
            error.trace = traceback.format_exc()
            result = error
        data = pickle.dumps(result)
        _flush()
        with os.fdopen(writer, "wb") as file:
            file.write(data)
    os._exit(0)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
