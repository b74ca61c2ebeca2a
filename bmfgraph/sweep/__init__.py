"""Run many variants of a pipeline, compare them and recommend one.

``run_sweep`` checks all cells, builds their engines, runs each in its own process (``sweep.worker``), compares outputs
with a reference, and ranks the cells by an ``Objective``. ``sweep.report`` writes the table, the page and the JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmfgraph.system.lazy import lazy_names

if TYPE_CHECKING:
    from bmfgraph.sweep.objective import Objective, parse_objective
    from bmfgraph.sweep.run import cell_job, run_sweep
    from bmfgraph.sweep.verdict import Verdict, judge

__all__ = [
    "Objective",
    "Verdict",
    "cell_job",
    "judge",
    "parse_objective",
    "run_sweep",
]

__getattr__ = lazy_names(
    __name__,
    {
        "objective": ("Objective", "parse_objective"),
        "run": ("cell_job", "run_sweep"),
        "verdict": ("Verdict", "judge"),
    },
)
