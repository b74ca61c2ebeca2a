"""What follows from a sweep: the cell to ship, why, and how it compares with what it replaces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bmfgraph.sweep.metrics import METRICS, Metric, median, memory_metric, quality_metric, speed_metric, spread
from bmfgraph.sweep.objective import Objective, Ranked, objective_of, rank
from bmfgraph.sweep.report.text import states, variant
from bmfgraph.system.text import counted, shortened

__all__ = ["Change", "Verdict", "change", "judge", "key_metrics", "margin", "quality_of"]


@dataclass(frozen=True)
class Verdict:
    """The outcome in words. ``baseline`` is what the winner is compared with; ``against`` says what that is."""

    objective: Objective
    order: tuple[Ranked, ...]
    winner: Mapping[str, Any] | None
    baseline: Mapping[str, Any] | None
    against: str
    headline: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """How one value compares with another: a short text, and whether that is good."""

    text: str
    kind: Literal["better", "worse", "same"]


def judge(report: Mapping[str, Any]) -> Verdict:
    """Rank the cells of a report and say what to ship."""
    objective = objective_of(report)
    order = tuple(rank(report["cells"], objective))
    won = order[0].cell if order and order[0].rank == 1 else None
    if won is None:
        headline, reasons = _without_winner(order, objective)
        return Verdict(objective, order, None, None, "", headline, reasons)
    baseline, role = _baseline(order, won)
    against = f"{shortened(variant(baseline), 80)}, {role}" if baseline else ""
    reasons = tuple(filter(None, (_why(order, objective, report), _how_sure(order, objective), _cost(report, won))))
    return Verdict(objective, order, won, baseline, against, f"Ship {shortened(variant(won), 80)}", reasons)


def quality_of(report: Mapping[str, Any]) -> Metric | None:
    """The metric of quality that this report is about."""
    return quality_metric(report["cells"], [condition.metric for condition in objective_of(report).conditions])


def key_metrics(report: Mapping[str, Any]) -> list[Metric]:
    """The few metrics that tell most: what the objective names, speed, quality, latency and memory."""
    objective, cells = objective_of(report), report["cells"]
    quality = quality_of(report)
    names = [objective.metric, speed_metric(cells).name, *([quality.name] if quality else [])]
    names += [condition.metric for condition in objective.conditions]
    return [METRICS[name] for name in dict.fromkeys([*names, "latency_p95_ms", memory_metric(cells).name])]


def change(metric: Metric, value: float, base: float) -> Change | None:
    """The value beside a base: as a factor, in percent, or for quality as a difference, if there is one to be told."""
    if metric.text(value) == metric.text(base):
        return Change("the same", "same")
    kind: Literal["better", "worse", "same"] = "better" if (value - base) * metric.sign() > 0 else "worse"
    if metric.perfect is not None:
        if "identical" in (metric.text(value), metric.text(base)):
            return None
        return Change(f"{_signed(value - base, metric.digits)} {metric.unit}".rstrip(), kind)
    if base <= 0 or value <= 0:
        return Change(f"from {metric.full(base)}", kind)
    factor = value / base
    if factor >= 1.5 or factor <= 1 / 1.5:
        return Change(f"{factor:.{2 if factor < 1 else 1 if factor < 10 else 0}f}×", kind)
    if abs(factor - 1) < 0.01:
        return Change(f"{_signed(100 * (factor - 1), 1)} %", "same")
    return Change(f"{_signed(100 * (factor - 1), 0)} %", kind)


def margin(objective: Objective, metric: Metric, value: float) -> Change | None:
    """How far a value is from what the objective asks of it at least, or at most."""
    for condition in objective.conditions:
        distance = abs(value - condition.number)
        if condition.metric == metric.name and metric.text(value) != "identical" and condition.holds(value):
            return Change(f"{distance:.{metric.digits}f} {metric.unit}".rstrip() + " to spare", "better")
    return None


def _signed(number: float, digits: int) -> str:
    return f"{number:+.{digits}f}".replace("-", "−")


def _baseline(order: Sequence[Ranked], won: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, str]:
    """The reference, else the first fp32 cell, else the runner-up."""
    done = [one.cell for one in order if one.cell["status"] == "ok"]
    others = [cell for cell in done if cell is not won]
    if won.get("is_reference"):
        return next(iter(others), None), "the next best"
    for cell in others:
        if cell.get("is_reference") and won.get("compared_with") in (None, cell["id"]):
            return cell, "the reference"
    if "fp32" not in won["varied"].values():
        for cell in others:
            if "fp32" in cell["varied"].values():
                return cell, "the best in fp32"
    return next(iter(others), None), "the next best"


def _why(order: Sequence[Ranked], objective: Objective, report: Mapping[str, Any]) -> str:
    metric, value = METRICS[objective.metric], median(order[0].cell, objective.metric)
    fit = sum(one.rank is not None for one in order)
    extreme = "highest" if objective.direction == "max" else "lowest"
    conditions = " and ".join(condition.text for condition in objective.conditions)
    among = f"{counted(fit, 'variant')} that {'keeps' if fit == 1 else 'keep'} {conditions}" if conditions else ""
    if fit == 1:
        among = f"It is the only one of {counted(len(order), 'variant')} that "
        return f"{among}{f'keeps {conditions}' if conditions else 'ran'}: {metric.full(value or 0)}."
    return f"The {extreme} {metric.title}, {metric.full(value or 0)}, of the {among or counted(fit, 'variant')}."


def _how_sure(order: Sequence[Ranked], objective: Objective) -> str:
    """A caution where the runs of the two best overlap."""
    if len(order) < 2 or order[1].rank is None:
        return ""
    first, second = (spread(one.cell, objective.metric) for one in order[:2])
    if first and second and first[0] <= second[1] and second[0] <= first[1]:
        return f"{variant(order[1].cell)} is as good within the spread of the runs."
    return ""


def _cost(report: Mapping[str, Any], won: Mapping[str, Any]) -> str:
    """What nobody asked about: the quality of a winner that was chosen for its speed alone."""
    quality, objective = quality_of(report), objective_of(report)
    if quality is None or any(METRICS[one.metric].perfect is not None for one in objective.conditions):
        return ""
    value = median(won, quality.name)
    has = f"its {quality.title} is {quality.full(value)}" if value is not None else f"its {quality.title} is unknown"
    return f"No quality was asked for; {has}. Set one with sweep.objective='{objective} where {quality.name}>=…'."


def _without_winner(order: Sequence[Ranked], objective: Objective) -> tuple[str, tuple[str, ...]]:
    done = [one for one in order if one.cell["status"] == "ok"]
    cells = [one.cell for one in order]
    if not order:
        return "Nothing was run", ()
    if not done:
        problems = Counter((error["code"], error["message"]) for cell in cells for error in cell["errors"][:1])
        told = [
            f"{code} {shortened(message, 160)} ({counted(number, 'variant')})".lstrip()
            for (code, message), number in problems.most_common(3)
        ]
        return "No variant ran", (f"{counted(len(order), 'variant')}: {states(cells)}.", *told)
    reasons = [f"{len(done)} of {counted(len(order), 'variant')} ran; none of them meets {objective}."]
    for condition in objective.conditions:
        values = [value for cell in cells if (value := median(cell, condition.metric)) is not None]
        metric = METRICS[condition.metric]
        if not values:
            reasons.append(f"{metric.title} was not measured.")
        elif not any(map(condition.holds, values)):
            nearest = min(values, key=lambda value: abs(value - condition.number))
            reasons.append(f"{condition.text} is out of reach: the nearest is {metric.full(nearest)}.")
    return "No variant meets the objective", tuple(reasons)
