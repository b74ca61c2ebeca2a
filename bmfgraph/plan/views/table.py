"""Show a plan as a table in a terminal, one row per node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.views.text import bmf_nodes, node_facts, shapes_text, summary, type_text

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

__all__ = ["plan_table"]


def plan_table(plan: Plan) -> Table:
    """Return the plan as a table of at most 100 columns for the usual names.

    Nodes that share a BMF node have its number and a bracket.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=f"{plan.name}: {summary(plan)}",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for heading in ("node", "kind", "device", "BMF node", "takes → gives"):
        table.add_column(heading, overflow="fold")
    marks = _marks(plan)
    for node in plan:
        style = "green" if node.device == "cuda" else ""
        edges = Text("\n").join(_lines(plan, node))
        table.add_row(Text(node.name, "bold"), Text(node.kind), Text(node.device, style), marks[node.name], edges)
    return table


def _marks(plan: Plan) -> dict[str, str]:
    """Return for every node the number of its BMF node, from 1, and its part of the bracket around a shared one."""
    marks = {}
    for number, members in enumerate(bmf_nodes(plan).values(), 1):
        for node in members:
            part = "┐" if node is members[0] else "┘" if node is members[-1] else "│"
            marks[node.name] = f"{number} {part}" if len(members) > 1 else str(number)
    return marks


def _lines(plan: Plan, node: PlanNode) -> list[Text]:
    """Return the types of a node's inputs and outputs, and below them, dimmed, more facts."""
    from rich.text import Text

    inputs = " + ".join(type_text(plan.type_of(ref)) for ref in node.inputs)
    outputs = " + ".join(type_text(port.type) for port in node.outputs)
    lines = [Text(" → ".join(part for part in (inputs, outputs) if part) if node.inputs else f"→ {outputs}")]
    if not node.outputs:
        lines[0].append(" →")
    return lines + [Text(line, "dim") for line in _more(plan, node)]


def _more(plan: Plan, node: PlanNode) -> list[str]:
    if engine := node.spec.engine_of(node.params):
        return [f"{engine.runtime} {engine.precision}, {shapes_text(engine.input_shapes)}", engine.path]
    return list(node_facts(plan, node)) if not (node.inputs and node.outputs) else []
