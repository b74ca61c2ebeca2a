"""Compile a job for this machine or another."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from bmfgraph import error_codes as codes
from bmfgraph.compile import compile_read_pipeline
from bmfgraph.compile.licences import without_denied_models
from bmfgraph.compile.part_ends import part_ends
from bmfgraph.config.job import JobReading
from bmfgraph.errors import BmfgraphError, ConfigError, InstallError, Problem, SpecError
from bmfgraph.plan.plan import Plan
from bmfgraph.plan.types import Device
from bmfgraph.system.machine import NO_MACHINE, SCHEMA, Machine, find_machine, machine_from
from bmfgraph.system.untrusted import read_json

__all__ = ["CheckResult", "compile_job"]


@dataclass(frozen=True)
class CheckResult:
    """The problems of a job."""

    problems: tuple[Problem, ...]
    """Errors first, then warnings."""
    plan: Plan = field(repr=False)
    """The plan as far as the job is right."""

    @property
    def ok(self) -> bool:
        """Whether a run can begin; there may be warnings."""
        return all(problem.severity != "error" for problem in self.problems)


def compile_job(job: JobReading) -> Plan:
    """Compile a job as far as it is right.

    Args:
        job: The configuration and its mistakes. Its ``target`` names the machine to compile for.

    Returns:
        The plan; its ``errors`` hold every mistake.
    """
    # The compiler gets the mistakes in the pipeline, so that it does not report errors that follow from them.
    inside = [problem for problem in job.problems if problem.path.partition(".")[0] == "pipeline"]
    outside = [problem for problem in job.problems if problem not in inside]
    errors: list[BmfgraphError] = [SpecError(outside)] if outside else []
    machine, device = NO_MACHINE, job.spec.device
    try:
        machine = _machine(job.spec.target)
        _check_device(device, machine)
    except BmfgraphError as error:
        errors.append(error)
        device = "auto"
    plan = compile_read_pipeline(
        job.spec.pipeline, job.lost_nodes, [SpecError(inside)] if inside else [], machine, device, job.spec.latency
    )
    plan = without_denied_models(plan, job.spec.policy.deny if job.spec.policy else ())
    if job.spec.segments and not plan.errors:
        try:
            part_ends(plan)
        except BmfgraphError as error:
            errors.append(error)
    return replace(plan, errors=(*errors, *plan.errors))


def _machine(target: str | None) -> Machine:
    if target is None:
        return find_machine()
    try:
        description: Any = read_json(target)
        if description.get("schema", SCHEMA) != SCHEMA:
            raise ValueError
        return machine_from(description["machine"])
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    except (AttributeError, ValueError, KeyError, TypeError):
        reason = "does not describe a machine"
    raise ConfigError(
        f"{target!r} {reason}",
        path="target",
        hint="name a file that `python -m bmfgraph doctor --json` wrote on that machine",
        code=codes.INVALID_TARGET,
    )


def _check_device(device: Literal["auto"] | Device, machine: Machine) -> None:
    if device == "cuda" and machine.gpu is None:
        raise InstallError(
            f"cuda needs a GPU, but {machine.no_gpu}",
            path="device",
            hint="set device=auto to run on the CPU",
            code=codes.MISSING_GPU,
        )
