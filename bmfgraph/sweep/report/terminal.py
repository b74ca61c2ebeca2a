"""Show the report of a sweep in a terminal: a ranked table, and the command of the winner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bmfgraph.sweep.equal import EQUAL
from bmfgraph.sweep.metrics import METRICS, Metric, median
from bmfgraph.sweep.objective import Ranked
from bmfgraph.sweep.report.text import left_out_text, shipped_command, states, variant, varied_keys
from bmfgraph.sweep.verdict import Verdict, judge, key_metrics

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

__all__ = ["closing_text", "report_table"]

_KEYS = 3
"""More keys than this share a column."""
_STYLES = {"ok": "", "failed": "red", "crashed": "bold red", "refused": "yellow", "skipped": "dim"}


def report_table(report: Mapping[str, Any]) -> Table:
    """Return the cells in their order as a table, at most 100 columns wide for two or three keys."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    verdict, keys, metrics = judge(report), varied_keys(report["cells"]), _columns(report)
    together = not 0 < len(keys) <= _KEYS
    table = Table(
        title=Text(f"{report['pipeline']}: {states(report['cells'])}"),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("#", justify="right", no_wrap=True)
    for heading in ["variant"] if together else [key.rpartition(".")[2] for key in keys]:
        table.add_column(Text(heading), overflow="fold")
    for metric in metrics:
        table.add_column(Text(f"{_short(metric)}\n{metric.unit}"), justify="right", no_wrap=True)
    table.add_column("state", overflow="fold")
    for ranked in verdict.order:
        won = ranked.cell is verdict.winner
        values = [variant(ranked.cell)] if together else [str(ranked.cell["varied"].get(key, "")) for key in keys]
        table.add_row(
            f"{'★ ' * won}{ranked.rank or '–'}",
            *map(Text, values),
            *(_number(metric, ranked.cell) for metric in metrics),
            _state(ranked, verdict),
            style="bold green" if won else "" if ranked.rank else "dim" if ranked.violations else "",
        )
    return table


def closing_text(report: Mapping[str, Any]) -> Text:
    """Return the verdict, and the command of the winner on a line of its own, ready to be copied."""
    from rich.text import Text

    verdict = judge(report)
    text = Text(verdict.headline, "bold green" if verdict.choice else "bold yellow")
    for reason in verdict.reasons:
        text.append(f"\n{reason}", "default not bold")
    if (choice := verdict.choice) is not None:
        text.append(f"\n\n{shipped_command(choice)}", "cyan not bold")
        if note := left_out_text(choice):
            text.append(f"\n\n{note} The cell as it was measured:", "default not bold")
            text.append(f"\n{choice['command']}", "cyan not bold")
    return text


def _columns(report: Mapping[str, Any]) -> list[Metric]:
    """Return the key metrics that at least one cell has."""
    wanted = dict.fromkeys([*key_metrics(report), METRICS["fps"]])
    return [metric for metric in wanted if any(median(cell, metric.name) is not None for cell in report["cells"])]


def _short(metric: Metric) -> str:
    """Return a heading of one or two short words."""
    words = {"fps": "whole", "steady_fps": "steady", "inference_fps": "engine", "peak_rss_mb": "memory"}
    return words.get(metric.name, metric.title.replace("latency ", "").replace("peak ", "").replace(" memory", ""))


def _number(metric: Metric, cell: Mapping[str, Any]) -> str:
    value = median(cell, metric.name)
    return "–" if value is None else metric.text(value)


def _state(ranked: Ranked, verdict: Verdict) -> Text:
    from rich.text import Text

    cell = ranked.cell
    if cell["status"] == "same":
        others = (variant(other.cell) for other in verdict.order if other.cell["id"] == cell["same_as"])
        return Text(f"{EQUAL}: same as {next(others, cell['same_as'])}", "dim")
    if cell["status"] != "ok":
        code = cell["errors"][0]["code"] if cell["errors"] else ""
        return Text(f"{cell['status']} {code}".rstrip(), _STYLES.get(cell["status"], "red"))
    words = ["winner"] if cell is verdict.winner else []
    words += ["as good"] if verdict.tied and ranked.rank == 1 else []
    words += ["reference"] if cell.get("is_reference") else []
    words += ["kept"] if cell.get("kept") else []
    return Text("\n".join(ranked.violations), "yellow") if ranked.violations else Text(", ".join(words) or "ok")
