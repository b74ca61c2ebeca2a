"""Compile models with OpenVINO; without torch, so that a child process can do it quickly."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bmfgraph.engines.onnx.weights import model_beside
from bmfgraph.errors import first_line

__all__ = ["compile_model", "failure_text", "import_openvino"]

_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""OpenVINO's format for what is not quantized. Its default on some CPUs is bf16, which fp32 does not permit."""
_TELEMETRY = "openvino_telemetry"
_NOISE = re.compile(
    r"Exception from |Check '.*' failed at |FrontEnd API failed |Model wasn't fully|Summary:|To facilitate |\s*$"
)
"""Lines of OpenVINO's errors that say where in its source they arose."""


def import_openvino() -> Any:
    """Return the module ``openvino``, imported without the package that reports each import to a server.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    # OpenVINO takes a stub if this import fails.
    absent = object()
    before: Any = sys.modules.get(_TELEMETRY, absent)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        if before is absent:
            del sys.modules[_TELEMETRY]
        else:
            sys.modules[_TELEMETRY] = before
    # The first tensor of a process loads NumPy's interface; two threads that make one at once wait for each other.
    openvino.Tensor(np.empty(1, np.float32), shared_memory=True)
    return openvino


def failure_text(error: Exception) -> str:
    """Return the line of OpenVINO's error that says what is wrong."""
    lines = str(error).splitlines()
    return next((line.removeprefix("-- ") for line in lines if not _NOISE.match(line)), "") or first_line(error)


def compile_model(
    path: Path,
    shapes: Mapping[str, Sequence[int]],
    weight_files: Sequence[str],
    *,
    precision: str,
    threads: int | None = None,
    streams: int = 1,
) -> Any:
    """Return an ``openvino.CompiledModel`` for the CPU.

    Args:
        path: The model file, ONNX whatever its name.
        shapes: Shape of every input, batch included.
        weight_files: Names of its weight files.
        precision: fp32, bf16, or int8 for a quantized model.
        threads: CPU threads of all inferences; None: one for each core.
        streams: Number of inferences that may run side by side.

    Raises:
        ImportError: OpenVINO is not installed.
        Exception: OpenVINO refuses the model; it has many types of exceptions.
    """
    core = import_openvino().Core()
    # From bytes, OpenVINO recognizes the format by the content; weight files need a path.
    model = core.read_model(str(model_beside(path, weight_files)) if weight_files else path.read_bytes())
    model.reshape({name: list(shape) for name, shape in shapes.items()})
    settings = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": threads or len(os.sched_getaffinity(0)),
        "NUM_STREAMS": streams,
        # Pinned threads would compete with decoder and encoder for some cores, and leave others idle.
        "ENABLE_CPU_PINNING": False,
    }
    return core.compile_model(model, "CPU", settings)
