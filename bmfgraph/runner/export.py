"""Export a plan as BMF's own graph JSON, if BMF's modules can run all of its nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.errors import PlanError
from bmfgraph.plan.description import BmfModuleSpec
from bmfgraph.plan.plan import Plan, PlanNode, Ref

__all__ = ["bmf_graph"]

_NAMED = 4
"""Largest number of nodes that the error names."""


def bmf_graph(plan: Plan) -> dict[str, Any]:
    """Return the JSON that ``run_bmf_graph`` runs without bmfgraph; relative paths begin in the folder of that run.

    Such a run writes files under their final names at once, and does not correct them afterwards.

    Raises:
        PlanError: bmfgraph itself runs a node: models, tensors, boxes, frames on the GPU.
    """
    modules = {node.name: node.spec.bmf_module(node, plan) for node in plan}
    ours = [node for node in plan if (module := modules[node.name]) is None or not module.name]
    if ours:
        names = ", ".join(f"{node.name} ({node.kind})" for node in ours[:_NAMED])
        more = f" and {len(ours) - _NAMED} more" if len(ours) > _NAMED else ""
        raise PlanError(
            ours[0].name,
            f"BMF alone cannot run {names}{more}: such nodes run inside bmfgraph only",
            hint="run the pipeline with bmfgraph, or export one of decoder and encoder alone, both with backend: bmf",
            code=codes.UNEXPORTABLE_PLAN,
        )
    configs = [config for node in plan if (module := modules[node.name]) for config in _configs(plan, node, module)]
    nodes = [config | {"id": number} for number, config in enumerate(configs)]
    return {"input_streams": [], "output_streams": [], "nodes": nodes, "option": {}, "mode": "Normal"}


def _configs(plan: Plan, node: PlanNode, module: BmfModuleSpec) -> Iterator[dict[str, Any]]:
    """One BMF node, or one for each filter of a chain: BMF expects single filters, and joins them itself."""
    streams = [_stream(ref) for ref in node.inputs]
    filters = [{"name": step["name"], "para": step["para"]} for step in module.options.get("filters", ())]
    for number, step in enumerate(filters[:-1]):
        between = [f"{node.name}_{number}"]
        yield _config(f"{node.name}-{number}", module.name, step, streams, between)
        streams = between
    options = filters[-1] if filters else dict(module.options)
    yield _config(node.name, module.name, options, streams, _outputs(plan, node))


def _config(name: str, module: str, option: dict[str, Any], inputs: list[str], outputs: list[str]) -> dict[str, Any]:
    return {
        "alias": name,
        "module_info": {"name": module, "type": "c++", "path": "", "entry": ""},
        "meta_info": {"premodule_id": -1, "callback_binding": []},
        "option": option,
        "input_streams": [{"identifier": stream, "stream_alias": ""} for stream in inputs],
        "output_streams": [{"identifier": stream, "stream_alias": ""} for stream in outputs],
        "input_manager": "immediate",
        # BMF's default: with more threads, audio that reaches an encoder before its first frame can be lost.
        "scheduler": 0 if outputs else 1,
    }


def _outputs(plan: Plan, node: PlanNode) -> list[str]:
    """Streams of all ports up to the last connected one, because BMF identifies ports by their position."""
    ports = node.spec.ports()
    used = [ports.index(consumer.inputs[index].port) for consumer, index in plan.consumers(node.name)]
    return [_stream(Ref(node.name, port)) for port in ports[: max(used, default=-1) + 1]]


def _stream(ref: Ref) -> str:
    return f"{ref.node}_{ref.port}"
