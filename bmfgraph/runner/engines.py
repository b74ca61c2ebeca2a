"""Build the missing engines of a plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bmfgraph.engines.build import Progress as BuildProgress, ensure_engine
from bmfgraph.engines.builder import builder_version
from bmfgraph.engines.manifest import ENGINE
from bmfgraph.engines.spec import EngineSpec
from bmfgraph.engines.store import EngineStore
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.runner.calibration import calibration_inputs
from bmfgraph.system.console import say
from bmfgraph.system.progress import Progress, ProgressCallback

__all__ = ["ask_builders", "prepare_engines"]


def ask_builders(plan: Plan) -> Plan:
    """Return the plan with the engines of the TensorRT that ``engine.python`` reports when it runs.

    A plan is compiled without running a program that its configuration names, so the version in it may be unknown, or
    may be that of the files only.

    Raises:
        InstallError: An interpreter cannot be used; names the node.
    """

    def bound(node: PlanNode) -> PlanNode:
        engine: EngineSpec | None = node.spec.engine_of(node.params)
        if engine is None or engine.build is None or engine.build.python is None:
            return node
        build = engine.build
        version = builder_version(build.python, build.key.runtime, node.name).version
        build = replace(build, key=replace(build.key, version=version))
        path = EngineStore(Path(build.store)).folder(build.model, build.key) / ENGINE
        return replace(node, params=node.spec.with_engine(node.params, replace(engine, path=str(path), build=build)))

    return replace(plan, nodes=tuple(map(bound, plan.nodes)))


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
