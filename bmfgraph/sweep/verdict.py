"""Choose the cell to ship, and explain the choice."""

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
    """The outcome of a sweep."""

    objective: Objective
    order: tuple[Ranked, ...]
    """All cells, best first."""
    winner: Mapping[str, Any] | None
    baseline: Mapping[str, Any] | None
    """The cell that the winner is compared with."""
    against: str
    """Name of the baseline, and its role."""
    headline: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """The difference between two values as a short text, and whether it is an improvement."""

    text: str
    kind: Literal["better", "worse", "same"]


def judge(report: Mapping[str, Any]) -> Verdict:
    """Rank the cells of a report, and choose the one to ship."""
    objective = objective_of(report)
    order = tuple(rank(report["cells"], objective))
    winner = order[0].cell if order and order[0].rank == 1 else None
    if winner is None:
        headline, reasons = _without_winner(order, objective)
        return Verdict(objective, order, None, None, "", headline, reasons)
    baseline, role = _baseline(order, winner)
    against = f"{shortened(variant(baseline), 80)}, {role}" if baseline else ""
    reasons = tuple(filter(None, (_reason(order, objective), _caution(order, objective), _cost(report, winner))))
    return Verdict(objective, order, winner, baseline, against, f"Ship {shortened(variant(winner), 80)}", reasons)


def quality_of(report: Mapping[str, Any]) -> Metric | None:
    """Return the metric that represents quality in a report: one of the objective's, if it has one."""
    return quality_metric(report["cells"], [condition.metric for condition in objective_of(report).conditions])


def key_metrics(report: Mapping[str, Any]) -> list[Metric]:
    """Return the metrics that matter most: those of the objective, speed, quality, latency and memory."""
    objective, cells = objective_of(report), report["cells"]
    quality = quality_of(report)
    names = [objective.metric, speed_metric(cells).name, *([quality.name] if quality else [])]
    names += [condition.metric for condition in objective.conditions]
    return [METRICS[name] for name in dict.fromkeys([*names, "latency_p95_ms", memory_metric(cells).name])]


def change(metric: Metric, value: float, base: float) -> Change | None:
    """Compare a value with a base.

    Args:
        metric: The metric of both.
        value: The value.
        base: The value of the baseline.

    Returns:
        The change as a factor, in percent, or for metrics of quality as a difference; None if one of the two outputs is
        identical to the reference.
    """
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
    """Return the distance of a value from the bound that the objective sets for its metric, if it meets one."""
    for condition in objective.conditions:
        distance = abs(value - condition.number)
        if condition.metric == metric.name and metric.text(value) != "identical" and condition.holds(value):
            return Change(f"{distance:.{metric.digits}f} {metric.unit}".rstrip() + " to spare", "better")
    return None


def _signed(number: float, digits: int) -> str:
    return f"{number:+.{digits}f}".replace("-", "−")


def _baseline(order: Sequence[Ranked], winner: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, str]:
    """Return the reference, else the first fp32 cell, else the second best; and its role."""
    done = [ranked.cell for ranked in order if ranked.cell["status"] == "ok"]
    others = [cell for cell in done if cell is not winner]
    if winner.get("is_reference"):
        return next(iter(others), None), "the next best"
    for cell in others:
        if cell.get("is_reference") and winner.get("compared_with") in (None, cell["id"]):
            return cell, "the reference"
    if "fp32" not in winner["varied"].values():
        for cell in others:
            if "fp32" in cell["varied"].values():
                return cell, "the best in fp32"
    return next(iter(others), None), "the next best"


def _reason(order: Sequence[Ranked], objective: Objective) -> str:
    metric, value = METRICS[objective.metric], median(order[0].cell, objective.metric)
    fit = sum(ranked.rank is not None for ranked in order)
    extreme = "highest" if objective.direction == "max" else "lowest"
    conditions = " and ".join(condition.text for condition in objective.conditions)
    among = f"{counted(fit, 'variant')} that {'keeps' if fit == 1 else 'keep'} {conditions}" if conditions else ""
    if fit == 1:
        among = f"It is the only one of {counted(len(order), 'variant')} that "
        return f"{among}{f'keeps {conditions}' if conditions else 'ran'}: {metric.full(value or 0)}."
    return f"The {extreme} {metric.title}, {metric.full(value or 0)}, of the {among or counted(fit, 'variant')}."


def _caution(order: Sequence[Ranked], objective: Objective) -> str:
    """Return a caution if the runs of the two best cells overlap."""
    if len(order) < 2 or order[1].rank is None:
        return ""
    first, second = (spread(ranked.cell, objective.metric) for ranked in order[:2])
    if first and second and first[0] <= second[1] and second[0] <= first[1]:
        return f"{variant(order[1].cell)} is as good within the spread of the runs."
    return ""


def _cost(report: Mapping[str, Any], winner: Mapping[str, Any]) -> str:
    """Return the quality of a winner that was chosen without a condition on quality."""
    quality, objective = quality_of(report), objective_of(report)
    if quality is None or any(METRICS[part.metric].perfect is not None for part in objective.conditions):
        return ""
    value = median(winner, quality.name)
    has = f"its {quality.title} is {quality.full(value)}" if value is not None else f"its {quality.title} is unknown"
    return f"No quality was asked for; {has}. Set one with sweep.objective='{objective} where {quality.name}>=…'."


def _without_winner(order: Sequence[Ranked], objective: Objective) -> tuple[str, tuple[str, ...]]:
    cells = [ranked.cell for ranked in order]
    done = [cell for cell in cells if cell["status"] == "ok"]
    if not order:
        return "Nothing was run", ()
    if not done:
        problems = Counter((error["code"], error["message"]) for cell in cells for error in cell["errors"][:1])
        common = [
            f"{code} {shortened(message, 160)} ({counted(number, 'variant')})".lstrip()
            for (code, message), number in problems.most_common(3)
        ]
        return "No variant ran", (f"{counted(len(order), 'variant')}: {states(cells)}.", *common)
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
