"""A plan as a Mermaid flowchart, which GitHub and many wikis draw."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.types import AudioSpec, Device
from bmfgraph.plan.views.drawing import INK, PALETTES
from bmfgraph.plan.views.text import DEVICES, hosts, type_text

__all__ = ["plan_mermaid"]

_PLAIN = re.compile(r"[^\w .,:/()+·→-]")


def plan_mermaid(plan: Plan) -> str:
    """The plan as a ``flowchart LR``: a subgraph for each BMF node that several nodes share."""
    return "\n".join([*_lines(plan), ""])


def _lines(plan: Plan) -> Iterable[str]:
    # Names of the user's could be words of Mermaid's, such as `end`.
    ids = {node.name: f"n{number}" for number, node in enumerate(plan)}
    yield "flowchart LR"
    for number, members in enumerate(hosts(plan).values()):
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
    tint = PALETTES[device]
    return f"  classDef {device} fill:{tint.fill},stroke:{tint.strong},color:{INK['name']}"


def _escaped(text: str) -> str:
    """With Mermaid's entities for all that could end a text, or mean something in it."""
    return _PLAIN.sub(lambda match: f"#{ord(match[0])};", text)
