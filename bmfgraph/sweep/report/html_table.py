"""The ranked table of a sweep's page: numbers with their spread, the best of each column, and what failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bmfgraph.sweep.metrics import METRICS, Metric, done, measured, median, spread
from bmfgraph.sweep.objective import Ranked
from bmfgraph.sweep.report.markup import Html, copy_button, joined, tag
from bmfgraph.sweep.report.text import problem_text, shortened, variant
from bmfgraph.sweep.verdict import Verdict, key_metrics

__all__ = ["ranked_table"]


def ranked_table(report: Mapping[str, Any], verdict: Verdict) -> Html | None:
    """The section of the page with a row for each cell and a column for each metric; None without cells."""
    cells = report["cells"]
    if not cells:
        return None
    metrics = measured(done(cells))
    first = [metric for metric in dict.fromkeys([*key_metrics(report), METRICS["fps"]]) if metric in metrics]
    columns = first + [metric for metric in metrics if metric not in first]
    best = {metric.name: _best(metric, cells) for metric in columns}
    more = {metric.name for metric in columns[len(first) :]}
    head = [
        _heading_cell("#", "", "ascending", sorted_by=True),
        _heading_cell("Variant", "", "ascending", class_="variant"),
    ]
    for metric in columns:
        order = "descending" if metric.better == "higher" else "ascending"
        hidden = "more" if metric.name in more else None
        head.append(_heading_cell(metric.heading, metric.unit, order, class_=hidden, title=metric.meaning))
    if not columns:
        head.append(tag("th", tag("span", "error", class_="unseen"), scope="col"))
    head.append(tag("th", tag("span", "command", class_="unseen"), scope="col"))
    places = {cell["id"]: place for place, cell in enumerate(cells)}
    rows = [_row(one, verdict, columns, best, more, places[one.cell["id"]]) for one in verdict.order]
    caption = tag("caption", "All variants, best first", class_="unseen")
    table = tag("table", caption, tag("thead", tag("tr", *head)), tag("tbody", *rows))
    switch = (
        [tag("input", type="checkbox", id="all"), tag("label", "all metrics", for_="all", class_="switch")]
        if more
        else []
    )
    scroll = tag("div", table, class_="scroll", tabindex=0, role="region", aria_label="All variants")
    return tag(
        "section",
        *switch,
        tag("h2", "All variants", id="all-variants"),
        tag("p", *_about_table(report, verdict), class_="about"),
        scroll,
        aria_labelledby="all-variants",
    )


def _about_table(report: Mapping[str, Any], verdict: Verdict) -> Iterable[object]:
    yield from ("Ranked by ", tag("code", str(verdict.objective)), ". ")
    if done(report["cells"]):
        yield "The best of each column is green; a heading sorts. "
    if report["repeats"] > 1 and done(report["cells"]):
        yield "The small numbers are the least and the greatest of the runs. "
    if any(cell.get("kept") for cell in report["cells"]):
        yield "What is kept was measured by an earlier sweep."


def _heading_cell(
    text: str, unit: str, first: str, *, sorted_by: bool = False, class_: str | None = None, title: str | None = None
) -> Html:
    below = [tag("small", unit)] if unit else []
    order = first if sorted_by else None
    button = tag("button", text, type="button", title=title, aria_label="rank" if text == "#" else None)
    return tag("th", button, *below, scope="col", data_first=first, aria_sort=order, class_=class_)


def _best(metric: Metric, cells: Iterable[Mapping[str, Any]]) -> str | None:
    """The best value as it is shown; None where all cells are alike."""
    values = [value for cell in cells if (value := median(cell, metric.name)) is not None]
    texts = {metric.text(value) for value in values}
    return metric.text(max(values, key=lambda value: value * metric.sign())) if len(texts) > 1 else None


def _row(
    one: Ranked,
    verdict: Verdict,
    columns: Sequence[Metric],
    best: Mapping[str, str | None],
    more: set[str],
    place: int,
) -> Html:
    cell, won = one.cell, one.cell is verdict.winner
    rank = tag("td", str(one.rank) if one.rank else "–", data_sort=one.rank or "")
    copy = tag("td", copy_button(cell["command"], f"the command of {variant(cell)}"))
    if cell["status"] != "ok":
        error = tag("td", _errors(cell), class_="error", colspan=max(1, len(columns) - len(more)))
        rest = [tag("td", class_="more", colspan=len(more))] if more else []
        return tag("tr", rank, _name(one, won, place), error, *rest, copy, data_failed=True, data_id=cell["id"])
    numbers = (_number(metric, cell, best[metric.name], metric.name in more) for metric in columns)
    kind = "won" if won else "unfit" if one.violations else None
    return tag("tr", rank, _name(one, won, place), *numbers, copy, class_=kind, data_id=cell["id"])


def _name(one: Ranked, won: bool, place: int) -> Html:
    cell = one.cell
    chips = {
        "winner": won,
        "reference": cell.get("is_reference"),
        cell["status"]: cell["status"] != "ok",
        "kept": cell.get("kept"),
    }
    marks = [joined([" ", tag("span", chip, class_=f"chip {chip}")]) for chip, true in chips.items() if true]
    violations = [tag("small", miss, class_="misses") for miss in one.violations]
    words = " ".join(f"{key}={value}" for key, value in cell["varied"].items())
    return tag("th", variant(cell), *marks, *violations, scope="row", class_="variant", title=words, data_sort=place)


def _number(metric: Metric, cell: Mapping[str, Any], best: str | None, hidden: bool) -> Html:
    value, found = median(cell, metric.name), spread(cell, metric.name)
    kinds = ["more"] if hidden else []
    if value is None:
        return tag("td", "–", data_sort="", class_=" ".join(kinds) or None)
    text = metric.text(value)
    is_best = text == best
    range_ = [metric.text(end) for end in found] if found else []
    small = [tag("small", f"{range_[0]}–{range_[1]}")] if len(set(range_)) > 1 else []
    said = [tag("span", " (best)", class_="unseen")] if is_best else []
    number = tag("span", text, *said, class_="best") if is_best else text
    return tag("td", number, *small, data_sort=f"{value:.12g}", class_=" ".join(kinds) or None)


def _errors(cell: Mapping[str, Any]) -> Html:
    errors = cell["errors"]
    if not errors:
        return joined(["no reason is known"])
    first, *others = errors
    message = str(first.get("message") or cell["status"])
    summary = shortened(message, 110)
    told = [tag("p", tag("small", first["where"]))] if first.get("where") else []
    told += [tag("p", message)] if summary != message else []
    told += _hint(first)
    for error in others:
        told += [tag("p", *_code(error), problem_text(error)), *_hint(error)]
    said = [*_code(first), summary]
    return tag("details", tag("summary", *said), *told) if told else joined(said)


def _hint(error: Mapping[str, Any]) -> list[Html]:
    return [tag("p", f"→ {error['hint']}")] if error.get("hint") else []


def _code(error: Mapping[str, Any]) -> list[object]:
    return [tag("code", error["code"]), " "] if error.get("code") else []
