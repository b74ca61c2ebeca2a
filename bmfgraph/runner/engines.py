"""Build the missing engines of a plan."""

from __future__ import annotations

from pathlib import Path

from bmfgraph.engines.build import Progress as BuildProgress
from bmfgraph.engines.build import ensure_engine
from bmfgraph.plan.plan import Plan
from bmfgraph.runner.calibration import calibration_inputs
from bmfgraph.system.console import say
from bmfgraph.system.progress import Progress, ProgressCallback

__all__ = ["prepare_engines"]


def prepare_engines(plan: Plan, *, progress: ProgressCallback | None = None) -> dict[str, Path]:
    """Build the engines that the store does not have.

    Args:
        plan: The plan that needs them.
        progress: Called with the steps of each build.

    Returns:
        The engine's file, by node name, for nodes whose engines come from the store.

    Raises:
        EngineError: An engine cannot be built; names the node.
    """
    files: dict[str, Path] = {}
    for node, engine in plan.engines():
        build = engine.build
        if build is None:
            continue
        stored = ensure_engine(
            node.name,
            build,
            Path(engine.onnx),
            Path(build.store),
            say=say,
            progress=_steps(f"building {build.model}", progress) if progress else None,
            calibration=calibration_inputs(plan, node) if build.calibration else None,
        )
        files[node.name] = stored.path
    return files


def _steps(task: str, progress: ProgressCallback) -> BuildProgress:
    return lambda _, done, total: progress(Progress(task, done, total, "steps"))
