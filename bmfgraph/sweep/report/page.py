"""Render the report of a sweep as one HTML page that loads nothing: the verdict, the numbers, and the method."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from bmfgraph.sweep.metrics import METRICS, Metric, done, measured, median, speed_metric, spread
from bmfgraph.sweep.report.bars import latency_bars, metric_bars, node_bars
from bmfgraph.sweep.report.scatter import SIZE, lay_out
from bmfgraph.sweep.report.text import date_text, left_out_text, problem_text, shipped_command, states, variant
from bmfgraph.sweep.verdict import Verdict, change, judge, key_metrics, margin
from bmfgraph.system.text import counted, printable, shortened

__all__ = ["printable_data", "rendered_page", "report_page"]

_SIZES = (1100, 440), (350, 360)
"""Width and height of the scatter plot in px, for wide and for narrow screens."""


@dataclass(frozen=True)
class _Column:
    """A column of the ranked table. ``best``: the best value as text, or None if all cells are equal."""

    metric: Metric
    hidden: bool
    best: str | None


def report_page(report: Mapping[str, Any]) -> str:
    """Return the HTML page of a report.

    Args:
        report: As ``build.gather`` makes it, or as read from report.json.

    Returns:
        The page. Its content security policy forbids it to load anything.
    """
    report = printable_data(report)
    verdict, cells = judge(report), report["cells"]
    speed = speed_metric(cells)
    nodes, legend = node_bars(verdict)
    plots = [lay_out(report, *size) for size in _SIZES]
    functions = (
        *(change, counted, date_text, left_out_text, margin, median, problem_text),
        *(shipped_command, shortened, spread, states, variant),
    )
    return rendered_page(
        "bmfgraph.sweep.report:page.html",
        {function.__name__: function for function in functions},
        verb="sweep",
        title=report["pipeline"],
        headline=verdict.headline,
        script=_resource("bmfgraph.sweep.report:page.js"),
        report=report,
        verdict=verdict,
        machine=_machine(report["machine"]),
        key_metrics=key_metrics(report),
        plots=plots if all(plots) else [],
        font_size=SIZE,
        speed=speed,
        speed_bars=metric_bars(verdict, speed) if measured(done(cells)) else [],
        columns=_columns(report),
        done=done(cells),
        node_bars=nodes,
        node_legend=legend,
        latency_bars=latency_bars(verdict),
        method=_method(report),
        facts=_facts(report, verdict),
        metrics={metric.heading: metric.meaning for metric in measured(cells)},
        sweep_command=shlex.join(report["command"]),
    )


def rendered_page(
    template: str, functions: Mapping[str, Any], *, styles: str = "", script: str = "", **values: Any
) -> str:
    """Render a page in the style of the reports. It loads nothing, and its content security policy forbids it.

    Args:
        template: Package and name of the template, with a colon between them. It extends ``base.html``.
        functions: Functions for the template.
        styles: Further rules of CSS.
        script: The page's script.
        values: Values for the template, and for its base: ``verb``, ``title`` and ``headline``.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    style = _resource("bmfgraph.sweep.report:page.css") + styles
    environment = Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        loader=FunctionLoader(_resource),
    )
    environment.filters["px"] = lambda number: f"{number:.6g}"
    environment.globals.update(functions)
    policy = f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}"
    return environment.get_template(template).render(
        style=Markup(style), script=Markup(script), policy=policy, **values
    )


def _resource(place: str) -> str:
    package, _, name = place.partition(":")
    return resources.files(package).joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def printable_data(value: Any) -> Any:
    """Clean all texts in plain data."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable_data(key): printable_data(part) for key, part in value.items()}
    return [printable_data(part) for part in value] if isinstance(value, list | tuple) else value


def _columns(report: Mapping[str, Any]) -> list[_Column]:
    """Return the measured metrics, the most important first; the others are hidden at first."""
    metrics = measured(done(report["cells"]))
    first = [metric for metric in dict.fromkeys([*key_metrics(report), METRICS["fps"]]) if metric in metrics]
    columns = first + [metric for metric in metrics if metric not in first]
    return [_Column(metric, metric not in first, _best(metric, report["cells"])) for metric in columns]


def _best(metric: Metric, cells: Iterable[Mapping[str, Any]]) -> str | None:
    values = [value for cell in cells if (value := median(cell, metric.name)) is not None]
    equal = len({metric.text(value) for value in values}) < 2
    return None if equal else metric.text(max(values, key=lambda value: value * metric.sign()))


def _machine(machine: Mapping[str, Any]) -> str:
    cores = f", {counted(machine['cores'], 'core')}" if machine.get("cores") else ""
    return machine.get("gpu") or f"CPU{cores}"


def _method(report: Mapping[str, Any]) -> str:
    runs = report["repeats"]
    times = "once" if runs == 1 else f"{runs} times"
    warmup = " after a run to warm up, which does not count" if report.get("warmup", True) else ""
    medians = (
        "Numbers are medians of the runs. Variants share a rank if the 95 % confidence intervals of their means "
        "(Student's t) overlap. "
        if runs > 1
        else "One repeat: no spread known. "
    )
    return f"Every variant ran {times}{warmup}. {medians}Codes of errors are explained in docs/errors.md."


def _facts(report: Mapping[str, Any], verdict: Verdict) -> dict[str, str]:
    machine = report["machine"]
    packages = (f"{name} {version}" for name, version in (machine.get("packages") or {}).items())
    facts = {
        "Objective": str(verdict.objective),
        "Quality against": report.get("reference") or "",
        "GPU": machine.get("gpu") or "none",
        "Machine": f"{machine.get('platform', '')}, {counted(machine.get('cores') or 0, 'core')}",
        "Packages": ", ".join(packages),
        "Ran on": "; ".join(_runners(report["cells"])),
    }
    return {name: text for name, text in facts.items() if text}


def _runners(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what each node's engine ran on, with the number of variants."""
    runners = Counter(f"{node}: {runner}" for cell in cells for node, runner in (cell.get("runs_on") or {}).items())
    return [f"{text} ({counted(number, 'variant')})" for text, number in runners.items()]
