"""Find the cells of a sweep that do the same on this machine, such as precisions that a CPU does not have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bmfgraph import error_codes as codes
from bmfgraph.errors import Problem
from bmfgraph.plan.plan import Plan
from bmfgraph.runner.outputs import with_output_folder

__all__ = ["EQUAL", "FALLBACKS", "equal_work", "no_difference", "work_hash"]

EQUAL = "no difference here"
FALLBACKS = (codes.CPU_FALLBACK, codes.PRECISION_FALLBACK)
"""Warnings that say why a machine does something else than requested."""


def work_hash(plan: Plan) -> str:
    """Return a hash that is equal for cells that do the same work, wherever they write its results."""
    return with_output_folder(plan, Path()).hash()


def equal_work(plans: Sequence[Plan], warnings: Sequence[Sequence[Problem]]) -> dict[int, int]:
    """Find the plans that do the same as another one.

    Args:
        plans: The plans of some cells.
        warnings: The warnings of each cell. The cell with the fewest stands for all that do the same, since it asks
            for what the machine does.

    Returns:
        The number of the plan that stands for it, by number, for each plan that another one stands for.
    """
    groups: dict[str, list[int]] = {}
    for number, plan in enumerate(plans):
        groups.setdefault(work_hash(plan), []).append(number)
    firsts = ((group, min(group, key=lambda number: len(warnings[number]))) for group in groups.values())
    return {number: first for group, first in firsts for number in group if number != first}


def no_difference(title: str, other: str, warnings: Sequence[Problem]) -> Problem:
    """Describe a cell that does the same as another one.

    Args:
        title: The overrides of the cell.
        other: The overrides of the cell that stands for it.
        warnings: The warnings of the cell.
    """
    reasons = [problem.message for problem in warnings if problem.code in FALLBACKS]
    reason = "; ".join(dict.fromkeys(reasons)) or "their plans are equal"
    return Problem(
        title,
        f"{EQUAL}: does the same on this machine as {other}, and runs only once ({reason})",
        codes.EQUAL_CELLS,
        "leave it out, or compare the two on a machine where they differ",
    )
