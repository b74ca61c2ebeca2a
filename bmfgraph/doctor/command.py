"""Run the command ``doctor``: examine this machine, and print the findings.

BMF, ONNX Runtime and node packs are imported in child processes. This process imports no library that may be broken.
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
    bmf_finding,
    conflict_findings,
    ffmpeg4_finding,
    ffmpeg_finding,
    kind_findings,
    onnxruntime_finding,
    openvino_finding,
    package_findings,
    torch_findings,
)
from bmfgraph.doctor.probes import ask_all
from bmfgraph.doctor.system import (
    cpu_finding,
    cuda_of_driver,
    folder_finding,
    glibc_version,
    gpu_finding,
    pynvvideocodec_finding,
    python_finding,
    rtx_finding,
    store_findings,
    tensorrt_finding,
)
from bmfgraph.system.files import cache_folder
from bmfgraph.system.machine import SCHEMA, Machine, find_machine
from bmfgraph.system.text import counted, shown

__all__ = ["doctor_command", "examine"]

_COLORS: dict[State, int] = {"ok": 32, "warn": 33, "fail": 31}
"""ANSI codes. The doctor must work with a broken rich, so it does not use rich."""


def doctor_command(*, as_json: bool = False) -> int:
    """Print the findings about this machine.

    Args:
        as_json: Print JSON, which also contains the machine that plans are compiled for.

    Returns:
        The exit code: 1 if a finding has the state ``fail``, else 0.
    """
    findings = examine()
    if as_json:
        report = {
            "schema": SCHEMA,
            "lines": [
                {"name": finding.name, "state": finding.state, "found": finding.found, "mend": finding.fix}
                for finding in findings
            ],
            "machine": asdict(_machine()),
        }
        print(json.dumps(report, indent=2))
    else:
        _print(findings)
    return int(any(finding.state == "fail" for finding in findings))


def examine(*, limit: float = 30.0) -> list[Finding]:
    """Examine this machine. A failure is a finding; the function raises no error.

    Args:
        limit: Seconds after which the import of a library is aborted.
    """
    with ask_all(limit) as answer:
        machine = _machine()
        temporary = Path(os.environ.get("TMPDIR") or "/tmp")
        probes: dict[str, Callable[[], Iterable[Finding]]] = {
            "Python": lambda: [
                python_finding(sys.version_info[:3], f"{platform.system()} {platform.machine()}", glibc_version())
            ],
            "CPU": lambda: [cpu_finding()],
            "disk": lambda: [folder_finding("disk", Path.cwd(), "write elsewhere: output=/other/folder/clip.mp4")],
            "temporary files": lambda: [folder_finding("temporary files", temporary, "export TMPDIR=/other/folder")],
            "BMF": lambda: [bmf_finding(answer("bmf"))],
            "FFmpeg 4": lambda: [ffmpeg4_finding(answer("bmf"))],
            "FFmpeg": lambda: [ffmpeg_finding(answer("pyav"))],
            "GPU": lambda: [gpu_finding(machine)],
            "TensorRT": lambda: [tensorrt_finding(machine)],
            "TensorRT-RTX": lambda: [rtx_finding(machine)],
            "PyNvVideoCodec": lambda: [pynvvideocodec_finding(machine)],
            "ONNX Runtime": lambda: [onnxruntime_finding(answer("onnxruntime"), machine)],
            "OpenVINO": lambda: [openvino_finding(machine)],
            "torch": lambda: torch_findings(machine, cuda_of_driver()),
            "packages": package_findings,
            "conflicts": lambda: conflict_findings(machine),
            "node kinds": lambda: kind_findings(answer("kinds")),
            "engine store": lambda: store_findings(Path("engines")),
            "cache": lambda: [folder_finding("cache", cache_folder(), "export BMFGRAPH_CACHE=/other/folder")],
        }
        return [finding for name, probe in probes.items() for finding in _guarded(name, probe)]


def _guarded(name: str, probe: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Return the findings of a probe; an error of the probe is a finding, too."""
    try:
        return list(probe())
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name
        fix = f"pip install {missing}" if missing else "pip install --force-reinstall bmfgraph, or report this line"
        return [Finding(name, "fail", f"cannot be examined: {error_text(error)}", fix)]


def _print(findings: Sequence[Finding]) -> None:
    """Print aligned lines, and each fix on a line of its own. States are coloured on a terminal."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # The terminal's encoding may lack the arrow or a character of a path.
        sys.stdout.reconfigure(errors="replace")
    colored = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        state = f"{finding.state:<4}"
        state = f"\x1b[{_COLORS[finding.state]}m{state}\x1b[0m" if colored else state
        fix = f"\n      → {finding.fix}" if finding.fix else ""
        print(f"{state}  {shown(f'{finding.name:<{width}}  {finding.found}{fix}')}")
    failures, warnings = (sum(finding.state == state for finding in findings) for state in ("fail", "warn"))
    summary = [counted(failures, "failure")] if failures else []
    summary += [counted(warnings, "warning")] if warnings else []
    print("\n" + ", ".join(summary if failures else [*summary, "nothing is broken"]))


def _machine() -> Machine:
    try:
        return find_machine()
    except Exception as error:
        return Machine(no_gpu=f"detecting the GPU and TensorRT failed ({error_text(error)})")
