"""``plan``: the compiled pipeline as JSON, table, drawing or BMF's own graph, and what differs between two."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bmfgraph.errors import ConfigError
from bmfgraph.files import write_whole
from bmfgraph.plan import Plan
from bmfgraph.survey import compile_job

__all__ = ["FORMS", "diff_job", "plan_job"]

FORMS = {
    "--json": "as JSON, the default: stable, made to be compared",
    "--table": "as a table",
    "--mermaid": "as a Mermaid flowchart, for Markdown",
    "--svg": "as a drawing, to --output or standard output",
    "--png": "as a drawing, to --output",
    "--bmf": "as the graph that BMF's run_bmf_graph takes, if all nodes are BMF's own",
}
_PIPE_WIDTH = 160


def plan_job(data: dict[str, Any], form: str = "--json", output: str | None = None) -> None:
    """Print the plan, or write it to a file. Raises a BmfgraphError."""
    plan = compile_job(data)
    if form == "--png":
        if output is None:
            raise ConfigError("a PNG goes into a file", path="--png", hint="add --output plan.png", code="E114")
        from bmfgraph.views.png import plan_png

        _write(Path(output), plan_png(plan))
        return
    text = _text(plan, form)
    if output is None:
        sys.stdout.write(text)
    else:
        _write(Path(output), text)


def diff_job(one: Mapping[str, Any], other: Mapping[str, Any], *, as_json: bool = False) -> int:
    """Print what differs between the plans of two configurations; exit code 1 where something does, as diff has it."""
    from bmfgraph.views.diff import diff_json, plan_diff

    plans = compile_job(dict(one)), compile_job(dict(other))
    if as_json:
        print(json.dumps(diff_json(*plans), indent=2, ensure_ascii=False))
    else:
        sys.stdout.write(plan_diff(*plans))
    return int(plans[0].as_json() != plans[1].as_json())


def _text(plan: Plan, form: str) -> str:
    if form == "--table":
        from rich.console import Console

        from bmfgraph.views.table import plan_table

        console = Console(
            width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False, markup=False, emoji=False
        )
        with console.capture() as captured:
            console.print(plan_table(plan))
        return captured.get()
    if form == "--mermaid":
        from bmfgraph.views.mermaid import plan_mermaid

        return plan_mermaid(plan)
    if form == "--svg":
        from bmfgraph.views.svg import plan_svg

        return plan_svg(plan)
    if form == "--bmf":
        from bmfgraph.views.bmf import bmf_graph

        return json.dumps(bmf_graph(plan), indent=2) + "\n"
    return json.dumps(plan.as_json(), indent=2) + "\n"


def _write(path: Path, data: str | bytes) -> None:
    try:
        write_whole(path, data)
    except OSError as error:
        raise ConfigError(
            f"{str(path)!r} cannot be written ({error.strerror})",
            path="--output",
            hint="name a file in a folder of yours",
            code="E114",
        ) from None
