"""`check -m`: the runs of a sweep, each as the sweep itself would check it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bmfgraph.check import as_data, find_problems, show_problems
from bmfgraph.errors import Problem, SpecError
from bmfgraph.plan import Plan
from bmfgraph.say import say
from bmfgraph.sweep.cells import identity
from bmfgraph.sweep.options import sweep_options
from bmfgraph.telling import SCHEMA, show
from bmfgraph.words import title_of

__all__ = ["check_sweep"]


def check_sweep(runs: Iterable[tuple[dict[str, str], dict[str, Any]]], *, as_json: bool = False) -> int:
    """Print what is wrong with each run, for programs as one document; the exit code: 2 with an error, 0 without.

    ``runs``: what is a run's own, key and value, and its configuration.
    """
    if not as_json:
        return max((_shown(varied, data) for varied, data in runs), default=0)
    told = []
    for varied, data in runs:
        plan, problems = _found(data)
        told.append({"run": varied, **as_data(problems, plan)})
    errors, warnings = (sum(one[what] for one in told) for what in ("errors", "warnings"))
    whole = {"schema": SCHEMA, "ok": not errors, "errors": errors, "warnings": warnings, "runs": told}
    show(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", exact=True)
    return 2 if errors else 0


def _shown(varied: dict[str, str], data: dict[str, Any]) -> int:
    say(title_of(varied))
    plan, problems = _found(data)
    return show_problems(problems, plan)


def _found(data: dict[str, Any]) -> tuple[Plan, list[Problem]]:
    """Its files go into the cell's folder."""
    root = Path()
    wrong: tuple[Problem, ...] = ()
    try:
        root = Path(sweep_options(data.get("sweep")).dir)
    except SpecError as error:
        wrong = error.problems
    plan, problems = find_problems(data, root / "cells" / identity(data))
    return plan, [*wrong, *problems]
