"""A plan as BMF's own graph JSON, for plans all of whose nodes are modules of BMF's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bmfgraph.errors import PlanError
from bmfgraph.nodes.bmf_options import native_module
from bmfgraph.nodes.nvdec import NvdecParams
from bmfgraph.plan.plan import Plan, PlanNode, Ref

__all__ = ["bmf_graph"]

_NAMED = 4
"""Nodes that the error names, at the most."""


def bmf_graph(plan: Plan) -> dict[str, Any]:
    """The JSON that ``run_bmf_graph`` runs without bmfgraph; relative paths count from the folder it is run in.

    It writes files under their final names, as BMF does, and mends none afterwards. Raises PlanError for what is
    done by bmfgraph itself: models, tensors, boxes, frames on the GPU.
    """
    ours = [node for node in plan if node.spec.stage or isinstance(node.params, NvdecParams)]
    if ours:
        names = ", ".join(f"{node.name} ({node.kind})" for node in ours[:_NAMED])
        more = f" and {len(ours) - _NAMED} more" if len(ours) > _NAMED else ""
        raise PlanError(
            ours[0].name,
            f"BMF alone cannot run {names}{more}: such nodes run inside bmfgraph only",
            hint="run the pipeline with bmfgraph, or export one of decoder and encoder alone",
            code="E308",
        )
    configs = [config for node in plan for config in _configs(plan, node)]
    nodes = [config | {"id": number} for number, config in enumerate(configs)]
    return {"input_streams": [], "output_streams": [], "nodes": nodes, "option": {}, "mode": "Normal"}


def _configs(plan: Plan, node: PlanNode) -> Iterator[dict[str, Any]]:
    """BMF's node, or one for each filter of a chain: BMF wants them one by one, and joins them itself."""
    module, options = native_module(plan, node)
    streams = [_stream(ref) for ref in node.inputs]
    filters = [{"name": one["name"], "para": one["para"]} for one in options.get("filters", ())]
    for number, each in enumerate(filters[:-1]):
        between = [f"{node.name}_{number}"]
        yield _config(f"{node.name}-{each['name']}", module, each, streams, between)
        streams = between
    yield _config(node.name, module, filters[-1] if filters else options, streams, _taken(plan, node))


def _config(name: str, module: str, option: dict[str, Any], inputs: list[str], outputs: list[str]) -> dict[str, Any]:
    return {
        "alias": name,
        "module_info": {"name": module, "type": "c++", "path": "", "entry": ""},
        "meta_info": {"premodule_id": -1, "callback_binding": []},
        "option": option,
        "input_streams": [{"identifier": stream, "stream_alias": ""} for stream in inputs],
        "output_streams": [{"identifier": stream, "stream_alias": ""} for stream in outputs],
        "input_manager": "immediate",
        # As BMF has it: with more threads, sound that an encoder gets before its first frame may be lost.
        "scheduler": 0 if outputs else 1,
    }


def _taken(plan: Plan, node: PlanNode) -> list[str]:
    """Streams for the ports up to the last that somebody takes from: BMF knows them by their place."""
    ports = node.spec.ports()
    used = [ports.index(consumer.inputs[index].port) for consumer, index in plan.consumers(node.name)]
    return [_stream(Ref(node.name, port)) for port in ports[: max(used, default=-1) + 1]]


def _stream(ref: Ref) -> str:
    return f"{ref.node}_{ref.port}"
