"""Find out what this machine can run, and the command that fixes what it cannot.

``examine`` returns a ``Finding`` for each part of the machine; ``doctor_command`` prints them. BMF, ONNX Runtime and
the node packs are imported in child processes, because their imports can fail or crash.
"""

from __future__ import annotations

import io
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from bmfgraph.doctor.finding import Finding, State, error_text
from bmfgraph.doctor.packages import (
    bmf_line,
    conflict_lines,
    ffmpeg_line,
    kind_lines,
    onnxruntime_line,
    package_lines,
    torch_lines,
)
from bmfgraph.doctor.probes import asked
from bmfgraph.doctor.system import (
    cpu_line,
    cuda_of_driver,
    folder_line,
    glibc_version,
    gpu_line,
    pynvvideocodec_line,
    python_line,
    rtx_line,
    store_lines,
    tensorrt_line,
)
from bmfgraph.system.files import cache_folder
from bmfgraph.system.machine import SCHEMA, Machine, find_machine

__all__ = ["Finding", "doctor_command", "examine"]

_COLORS: dict[State, int] = {"ok": 32, "warn": 33, "fail": 31}


def doctor_command(*, as_json: bool = False) -> int:
    """Print the findings about this machine, and return the exit code: 1 if something is broken.

    Args:
        as_json: Print them as JSON, with what plans are compiled for.
    """
    lines = examine()
    if as_json:
        report = {
            "schema": SCHEMA,
            "lines": [
                {"name": line.name, "state": line.state, "found": line.found, "mend": line.fix} for line in lines
            ],
            "machine": asdict(_machine()),
        }
        print(json.dumps(report, indent=2))
    else:
        _print(lines)
    return int(any(line.state == "fail" for line in lines))


def examine(*, limit: float = 30.0) -> list[Finding]:
    """Look at this machine; raises nothing. ``limit``: seconds after which an import is given up."""
    with asked(limit) as answer:
        machine = _machine()
        temporary = Path(os.environ.get("TMPDIR") or "/tmp")
        probes: dict[str, Callable[[], Iterable[Finding]]] = {
            "Python": lambda: [
                python_line(sys.version_info[:3], f"{platform.system()} {platform.machine()}", glibc_version())
            ],
            "CPU": lambda: [cpu_line()],
            "disk": lambda: [folder_line("disk", Path.cwd(), "write elsewhere: output=/other/folder/clip.mp4")],
            "temporary files": lambda: [folder_line("temporary files", temporary, "export TMPDIR=/other/folder")],
            "BMF": lambda: [bmf_line(answer("bmf"))],
            "FFmpeg": lambda: [ffmpeg_line(answer("bmf"))],
            "GPU": lambda: [gpu_line(machine)],
            "TensorRT": lambda: [tensorrt_line(machine)],
            "TensorRT-RTX": lambda: [rtx_line(machine)],
            "PyNvVideoCodec": lambda: [pynvvideocodec_line(machine)],
            "ONNX Runtime": lambda: [onnxruntime_line(answer("onnxruntime"), machine)],
            "torch": lambda: torch_lines(machine, cuda_of_driver()),
            "packages": package_lines,
            "conflicts": lambda: conflict_lines(machine),
            "node kinds": lambda: kind_lines(answer("kinds")),
            "engine store": lambda: store_lines(Path("engines")),
            "cache": lambda: [folder_line("cache", cache_folder(), "export BMFGRAPH_CACHE=/other/folder")],
        }
        return [line for name, probe in probes.items() for line in _guarded(name, probe)]


def _guarded(name: str, probe: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """The lines of a probe; one that raises is a line, too."""
    try:
        return list(probe())
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name
        fix = f"pip install {missing}" if missing else "pip install --force-reinstall bmfgraph, or report this line"
        return [Finding(name, "fail", f"cannot be looked at: {error_text(error)}", fix)]


def _print(lines: Sequence[Finding]) -> None:
    """Aligned lines, each mending command on a line of its own; the states in colours on a terminal."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # An arrow, or a path, that the terminal's encoding lacks.
    colored = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    width = max(len(line.name) for line in lines)
    for line in lines:
        state = f"\x1b[{_COLORS[line.state]}m{line.state:<4}\x1b[0m" if colored else f"{line.state:<4}"
        print(f"{state}  {line.name:<{width}}  {line.found}" + (f"\n      → {line.fix}" if line.fix else ""))
    warnings, failures = (sum(line.state == state for line in lines) for state in ("warn", "fail"))
    told = [
        f"{count} {word}{'s' * (count > 1)}" for count, word in ((failures, "failure"), (warnings, "warning")) if count
    ]
    print("\n" + ", ".join(told if failures else [*told, "nothing is broken"]))


def _machine() -> Machine:
    try:
        return find_machine()
    except Exception as error:
        return Machine(no_gpu=f"looking for a GPU and TensorRT failed ({error_text(error)})")
