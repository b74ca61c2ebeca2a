"""Write a plan as a Mermaid flowchart, which GitHub and many wikis draw."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.types import AudioSpec, Device
from bmfgraph.plan.views.drawing import INK, PALETTES
from bmfgraph.plan.views.text import DEVICES, bmf_nodes, type_text

__all__ = ["plan_mermaid"]

_PLAIN = re.compile(r"[^\w .,:/()+·→-]")


def plan_mermaid(plan: Plan) -> str:
    """Return the plan as a ``flowchart LR`` with a subgraph for each BMF node that several nodes share."""
    return "\n".join([*_lines(plan), ""])


def _lines(plan: Plan) -> Iterable[str]:
    # A node name can be a keyword of Mermaid, such as `end`, so nodes are numbered.
    ids = {node.name: f"n{number}" for number, node in enumerate(plan)}
    yield "flowchart LR"
    for number, members in enumerate(bmf_nodes(plan).values()):
        if len(members) == 1:
            yield f"  {_box(ids, members[0])}"
            continue
        yield f'  subgraph g{number}["one BMF node"]'
        for node in members:
            yield f"    {_box(ids, node)}"
        yield "  end"
        yield f"  style g{number} fill:{INK['group']},stroke:{INK['group edge']},color:{INK['label']}"
    for node in plan:
        for ref in node.inputs:
            kind = plan.type_of(ref)
            arrow = "-.->" if isinstance(kind, AudioSpec) else "-->"
            yield f'  {ids[ref.node]} {arrow}|"{_escaped(type_text(kind))}"| {ids[node.name]}'
    for device in sorted({node.device for node in plan}):
        yield _style(device)
        yield f"  class {','.join(ids[node.name] for node in plan if node.device == device)} {device}"


def _box(ids: dict[str, str], node: PlanNode) -> str:
    return f'{ids[node.name]}["<b>{_escaped(node.name)}</b><br/>{_escaped(node.kind)} · {DEVICES[node.device]}"]'


def _style(device: Device) -> str:
    palette = PALETTES[device]
    return f"  classDef {device} fill:{palette.fill},stroke:{palette.strong},color:{INK['name']}"


def _escaped(text: str) -> str:
    """Replace every character that has a meaning in Mermaid by its entity."""
    return _PLAIN.sub(lambda match: f"#{ord(match[0])};", text)
