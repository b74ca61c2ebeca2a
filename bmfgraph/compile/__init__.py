"""Compile a pipeline spec into a plan through a short list of passes, each ``Plan -> Plan``.

``compile.job.compile_job`` compiles a job, ``compile_pipeline`` a pipeline alone. ``PASSES`` is the list; ``passes``
has the conditions that are checked before and after each pass. An error removes its node and the nodes that depend on
it, and the compiler goes on, so that one plan holds all errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from bmfgraph import error_codes as codes
from bmfgraph.compile.assign_devices import assign_devices
from bmfgraph.compile.bind_engines import bind_engines
from bmfgraph.compile.build_plan import build_plan
from bmfgraph.compile.drop_identity import drop_identity
from bmfgraph.compile.fuse_stages import fuse
from bmfgraph.compile.infer_types import infer_types
from bmfgraph.compile.insert_converters import insert_converters
from bmfgraph.compile.insert_followers import insert_followers
from bmfgraph.compile.name_outputs import name_outputs
from bmfgraph.compile.passes import CompilerPass, run_passes
from bmfgraph.compile.probe_inputs import errors_outside, probe_inputs
from bmfgraph.compile.size_batches import size_batches
from bmfgraph.compile.split_audio import split_audio
from bmfgraph.compile.verify import verify
from bmfgraph.config.pipeline import PipelineSpec
from bmfgraph.errors import BmfgraphError, one_error
from bmfgraph.plan.plan import Plan
from bmfgraph.plan.types import Device
from bmfgraph.system.machine import NO_MACHINE, Machine

__all__ = ["PASSES", "compile_pipeline", "compile_read_pipeline"]

PASSES: tuple[CompilerPass, ...] = (
    name_outputs,  # fill in the words of the names of written files
    probe_inputs,  # probe input files, read models
    insert_followers,  # put tone mapping behind decoders
    infer_types,  # find the type of every edge
    drop_identity,  # leave out nodes that change nothing
    split_audio,  # read audio apart from frames on the GPU
    bind_engines,  # choose runtime, engine file and input shapes of every model
    assign_devices,  # choose CPU or GPU for every node
    insert_converters,  # join edges whose two ends differ in pixel format or device
    fuse,  # run neighbouring stages in one BMF node, except between frames
    size_batches,  # choose how many frames travel together
    verify,  # check that no output is idle and no file is written twice
)


def compile_pipeline(
    spec: PipelineSpec, machine: Machine = NO_MACHINE, device: Literal["auto"] | Device = "auto"
) -> Plan:
    """Compile a pipeline. This reads input files and models, and needs no BMF, torch or GPU.

    Args:
        spec: The pipeline.
        machine: The machine to compile for.
        device: Device that models run on.

    Raises:
        BmfgraphError: The pipeline is wrong; PipelineErrors for several errors.
    """
    plan = _compiled(replace(build_plan(spec), machine=machine, device=device))
    if plan.errors:
        raise one_error(plan.errors)
    return plan


def compile_read_pipeline(
    spec: PipelineSpec | None,
    lost: Sequence[str] = (),
    errors: Sequence[BmfgraphError] = (),
    machine: Machine = NO_MACHINE,
    device: Literal["auto"] | Device = "auto",
    latency: float | None = None,
) -> Plan:
    """Compile a pipeline as far as it goes.

    Args:
        spec: The pipeline as far as it could be read.
        lost: Names of nodes that could not be read.
        errors: The mistakes in them.
        machine: The machine to compile for.
        device: Device that models run on.
        latency: Most seconds of video that travel together; None: as many frames as are fastest.

    Returns:
        The plan; its ``errors`` hold every mistake.
    """
    if spec is None:
        return Plan("", (), machine, device, latency, errors=tuple(errors))
    plan = build_plan(spec, lost)
    outside = errors_outside(spec.nodes, plan)
    errors = (*errors, *plan.errors, *outside)
    return _compiled(replace(plan, machine=machine, device=device, latency=latency, errors=errors))


def _compiled(plan: Plan) -> Plan:
    plan = run_passes(plan, PASSES)
    # Idle nodes come last: most of them follow from another error.
    return replace(
        plan, errors=tuple(sorted(plan.errors, key=lambda error: error.problems[0].code == codes.UNUSED_NODE))
    )
