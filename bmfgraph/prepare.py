"""Before a run: the engines that the plan names are built where the store does not have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bmfgraph.calibration import calibration_inputs
from bmfgraph.compile.choose import RTX_CAPABILITIES
from bmfgraph.engines.builders import Progress, ensure_engine
from bmfgraph.errors import EngineError
from bmfgraph.nodes.inference import InferenceWork
from bmfgraph.plan import Plan
from bmfgraph.progress import shown_progress
from bmfgraph.sources import say

__all__ = ["check_runnable", "prepare_engines"]


def check_runnable(plan: Plan) -> None:
    """Refuse a plan for a GPU on a machine without one, before an engine is built that cannot run here."""
    # Engines first: the nodes around them are on the GPU for their sake.
    for node in sorted(plan, key=lambda node: not isinstance(node.work, InferenceWork)):
        if node.device == "cuda" and plan.machine.gpu is None:
            engine = getattr(node.work, "engine", None)
            wish, out = f"kind {node.kind!r}", "set decoder=ffmpeg"
            if engine:
                wish, out = f"engine.runtime={engine.runtime}", "leave engine.runtime out"
                if engine.build is None:
                    wish, out = f"engine.path {engine.path!r}, an engine of TensorRT,", "leave engine.path out"
            raise EngineError(
                node.name,
                f"{wish} runs on an NVIDIA GPU, and {plan.machine.no_gpu}",
                hint=f"run it on a machine with a GPU, or {out} to use the CPU",
            )
        gpu = plan.machine.gpu
        rtx = isinstance(node.work, InferenceWork) and node.work.engine and node.work.engine.runtime == "tensorrt_rtx"
        if rtx and gpu is not None and gpu.compute_capability not in RTX_CAPABILITIES:
            raise EngineError(
                node.name,
                f"engine.runtime=tensorrt_rtx does not run on {gpu}, but on compute capability "
                f"{', '.join(RTX_CAPABILITIES)}",
                hint="set engine.runtime=tensorrt (pip install tensorrt); its engines can be built here for elsewhere",
            )


def prepare_engines(plan: Plan, *, progress: bool = False) -> dict[str, Path]:
    """Build what is missing; node -> the engine's file, for nodes whose engines come from the store.

    Raises EngineError, which names the node.
    """
    found: dict[str, Path] = {}
    for node in plan:
        work = node.work
        if not isinstance(work, InferenceWork) or work.engine is None or work.engine.build is None:
            continue
        build = work.engine.build
        with shown_progress(f"building {work.model}", progress, "steps") as tell:
            stored = ensure_engine(
                node.name,
                build,
                Path(work.engine.onnx),
                Path(build.store),
                say=say,
                progress=_steps(tell) if tell else None,
                calibration=calibration_inputs(plan, node) if build.calibration else None,
            )
        found[node.name] = stored.path
    return found


def _steps(tell: Callable[[int, int], None]) -> Progress:
    return lambda _, done, total: tell(done, total)
