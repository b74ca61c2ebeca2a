"""Questions that are answered in processes of their own, where a crash or a hang is no more than an answer.

Each imports what it needs itself, so that a broken library spoils that answer only.
"""

from __future__ import annotations

import contextlib
import ctypes
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

__all__ = ["Answer", "answer", "asked"]

Answer = dict[str, Any]
_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from bmfgraph.doctor import probes; probes.answer(sys.argv[2])"
)


def answer(what: str) -> None:
    """In a process of its own: answer a question as JSON, one object a line, and end the process."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What libraries print goes where errors go.
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)
        last: Answer = {"ended": True}
        try:
            for found in _QUESTIONS[what]():
                print(json.dumps(found), file=out, flush=True)
        except BaseException as error:
            last |= {"error": error_text(error), "hint": getattr(error, "hint", "")}
        print(json.dumps(last), file=out)
    # At once: native libraries may crash once more on the way out.
    os._exit(0)


@contextlib.contextmanager
def asked(limit: float) -> Iterator[Callable[[str], Answer]]:
    """Ask everything at once. What it yields waits for the answer to a question; none is waited for at the end.

    ``limit``: seconds after which a process is given up.
    """
    end = time.monotonic() + limit
    processes: dict[str, subprocess.Popen[str]] = {}
    answers: dict[str, Answer] = {}

    def wait_for(what: str) -> Answer:
        if what not in answers:
            answers[what] = _answer(processes[what], end, limit)
        return answers[what]

    with contextlib.ExitStack() as stack:
        for what in _QUESTIONS:
            processes[what] = stack.enter_context(_start(what))
            stack.callback(_kill, processes[what])
        yield wait_for


def _start(what: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _CHILD, json.dumps(sys.path), what],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def _kill(process: subprocess.Popen[str]) -> None:
    """If it is still there; its children, too: they would hold the pipes open."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _answer(process: subprocess.Popen[str], end: float, limit: float) -> Answer:
    """What a process answers, with ``error`` where it raised, crashed, or did not end in time."""
    try:
        out, err = process.communicate(timeout=max(0.0, end - time.monotonic()))
        code = process.returncode
        why = f"killed Python ({signal.Signals(-code).name})" if code < 0 else f"ended Python with exit code {code}"
        if code > 0 and err.strip():
            why += f": {err.strip().splitlines()[-1]}"
    except subprocess.TimeoutExpired:
        _kill(process)
        out, why = process.communicate()[0], f"did not end within {limit:g} s"
    found: Answer = {}
    for line in out.splitlines(keepends=True):
        if line.startswith("{") and line.endswith("\n"):
            found |= json.loads(line)
    return found if "ended" in found else found | {"error": why}


def _ask_bmf() -> Iterator[Answer]:
    from bmfgraph.system import ffmpeg4

    yield {"ffmpeg": ffmpeg4.prepare()}
    # Another folder of that name could be imported, but has no engine.
    importlib.import_module("bmf.lib._bmf")
    yield {"bmf": True}
    from bmfgraph.nodes.encoder import CODECS

    version = ctypes.CDLL("libavutil.so.56").av_version_info
    version.restype = ctypes.c_char_p
    encoders = [codec for codec, encoder in CODECS.items() if ffmpeg4.has_encoder(encoder)]
    missing = [codec for codec in CODECS if codec not in encoders]
    hwaccel = ffmpeg4.has_hwaccel("cuda")
    yield {"version": version().decode(), "encoders": encoders, "missing": missing, "hwaccel": hwaccel}


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
    "onnxruntime": _ask_onnxruntime,
    "kinds": _ask_kinds,
}
