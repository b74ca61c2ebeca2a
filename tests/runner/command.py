"""Run bmfgraph in a subprocess and check how it ended."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.runner.warm import Fork, can_be_forked

__all__ = [
    "FAULTY",
    "Ended",
    "Running",
    "bmfgraph",
    "clip",
    "faulty",
    "frames_in",
    "message_has",
    "python",
    "start",
]

FAULTY = Path(__file__).parent / "faulty"
LIMIT = 20.0
"""Time limit of a run in seconds: start-up, which imports torch, and a second of work."""
_ERROR = re.compile(r"bmfgraph: error\[E\d{3}\]: ")
_TRACES = ("Traceback", "terminate called", "what():", "Coredump", "core dumped", "Stack trace", "#0 ", "Node_")


@dataclass
class Ended:
    """Result of a finished process."""

    code: int
    out: str
    err: str
    seconds: float
    left: list[str] = field(default_factory=list)
    """Processes that it left running."""

    def error(self, code: int = 1) -> str:
        """Check that the output is a single error message, and return it."""
        assert self.code == code, self
        assert not self.left, self.left
        lines = self.err.splitlines()
        starts = [number for number, line in enumerate(lines) if _ERROR.match(line)]
        assert len(starts) == 1, self.err
        for word in _TRACES:
            assert word not in self.err + self.out, self.err + self.out
        message = lines[starts[0] :]
        assert all(line.startswith("  ") for line in message[1:]), self.err
        assert all(line.startswith(("bmfgraph: ", "  ")) for line in lines[: starts[0]]), self.err
        assert any(line.startswith("  → ") for line in message), self.err
        return _ERROR.sub("", "\n".join(message), count=1)

    def success(self) -> Ended:
        """Check that the run succeeded, and return the result."""
        assert self.code == 0, self
        assert "error" not in self.err, self
        assert not self.left, self.left
        return self


@dataclass
class Running:
    """A running process."""

    process: subprocess.Popen[str]
    began: float

    def read_until(self, word: str) -> None:
        """Wait for a line of standard output that holds ``word``."""
        assert self.process.stdout
        for line in self.process.stdout:
            if word in line:
                return
        raise AssertionError(f"ended without saying {word!r}: {self.wait()}")

    def send(self, number: int) -> float:
        """Send a signal; return the time."""
        self.process.send_signal(number)
        return time.monotonic()

    def wait(self, limit: float = LIMIT) -> Ended:
        """Wait for the end; fail where it does not come in time."""
        try:
            out, err = self.process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            out, err = self.process.communicate()
            raise AssertionError(f"still going on after {limit} s\n{out}\n{err}") from None
        seconds = time.monotonic() - self.began
        return Ended(self.process.returncode, out or "", err or "", seconds, _session(self.process.pid))


def _session(leader: int) -> list[str]:
    """Return the processes of a session that still run; a zombie has ended, and init takes it."""
    processes = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(") ")
            state, *numbers = rest.split()
            if state != "Z" and int(numbers[2]) == leader != int(folder.name):
                processes.append(f"{folder.name} {name} {state}")
    return processes


def start(
    command: Sequence[str], folder: Path, *, env: Mapping[str, str] | None = None, fresh: bool = False, **options: Any
) -> Running:
    """Start a process in ``folder``, in a new session.

    Args:
        command: Program and arguments.
        folder: Its current folder.
        env: Variables to set.
        fresh: Whether it must import everything itself, for tests of imports.
        options: As for ``subprocess.Popen``.
    """
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | options
    if "preexec_fn" in options:
        # Under a file size limit, Python would leave truncated bytecode.
        env = {**(env or {}), "PYTHONDONTWRITEBYTECODE": "1"}
    environment = {**os.environ, **(env or {})}
    kind = Fork if not fresh and can_be_forked(list(command), environment, options) else subprocess.Popen
    began = time.monotonic()
    process = kind(list(command), cwd=folder, env=environment, text=True, start_new_session=True, **options)
    return Running(process, began)


def bmfgraph(*words: str) -> list[str]:
    """Return the command line of super resolution with the smallest model and a fast encoder."""
    if not any(word.startswith("pipeline=") for word in words):
        words = ("pipeline=super_resolution", *words)
    return [sys.executable, "-m", "bmfgraph", *_fast(words)]


def faulty(*words: str) -> list[str]:
    """Return the command line of the pipeline whose node ``stage`` fails on demand."""
    return [sys.executable, "-m", "bmfgraph", "--config-dir", str(FAULTY / "conf"), "pipeline=faulty", *_fast(words)]


def _fast(words: Sequence[str]) -> tuple[str, ...]:
    other = any(word.startswith("encoder=") for word in words)
    return (*words,) if other else (*words, "encoder.preset=ultrafast")


def python(script: str, *words: str) -> list[str]:
    """Return the command line of a script in this folder."""
    return [sys.executable, str(Path(__file__).with_name(script)), *words]


def frames_in(path: Path) -> int:
    """Count the frames that can be decoded."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def clip(path: Path, *, frames: int = 90, index_first: bool = False, sound_only: bool = False) -> Path:
    """Write a clip of noise. It does not compress, so half of the file holds half of the frames."""
    with av.open(str(path), "w", options={"movflags": "faststart"} if index_first else {}) as container:
        if sound_only:
            sound = container.add_stream("aac", rate=44100)
            for number in range(20):
                samples = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
                samples.sample_rate, samples.pts = 44100, number * 1024
                container.mux(sound.encode(samples))
            container.mux(sound.encode(None))
            return path
        stream = container.add_stream("libx264", rate=30, options={"preset": "ultrafast", "g": "15"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        random = np.random.default_rng(7)
        for _ in range(frames):
            pixels = random.integers(0, 256, (48, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def message_has(message: str, *parts: str) -> None:
    """Check that a message holds all parts."""
    for part in parts:
        assert re.search(part, message), f"{part!r} is not in: {message}"
