"""Describe a video-AI pipeline in YAML; get it validated, compiled into a BMF graph and run."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bmfgraph import nodes
    from bmfgraph.api import CheckResult, Job, compose, engine, load, model
    from bmfgraph.batches.run import batch
    from bmfgraph.config.builder import Pipeline
    from bmfgraph.config.job import Isolation
    from bmfgraph.errors import (
        BmfgraphError,
        Cancelled,
        ConfigError,
        EngineError,
        InstallError,
        PipelineErrors,
        PlanError,
        Problem,
        RunError,
        SpecError,
    )
    from bmfgraph.plan.plan import Plan
    from bmfgraph.runner.result import RunResult
    from bmfgraph.runner.stream import DetectionsItem, FrameItem, TensorsItem
    from bmfgraph.system.progress import Progress, show_progress

__all__ = [
    "BmfgraphError",
    "Cancelled",
    "CheckResult",
    "ConfigError",
    "DetectionsItem",
    "EngineError",
    "FrameItem",
    "InstallError",
    "Isolation",
    "Job",
    "Pipeline",
    "PipelineErrors",
    "Plan",
    "PlanError",
    "Problem",
    "Progress",
    "RunError",
    "RunResult",
    "SpecError",
    "TensorsItem",
    "__version__",
    "batch",
    "compose",
    "engine",
    "load",
    "model",
    "nodes",
    "show_progress",
]

__version__ = "0.1.0"

# ONNX Runtime reads it when it is imported, here, in a child process or by a node pack. Without it, its telemetry keeps
# an identifier of the device in the home folder, writes a file in the temporary folder and connects to Microsoft.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# CUDA's driver reads it when it starts. By default all streams share eight queues to the GPU, and work waits behind
# that of another stream in its queue; each clip uses several streams. The driver allows 32 queues at most.
os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "32")

_HOMES = {
    "api": ("CheckResult", "Job", "compose", "engine", "load", "model"),
    "batches.run": ("batch",),
    "config.builder": ("Pipeline",),
    "config.job": ("Isolation",),
    "errors": (*(name for name in __all__ if name.endswith(("Error", "Errors"))), "Cancelled", "Problem"),
    "plan.plan": ("Plan",),
    "runner.result": ("RunResult",),
    "runner.stream": ("DetectionsItem", "FrameItem", "TensorsItem"),
    "system.progress": ("Progress", "show_progress"),
}
"""Modules of the public names, imported when a name is used: Hydra, pydantic and torch are slow to import."""


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return _explained_import(f"bmfgraph.{module}", name)
    if name == "nodes":
        return importlib.import_module("bmfgraph.nodes")
    raise AttributeError(f"module 'bmfgraph' has no attribute {name!r}")


def _explained_import(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:
        from bmfgraph.system.obstacles import explained

        if (explanation := explained(error)) is None:
            raise
        raise explanation from error


def __dir__() -> list[str]:
    return sorted(__all__)
