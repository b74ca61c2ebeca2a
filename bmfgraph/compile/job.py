"""From a composed configuration to its plan, for this machine or another one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from bmfgraph.compile import compile_pipeline_collecting
from bmfgraph.errors import BmfgraphError, ConfigError, InstallError, did_you_mean, one_error, short_repr
from bmfgraph.plan.plan import Plan
from bmfgraph.system.machine import NO_MACHINE, SCHEMA, Machine, find_machine, machine_from

__all__ = ["DEVICES", "compile_collecting", "compile_job"]

DEVICES = ("auto", "cpu", "cuda")


def compile_job(data: dict[str, Any]) -> Plan:
    """The plan. ``data``: the resolved config. Raises a BmfgraphError: Mistakes if there are several."""
    plan = compile_collecting(data)
    if plan.errors:
        raise one_error(plan.errors)
    return plan


def compile_collecting(data: dict[str, Any]) -> Plan:
    """The plan as far as the configuration is right; its ``errors`` tell what is wrong."""
    errors: list[BmfgraphError] = []
    machine = NO_MACHINE
    try:
        machine = _machine(data.get("target"))
        device = _device(data.get("device", "auto"), machine)
    except BmfgraphError as error:
        errors.append(error)
        device = "auto"
    errors += _switches(data)
    plan = compile_pipeline_collecting(data.get("pipeline"), machine, device)
    return replace(plan, errors=(*errors, *plan.errors))


def _switches(data: dict[str, Any]) -> list[ConfigError]:
    return [
        ConfigError(
            f"{short_repr(data[key])}: must be true or false",
            path=key,
            hint=f"set {key}=true or {key}=false",
            code="E206",
        )
        for key in ("progress", "debug")
        if not isinstance(data.get(key), (bool, type(None)))
    ]


def _machine(target: Any) -> Machine:
    if target is None:
        return find_machine()
    try:
        told = json.loads(Path(str(target)).read_text(encoding="utf-8"))
        if told.get("schema", SCHEMA) != SCHEMA:
            raise ValueError
        return machine_from(told["machine"])
    except OSError as error:
        why = f"cannot be read ({error.strerror})"
    except (AttributeError, ValueError, KeyError, TypeError):
        why = "describes no machine"
    raise ConfigError(
        f"{str(target)!r} {why}",
        path="target",
        hint="name a file that `python -m bmfgraph doctor --json` wrote on that machine",
        code="E113",
    )


def _device(device: Any, machine: Machine) -> Any:
    if device not in DEVICES:
        raise ConfigError(
            f"{short_repr(device)} is not allowed{did_you_mean(str(device), DEVICES)}; allowed: {', '.join(DEVICES)}",
            path="device",
            hint="auto runs models on the GPU where there is one",
            code="E110",
        )
    if device == "cuda" and machine.gpu is None:
        raise InstallError(
            f"cuda was asked for, but {machine.no_gpu}",
            path="device",
            hint="set device=auto to run on the CPU",
            code="E605",
        )
    return device
