"""Draw a plan as a table for a terminal, one row per node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.views.text import hosts, node_facts, shapes_text, summary, type_text

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

__all__ = ["plan_table"]


def plan_table(plan: Plan) -> Table:
    """Return a table that fits into 100 columns; nodes of one BMF node have its number, and a bracket."""
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
        about = Text("\n").join(_lines(plan, node))
        table.add_row(Text(node.name, "bold"), Text(node.kind), Text(node.device, style), marks[node.name], about)
    return table


def _marks(plan: Plan) -> dict[str, str]:
    """The number of each node's BMF node, from 1, with a part of the bracket around nodes that share it."""
    marks = {}
    for number, members in enumerate(hosts(plan).values(), 1):
        for node in members:
            part = "┐" if node is members[0] else "┘" if node is members[-1] else "│"
            marks[node.name] = f"{number} {part}" if len(members) > 1 else str(number)
    return marks


def _lines(plan: Plan, node: PlanNode) -> list[Text]:
    """Inputs and outputs, and further facts in dim text."""
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
