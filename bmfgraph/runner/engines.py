"""Before a run: the engines that the plan names are built where the store does not have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bmfgraph.engines.build import Progress, ensure_engine
from bmfgraph.plan.plan import Plan
from bmfgraph.runner.calibration import calibration_inputs
from bmfgraph.system.console import say
from bmfgraph.system.progress import shown_progress

__all__ = ["prepare_engines"]


def prepare_engines(plan: Plan, *, progress: bool = False) -> dict[str, Path]:
    """Build what is missing; node -> the engine's file, for nodes whose engines come from the store.

    Raises EngineError, which names the node.
    """
    found: dict[str, Path] = {}
    for node, engine in plan.engines():
        build = engine.build
        if build is None:
            continue
        with shown_progress(f"building {build.model}", progress, "steps") as tell:
            stored = ensure_engine(
                node.name,
                build,
                Path(engine.onnx),
                Path(build.store),
                say=say,
                progress=_steps(tell) if tell else None,
                calibration=calibration_inputs(plan, node) if build.calibration else None,
            )
        found[node.name] = stored.path
    return found


def _steps(tell: Callable[[int, int], None]) -> Progress:
    return lambda _, done, total: tell(done, total)
