"""The compiler: a pipeline spec becomes a plan through a short list of passes, each ``Plan -> Plan``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from bmfgraph.compile.assign_devices import assign_devices
from bmfgraph.compile.bind_engines import bind_engines
from bmfgraph.compile.build_plan import build_plan
from bmfgraph.compile.drop_identity import drop_identity
from bmfgraph.compile.fuse_stages import fuse
from bmfgraph.compile.infer_types import infer_types
from bmfgraph.compile.insert_converters import insert_converters
from bmfgraph.compile.probe_inputs import discover, errors_outside
from bmfgraph.compile.split_audio import split_audio
from bmfgraph.compile.verify import verify
from bmfgraph.config.pipeline import PipelineSpec
from bmfgraph.errors import BmfgraphError, one_error
from bmfgraph.plan.plan import Plan
from bmfgraph.plan.types import Device
from bmfgraph.system.machine import NO_MACHINE, Machine

__all__ = ["PASSES", "compile_pipeline", "compile_read_pipeline"]

Pass = Callable[[Plan], Plan]

PASSES: tuple[Pass, ...] = (
    discover,  # probe inputs, read models
    infer_types,  # what travels on every edge
    drop_identity,  # leave out what does nothing
    split_audio,  # a reader of sound beside each decoder on the GPU
    bind_engines,  # runtime, engine path and input shapes into every inference
    assign_devices,  # CPU or GPU for every node
    insert_converters,  # a converter or a transfer where the two ends of an edge differ
    fuse,  # neighbouring tensor stages into one BMF node
    verify,  # nothing left over, nothing written twice
)


def compile_pipeline(
    spec: PipelineSpec, machine: Machine = NO_MACHINE, device: Literal["auto"] | Device = "auto"
) -> Plan:
    """Compile for a machine and a device.

    Reads input files and models, needs no BMF, torch or GPU. Raises a BmfgraphError: Mistakes if there are several.
    """
    plan = _through(replace(build_plan(spec), machine=machine, device=device))
    if plan.errors:
        raise one_error(plan.errors)
    return plan


def compile_read_pipeline(
    spec: PipelineSpec | None,
    lost: Sequence[str] = (),
    errors: Sequence[BmfgraphError] = (),
    machine: Machine = NO_MACHINE,
    device: Literal["auto"] | Device = "auto",
) -> Plan:
    """Compile a pipeline as far as it goes.

    Args:
        spec: The pipeline as far as it could be read.
        lost: Names of nodes that could not be read.
        errors: What is wrong with them.
        machine: The machine to compile for.
        device: Where models run.

    Returns:
        The plan; its ``errors`` hold every mistake.
    """
    if spec is None:
        return Plan("", (), machine, device, tuple(errors))
    plan = build_plan(spec, lost)
    outside = errors_outside(spec.nodes, plan)
    return _through(replace(plan, machine=machine, device=device, errors=(*errors, *plan.errors, *outside)))


def _through(plan: Plan) -> Plan:
    for one in PASSES:
        plan = one(plan)
    # Nodes left idle last: most are so by another mistake.
    return replace(plan, errors=tuple(sorted(plan.errors, key=lambda error: error.problems[0].code == "E304")))
