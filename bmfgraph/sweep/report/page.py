"""A sweep's report as one HTML page that needs nothing else: the verdict, the numbers, and how they came about."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

from bmfgraph.sweep.metrics import Metric, done, measured, median, speed_metric
from bmfgraph.sweep.report.charts import (
    bar_list,
    latency_bars,
    legend_list,
    metric_bars,
    node_bars,
    point_keys,
    scatter_svg,
)
from bmfgraph.sweep.report.html_table import ranked_table
from bmfgraph.sweep.report.markup import Html, copy_button, tag
from bmfgraph.sweep.report.scatter import lay_out
from bmfgraph.sweep.report.text import counted, date_text, states
from bmfgraph.sweep.verdict import Verdict, change, judge, key_metrics, margin

__all__ = ["report_page"]

_WIDE, _NARROW = (1100, 440), (350, 360)
"""Sizes of the plot, for desks and for phones."""


def report_page(report: Mapping[str, Any]) -> str:
    """The whole page. It loads nothing, and its policy forbids it to."""
    verdict = judge(report)
    style, script = _resource("page.css"), _resource("page.js")
    policy = f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}"
    title = f"{report['pipeline']}: {verdict.headline}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("link", rel="icon", href="data:,"),
        tag("style", Html(style)),
    )
    sections = [_verdict(report, verdict), _trade(report, verdict), ranked_table(report, verdict), _times(verdict)]
    main = tag("main", _heading(report), *filter(None, sections), _method(report, verdict), _footer(report))
    return f"<!doctype html>\n{tag('html', head, tag('body', main, tag('script', Html(script))), lang='en')}\n"


def _resource(name: str) -> str:
    return resources.files("bmfgraph.sweep.report").joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _heading(report: Mapping[str, Any]) -> Html:
    machine = report["machine"]
    when = tag("time", date_text(report["created"]), datetime=report["created"])
    facts = [
        machine.get("gpu") or _cpu(machine),
        when,
        f"{counted(len(report['cells']), 'variant')}: {states(report['cells'])}",
    ]
    facts.append(f"{counted(report['repeats'], 'run')} each")
    return tag(
        "header",
        tag("p", "bmfgraph sweep", class_="eyebrow"),
        tag("h1", report["pipeline"]),
        tag("ul", *(tag("li", fact) for fact in facts), class_="facts"),
    )


def _cpu(machine: Mapping[str, Any]) -> str:
    cores = f", {counted(machine['cores'], 'core')}" if machine.get("cores") else ""
    return f"CPU{cores}"


def _section(title: str, about: str, *children: object, class_: str | None = None) -> Html:
    name = title.lower().replace(" ", "-")
    paragraph = [tag("p", about, class_="about")] if about else []
    return tag("section", tag("h2", title, id=name), *paragraph, *children, aria_labelledby=name, class_=class_)


def _command(text: str, what: str) -> Html:
    return tag("div", tag("code", text), copy_button(text, what), class_="command")


# --------------------------------------------------------------------------------------------------------- verdict


def _verdict(report: Mapping[str, Any], verdict: Verdict) -> Html:
    words = [tag("p", reason, class_="why") for reason in verdict.reasons]
    heading = tag("h2", verdict.headline, id="verdict")
    won = verdict.winner
    if won is None:
        return tag("section", heading, *words, class_="verdict none", aria_labelledby="verdict")
    tiles = [tile for metric in key_metrics(report) if (tile := _tile(metric, won, verdict))]
    note = [tag("p", f"Changes are against {verdict.against}.", class_="note")] if verdict.baseline else []
    return tag(
        "section",
        heading,
        *words,
        tag("dl", *tiles, class_="tiles"),
        *note,
        _command(won["command"], "the command of the winner"),
        class_="verdict",
        aria_labelledby="verdict",
    )


def _tile(metric: Metric, won: Mapping[str, Any], verdict: Verdict) -> Html | None:
    value = median(won, metric.name)
    if value is None:
        return None
    text = metric.text(value)
    unit = [tag("span", f" {metric.unit}")] if metric.full(value) != text else []
    base = median(verdict.baseline, metric.name) if verdict.baseline else None
    found = change(metric, value, base) if base is not None else None
    compared = (
        [tag("dd", found.text, class_=f"change {found.kind}", title=f"from {metric.full(base or 0)}")] if found else []
    )
    if distance := margin(verdict.objective, metric, value):
        compared.append(tag("dd", distance.text, class_="change"))
    return tag("div", tag("dt", metric.heading), tag("dd", text, *unit, class_="value"), *compared)


# ---------------------------------------------------------------------------------------------- quality over speed


def _trade(report: Mapping[str, Any], verdict: Verdict) -> Html | None:
    if not done(report["cells"]):
        return None
    wide, narrow = lay_out(report, *_WIDE), lay_out(report, *_NARROW)
    if wide is None or narrow is None:
        metric = speed_metric(report["cells"])
        bars = bar_list(metric_bars(verdict, metric), metric.title)
        return (
            _section("Speed", f"{metric.meaning} Quality was not measured.", bars)
            if measured(done(report["cells"]))
            else None
        )
    about = (
        f"Further right is faster, further up is better. No variant beats one on the line in {wide.y.metric.title} "
        "without being slower."
    )
    return _section(
        "Quality over speed", about, scatter_svg(wide, "wide"), scatter_svg(narrow, "narrow"), point_keys(wide)
    )


# ------------------------------------------------------------------------------------------------ where time goes


def _times(verdict: Verdict) -> Html | None:
    nodes, legend = node_bars(verdict)
    latencies = latency_bars(verdict)
    parts: list[Html] = []
    if nodes:
        about = "Milliseconds a frame. Nodes work side by side: the longest piece, named at the right, sets the pace."
        parts += [
            tag("h3", "Nodes"),
            tag("p", about, class_="about"),
            legend_list(legend),
            bar_list(nodes, "time of each node"),
        ]
    if latencies:
        about = "From decoder to encoder: half of the frames take no longer than the strong bar, then 95 and 99 of 100."
        parts += [tag("h3", "Latency"), tag("p", about, class_="about"), bar_list(latencies, "latency p50, p95, p99")]
    return _section("Where time goes", "", *parts) if parts else None


# -------------------------------------------------------------------------------------------------------- method


def _method(report: Mapping[str, Any], verdict: Verdict) -> Html:
    machine, metrics = report["machine"], measured(report["cells"])
    runs = report["repeats"]
    warm = " after a run to warm up, which does not count" if report.get("warmup", True) else ""
    about = (
        f"Every variant ran {'once' if runs == 1 else f'{runs} times'}{warm}. "
        f"{'Numbers are medians of the runs. ' if runs > 1 else ''}Codes of errors are explained in docs/errors.md."
    )
    packages = ", ".join(f"{name} {version}" for name, version in (machine.get("packages") or {}).items())
    facts = {
        "Objective": str(verdict.objective),
        "Quality against": report.get("reference") or "",
        "GPU": machine.get("gpu") or "none",
        "Machine": f"{machine.get('platform', '')}, {counted(machine.get('cores') or 0, 'core')}",
        "Packages": packages,
        "Ran on": "; ".join(_runners(report["cells"])),
    }
    return _section(
        "How it was measured",
        about,
        _meanings({key: value for key, value in facts.items() if value}),
        *(
            [tag("h3", "What the metrics mean"), _meanings({metric.heading: metric.meaning for metric in metrics})]
            if metrics
            else []
        ),
        tag("h3", "The whole sweep again"),
        _command(shlex.join(report["command"]), "the command of the sweep"),
    )


def _runners(cells: Iterable[Mapping[str, Any]]) -> list[str]:
    """What each node's engine ran on, with the number of variants."""
    found: dict[str, int] = {}
    for cell in cells:
        for node, runner in (cell.get("runs_on") or {}).items():
            found[f"{node}: {runner}"] = found.get(f"{node}: {runner}", 0) + 1
    return [f"{text} ({counted(number, 'variant')})" for text, number in found.items()]


def _meanings(entries: Mapping[str, str]) -> Html:
    return tag(
        "dl",
        *(part for name, text in entries.items() for part in (tag("dt", name), tag("dd", text))),
        class_="meanings",
    )


def _footer(report: Mapping[str, Any]) -> Html:
    return tag(
        "footer", f"bmfgraph {report['bmfgraph']}; the same numbers lie beside this page in report.json and report.csv"
    )
