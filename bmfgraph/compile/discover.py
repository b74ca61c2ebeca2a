"""Look at the world: input files are probed, models fetched and read."""

from __future__ import annotations

from dataclasses import replace

from bmfgraph.compile.each import each
from bmfgraph.plan import Plan

__all__ = ["discover"]


def discover(plan: Plan) -> Plan:
    """Ensures: ``facts`` of every node that depends on something outside the pipeline."""
    return each(plan, lambda _, node: replace(node, facts=node.spec.discover(node.name)))
