"""Try a model in the runtime that will run it, in a child process, once for each version, model and shape."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from bmfgraph.engines.limited import Failure, available_memory, call_limited
from bmfgraph.engines.onnx.cache import note, noted
from bmfgraph.engines.onnx.model import OnnxModel
from bmfgraph.engines.onnx.weights import WeightFile
from bmfgraph.system.machine import installed_version

__all__ = ["Trial", "TrialRequest", "runtime_version", "trial_limits", "trial_request", "try_model"]

_FUNCTIONS = {
    "onnxruntime": "bmfgraph.engines.trial_process:try_onnxruntime",
    "openvino": "bmfgraph.engines.trial_process:try_openvino",
}
_PACKAGES = {"onnxruntime": ("onnxruntime", "onnxruntime-gpu"), "openvino": ("openvino",)}
_MEMORY, _SECONDS, _WALL = 2 << 30, 60, 180.0
"""Bytes, CPU seconds and seconds of a trial, besides those for the size of the model and of its inputs."""
_THREADS = 4
"""Threads of a trial at most, so that CPU time means about the same on all machines."""
_PER_INPUT = 500
"""Bytes of intermediate results for each byte of the inputs in float32, at most."""


@dataclass(frozen=True)
class TrialRequest:
    """A model, and the shapes that it is tried with."""

    path: str
    sha256: str
    external: tuple[tuple[str, tuple[tuple[int, int], ...]], ...]
    """Weight files: name and used parts of each."""
    weights_as_inputs: bool
    inputs: tuple[tuple[str, str, tuple[int, ...]], ...]
    """Name, dtype and shape of every input, batch included."""
    outputs: tuple[str, ...]
    dim_overrides: tuple[tuple[str, tuple[int | str, ...]], ...]
    sides: tuple[tuple[str, tuple[int, ...]], ...]
    """Axes of height and width that are free, by input name."""
    compare: bool
    """Whether output sizes are taken from the trial, so that those that depend on the data must be found out."""
    whole: bool
    """Whether the inference must come to its end, as in a loop that may have none; others may be cut short."""
    threads: int | None = None
    runtime: Literal["onnxruntime", "openvino"] = "onnxruntime"
    precision: str = "fp32"


@dataclass(frozen=True)
class Trial:
    """The result of a trial."""

    problem: Literal["", "load", "run", "crash", "endless", "unfinished"]
    """``load``, ``run``: the runtime refuses the model or the shapes; ``endless``: loading takes too much memory or
    time; ``unfinished``: nothing can be said."""
    reason: str = ""
    outputs: Mapping[str, tuple[int | None, ...]] | None = None
    """Shape of every output, with None for a size that depends on the data; None if the inference was cut short."""
    multiple: int | None = None
    """A number that must divide the sides."""
    side: int | None = None
    """Side of the square pictures that the network takes, and no other."""


def trial_request(
    model: OnnxModel,
    shapes: Mapping[str, tuple[int, ...]],
    dims: Mapping[str, tuple[int | str, ...]],
    sides: Mapping[str, tuple[int, ...]],
    threads: int | None = None,
) -> TrialRequest:
    """Return the request to try a model.

    Args:
        model: The model.
        shapes: Shape of every input, batch included.
        dims: Dims of every input, which the model's configuration may have replaced.
        sides: Axes of height and width by input name.
        threads: CPU threads; None: one for each core.
    """
    return TrialRequest(
        path=str(model.path),
        sha256=model.sha256,
        external=tuple((file.name, file.parts) for file in model.external),
        weights_as_inputs=model.weights_as_inputs,
        inputs=tuple((tensor.name, tensor.dtype, shapes[tensor.name]) for tensor in model.inputs),
        outputs=tuple(tensor.name for tensor in model.outputs),
        dim_overrides=tuple(
            (tensor.name, dims[tensor.name]) for tensor in model.inputs if dims[tensor.name] != tensor.dims
        ),
        sides=tuple(
            (name, tuple(axis for axis in axes if isinstance(dims[name][axis], str))) for name, axes in sides.items()
        ),
        compare=bool(model.foreign),
        whole=bool(model.foreign) or model.loops,
        threads=threads,
    )


def runtime_version(runtime: str = "onnxruntime") -> str:
    """Return the version of an installed runtime; "" for none."""
    if importlib.util.find_spec(runtime) is None:
        return ""
    for package in _PACKAGES[runtime]:
        try:
            return installed_version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "unknown"


@lru_cache(maxsize=32)
def try_model(request: TrialRequest) -> Trial:
    """Load a model and run it once, in a child process, unless the result is in the cache.

    Args:
        request: The model and the shapes. The runtime must be installed.
    """
    asked = replace(request, path="", sha256="", external=(), threads=None)
    question = (
        f"{request.runtime} {runtime_version(request.runtime)} {json.dumps(asdict(asked), separators=(',', ':'))}"
    )
    try:
        return _trial(noted(request.sha256, "trials", question))
    except (KeyError, TypeError, ValueError, AttributeError):
        pass
    trial, lasting = _tried(request)
    if lasting:
        files = [WeightFile(name, parts) for name, parts in request.external]
        note(Path(request.path), request.sha256, files, "trials", question, asdict(trial))
    return trial


def _trial(content: Any) -> Trial:
    outputs = content["outputs"]
    return Trial(
        problem=content["problem"],
        reason=str(content["reason"]),
        outputs=None if outputs is None else {name: tuple(shape) for name, shape in outputs.items()},
        multiple=content["multiple"],
        side=content["side"],
    )


def trial_limits(request: TrialRequest) -> tuple[int, int, float]:
    """Return the bytes, the CPU seconds and the seconds that one inference may take, with the model's loading."""
    weights = Path(request.path).stat().st_size + sum(length for _, parts in request.external for _, length in parts)
    elements = sum(math.prod(shape) for _, _, shape in request.inputs)
    memory = _MEMORY + 4 * weights + _PER_INPUT * 4 * elements + ((request.threads or 1) << 24)
    return memory, _SECONDS + (weights >> 25), _WALL + 20 * (weights >> 25)


def _tried(request: TrialRequest) -> tuple[Trial, bool]:
    """Return the result of a trial, and whether another one would have the same."""
    threads = min(request.threads or len(os.sched_getaffinity(0)), _THREADS)
    asked = replace(request, threads=threads)
    wanted, seconds, wall = trial_limits(asked)
    memory = min(wanted, available_memory() * 4 // 5)
    answer = call_limited(_FUNCTIONS[request.runtime], asdict(asked), memory=memory, seconds=seconds, wall_seconds=wall)
    if not isinstance(answer, Failure):
        if "stage" in answer:
            return Trial(answer["stage"], answer["reason"], None, answer.get("multiple"), answer.get("side")), True
        if "outputs" not in answer:
            slow = f"one inference takes more than {answer['slow']}" if answer["slow"] else ""
            return Trial("unfinished" if slow else "", slow), answer["lasting"]
        return Trial("", outputs={name: tuple(shape) for name, shape in answer["outputs"].items()}), True
    for word in answer.reports:
        if word.startswith("refused "):
            return Trial("run", word.removeprefix("refused ")), True
    if answer.kind == "crash":
        return Trial("crash", answer.text), True
    if answer.kind in ("absent", "failed", "killed"):
        return Trial("unfinished", f"its process {answer.text}"), False
    limit = f"{seconds} s of CPU time" if answer.kind == "time" else f"{memory / 2**30:.1f} GiB of memory"
    lasting = answer.kind == "time" or memory == wanted
    if "loaded" in answer.reports:
        return Trial("unfinished", f"one inference takes more than {limit}"), lasting
    if lasting:
        return Trial("endless", f"loading takes more than {limit}"), True
    return Trial("unfinished", f"loading takes more than the {limit} that are free"), False
