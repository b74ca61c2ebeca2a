"""Import libraries in child processes, where a crash or a hang is an answer like any other.

Each question imports its own libraries, so that a broken library affects only its own answer.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from bmfgraph.doctor.finding import error_text

__all__ = ["Answer", "answer", "ask_all"]

Answer = dict[str, Any]
"""Facts by name. ``error`` and ``hint`` are present if the child process failed."""
_CHILD = "import sys; sys.path[:] = sys.argv[2:]; from bmfgraph.doctor import probes; probes.answer(sys.argv[1])"


def answer(question: str) -> None:
    """Answer a question in a child process: print JSON, one object a line, and end the process."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Libraries print to stdout, too, so their output is redirected to stderr.
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)
        last: Answer = {"ended": True}
        try:
            for part in _QUESTIONS[question]():
                print(json.dumps(part), file=out, flush=True)
        except BaseException as error:
            last |= {"error": error_text(error), "hint": getattr(error, "hint", "")}
        print(json.dumps(last), file=out)
    # Native libraries may crash at a normal exit.
    os._exit(0)


@contextlib.contextmanager
def ask_all(limit: float) -> Iterator[Callable[[str], Answer]]:
    """Start a child process for each question. The processes that still run at the end of the block are killed.

    Args:
        limit: Seconds after which a process is killed.

    Yields:
        A function that waits for the answer to a question.
    """
    end = time.monotonic() + limit
    processes: dict[str, subprocess.Popen[str]] = {}
    answers: dict[str, Answer] = {}

    def wait_for(question: str) -> Answer:
        if question not in answers:
            answers[question] = _answer(processes[question], end, limit)
        return answers[question]

    with contextlib.ExitStack() as stack:
        for question in _QUESTIONS:
            processes[question] = stack.enter_context(_start(question))
            stack.callback(_kill, processes[question])
        yield wait_for


def _start(question: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _CHILD, question, *sys.path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill a process that still runs, with its children, which would keep the pipes open."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _answer(process: subprocess.Popen[str], end: float, limit: float) -> Answer:
    """Wait for the answer of a process; it has ``error`` if the process raised, crashed, or did not end in time."""
    try:
        out, err = process.communicate(timeout=max(0.0, end - time.monotonic()))
        code = process.returncode
        reason = f"killed Python ({signal.Signals(-code).name})" if code < 0 else f"ended Python with exit code {code}"
        if code > 0 and err.strip():
            reason += f": {err.strip().splitlines()[-1]}"
    except subprocess.TimeoutExpired:
        _kill(process)
        out, reason = process.communicate()[0], f"did not end within {limit:g} s"
    facts: Answer = {}
    for line in out.splitlines(keepends=True):
        if line.startswith("{") and line.endswith("\n"):
            facts |= json.loads(line)
    return facts if "ended" in facts else facts | {"error": reason}


def _ask_bmf() -> Iterator[Answer]:
    from bmfgraph.system import ffmpeg4

    yield {"ffmpeg": ffmpeg4.prepare()}
    # Another folder named bmf can be imported, too, but it lacks the engine.
    importlib.import_module("bmf.lib._bmf")
    yield {"bmf": True}
    from bmfgraph.nodes.codecs import CODECS
    from bmfgraph.nodes.encoder_checks import NATIVE_CODECS

    encoders = [codec for codec in NATIVE_CODECS if ffmpeg4.has_encoder(CODECS[codec].encoder)]
    missing = [codec for codec in NATIVE_CODECS if codec not in encoders]
    hwaccel = ffmpeg4.has_hwaccel("cuda")
    yield {"version": ffmpeg4.version(), "encoders": encoders, "missing": missing, "hwaccel": hwaccel}


def _ask_pyav() -> Iterator[Answer]:
    from bmfgraph.nodes.codecs import CODECS
    from bmfgraph.system import ffmpeg

    encoders = [name for name, codec in CODECS.items() if ffmpeg.encoders((codec.encoder,))]
    missing = [name for name in CODECS if name not in encoders]
    hwaccel = ffmpeg.has_hwaccel("cuda")
    yield {"version": ffmpeg.ffmpeg_version(), "encoders": encoders, "missing": missing, "hwaccel": hwaccel}
    # A driver may crash, so its encoders are tried last.
    gpu = [name for name in encoders if ffmpeg.needs_gpu(CODECS[name].encoder)]
    yield {"unusable": [name for name in gpu if not ffmpeg.opens_gpu_encoder(CODECS[name].encoder)]}


def _ask_onnxruntime() -> Iterator[Answer]:
    module = importlib.import_module("onnxruntime")
    yield {"version": module.__version__, "providers": module.get_available_providers()}


def _ask_kinds() -> Iterator[Answer]:
    from bmfgraph.nodes.registry import RegistryError, kinds, spec_class

    broken: dict[str, str] = {}
    for kind in kinds():
        yield {"kind": kind, "broken": broken}
        try:
            spec_class(kind)
        except RegistryError as error:
            broken[kind] = str(error)
    yield {"kinds": kinds(), "broken": broken}


_QUESTIONS: dict[str, Callable[[], Iterator[Answer]]] = {
    "bmf": _ask_bmf,
    "pyav": _ask_pyav,
    "onnxruntime": _ask_onnxruntime,
    "kinds": _ask_kinds,
}
