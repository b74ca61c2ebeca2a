"""Read a clip from a pipe: probing and decoding share its bytes, because they come only once.

Each probe reads the same first bytes, which are kept; the run reads them once more, and then the rest.
"""

from __future__ import annotations

import errno
import itertools
import os
import select
import stat
import threading
from pathlib import Path

from bmfgraph import error_codes as codes
from bmfgraph.errors import MediaError

__all__ = ["STANDARD_INPUT", "Pipe", "PipeReader", "close_pipe", "is_pipe", "pipe_at", "pipe_fault"]

STANDARD_INPUT = "-"
"""The name of standard input."""
_HEAD = 32 << 20
"""Bytes that probing may read. A probe sees the end of the file there."""
_OPENING, _SILENCE = 10, 60
"""Seconds to wait for the writer of a named pipe, and for the next byte."""
_NUMBERS = itertools.count()
_PIPES: dict[str, Pipe] = {}
"""The pipes that this process has opened: a second probe must find the bytes of the first."""


def is_pipe(path: Path | str) -> bool:
    """Return whether a name stands for standard input or a named pipe."""
    if str(path) == STANDARD_INPUT:
        return True
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)  # noqa: PTH116
    except (OSError, ValueError):
        return False


def pipe_at(path: Path | str) -> Pipe:
    """Return the pipe of that name; it is opened when it is read. A named pipe that was read is a new pipe.

    Raises:
        MediaError: Standard input is no pipe, or was read already.
    """
    name = str(path)
    pipe = _PIPES.get(name)
    if name == STANDARD_INPUT:
        if pipe is not None and pipe.taken:
            raise MediaError(
                "input '-': standard input was read already, and a pipe can be read once",
                "write it to a file first",
                code=codes.UNREADABLE_PIPE,
            )
        if pipe is None and not _is_fed():
            raise MediaError(
                "input '-': there is no pipe on standard input",
                "pipe a clip into the command (ffmpeg ... -f matroska - | bmfgraph ... input=-), or name a file",
                code=codes.UNREADABLE_PIPE,
            )
    if pipe is None or pipe.taken:
        pipe = _PIPES[name] = Pipe(name)
    return pipe


def close_pipe(path: Path | str) -> None:
    """Close a named pipe that a run reads no further, so that its writer does not wait."""
    if (pipe := _PIPES.get(str(path))) is not None and pipe.taken:
        pipe.close()


def _is_fed() -> bool:
    """Return whether standard input is open, and neither a terminal nor another device."""
    try:
        return not stat.S_ISCHR(os.fstat(0).st_mode)
    except OSError:
        return False


class Pipe:
    """The bytes of a pipe.

    Attributes:
        number: Another one for each pipe of this process.
        head: The bytes read so far, while probes read them.
        taken: Whether the run reads it, so that nothing else can.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.number = next(_NUMBERS)
        self.head = bytearray()
        self.taken = self.ended = self._fed = False
        self.lock = threading.Lock()
        self._descriptor: int | None = 0 if name == STANDARD_INPUT else None

    def more(self, size: int) -> bytes:
        """Wait for bytes, and return up to ``size`` of them; none at the end.

        Raises:
            TimeoutError: None came in time.
            OSError: The pipe cannot be read.
        """
        if self._descriptor is None:
            # Without O_NONBLOCK, opening would wait for a writer for ever.
            self._descriptor = os.open(self.name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        while True:
            patience = _SILENCE if self._fed or self._descriptor == 0 else _OPENING
            if not poll.poll(patience * 1000):
                raise TimeoutError(errno.ETIMEDOUT, f"no byte came from the pipe for {patience} s", self.name)
            try:
                chunk = os.read(self._descriptor, size)
            except BlockingIOError:  # Another reader of the pipe was faster.
                continue
            self.ended, self._fed = not chunk, True
            return chunk

    def close(self) -> None:
        """Close a named pipe."""
        if self._descriptor:
            os.close(self._descriptor)
            self._descriptor = None
        self.ended = True


class PipeReader:
    """A file that cannot be sought, for PyAV: the head of a pipe, and for the run also the rest."""

    def __init__(self, pipe: Pipe, *, whole: bool) -> None:
        """Begin at the first byte.

        Args:
            pipe: The pipe.
            whole: Read to its end, and keep nothing; otherwise only the head.
        """
        self._pipe, self._whole, self._position = pipe, whole, 0
        self.name = "pipe"
        if whole:
            pipe.taken = True

    def read(self, size: int) -> bytes:
        """Return the next bytes; none at the end."""
        pipe = self._pipe
        with pipe.lock:
            if self._position < len(pipe.head):
                chunk = bytes(pipe.head[self._position : self._position + size])
                self._position += len(chunk)
                return chunk
            if self._whole and pipe.head:
                pipe.head, self._position = bytearray(), 0
            if pipe.ended or (not self._whole and len(pipe.head) >= _HEAD):
                return b""
            chunk = pipe.more(size)
            if not chunk:
                pipe.close()
            if not self._whole:
                pipe.head += chunk
                self._position += len(chunk)
            return chunk


def pipe_fault(pipe: Pipe) -> str:
    """Return why a clip cannot be read from a pipe, by its first bytes; "" if they do not tell."""
    position, head = 0, pipe.head
    while position + 8 <= len(head):
        size, kind = int.from_bytes(head[position : position + 4], "big"), bytes(head[position + 4 : position + 8])
        if kind == b"mdat":
            return "its index, moov, stands behind the frames, where a pipe cannot be sought"
        if kind not in (b"ftyp", b"free", b"skip", b"wide", b"uuid") or size < 8:
            break
        position += size
    return "" if head else "nothing came"
