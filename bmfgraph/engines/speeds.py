"""Measure once how fast the CPU runtimes run a model, in a child process, and note it in the cache."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bmfgraph.engines.limited import Failure, available_memory, call_limited
from bmfgraph.engines.onnx.cache import note, noted
from bmfgraph.engines.onnx.weights import WeightFile
from bmfgraph.engines.runtimes.cpu_streams import stream_count
from bmfgraph.engines.trial import TrialRequest, runtime_version, trial_limits

__all__ = ["Speeds", "measured_speeds"]

_FUNCTION = "bmfgraph.engines.trial_process:time_runtimes"


@dataclass(frozen=True)
class Speeds:
    """Milliseconds for each inference; 0 where a runtime refuses the model, or both are too slow to be compared."""

    onnxruntime: float = 0.0
    openvino: float = 0.0


def measured_speeds(request: TrialRequest, *, streams: int | None = None, measure: bool) -> Speeds:
    """Return the speeds of ONNX Runtime and OpenVINO in fp32, both of which must be installed.

    Args:
        request: The model and the shapes.
        streams: Inferences that run side by side; None: as many as are good for the CPU.
        measure: Whether they are measured if the cache does not have them, which takes two seconds or more.
    """
    request = replace(request, threads=request.threads or len(os.sched_getaffinity(0)))
    streams = stream_count(streams, request.threads or 1)
    asked = (request.inputs, request.dim_overrides, request.threads, streams)
    question = f"onnxruntime {runtime_version()} openvino {runtime_version('openvino')} {asked}"
    if (speeds := _speeds(noted(request.sha256, "speeds", question))) is not None:
        return speeds
    if not measure:
        return Speeds()
    memory, seconds, wall = trial_limits(request)
    wanted = 2 * memory * streams
    memory = min(wanted, available_memory() * 4 // 5)
    work = {**asdict(request), "streams": streams}
    answer = call_limited(_FUNCTION, work, memory=memory, seconds=seconds, wall_seconds=wall)
    speeds = None if isinstance(answer, Failure) else _speeds(answer)
    if speeds is not None or memory == wanted:
        speeds = speeds or Speeds()
        files = [WeightFile(name, parts) for name, parts in request.external]
        note(Path(request.path), request.sha256, files, "speeds", question, asdict(speeds))
    return speeds or Speeds()


def _speeds(data: Any) -> Speeds | None:
    """Return the speeds in an answer or a note; None if it has another form."""
    try:
        return Speeds(float(data["onnxruntime"]), float(data["openvino"]))
    except (KeyError, TypeError, ValueError):
        return None
