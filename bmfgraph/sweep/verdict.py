"""Choose the cell to ship, and explain the choice."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from bmfgraph.sweep.equal import EQUAL
from bmfgraph.sweep.metrics import METRICS, Metric, median, memory_metric, quality_metric, runs_of, speed_metric
from bmfgraph.sweep.objective import Condition, Objective, Ranked, objective_of, rank
from bmfgraph.sweep.report.text import states, variant
from bmfgraph.system.text import counted, shortened

__all__ = ["Change", "Verdict", "change", "judge", "key_metrics", "margin", "quality_of"]

_ONCE = ("inference_fps", "build_s")
"""Metrics that are measured once, however many runs a cell has."""


@dataclass(frozen=True)
class Verdict:
    """The outcome of a sweep."""

    objective: Objective
    order: tuple[Ranked, ...]
    """All cells, best first."""
    choice: Mapping[str, Any] | None
    """The cell to ship: the winner, or one of several that are as good."""
    tied: tuple[Mapping[str, Any], ...]
    """The cells that are as good as the choice, within the spread of the runs."""
    decided: bool
    """Whether the choice is better than every other cell."""
    baseline: Mapping[str, Any] | None
    """The cell that the winner is compared with."""
    against: str
    """Name of the baseline, and its role."""
    headline: str
    reasons: tuple[str, ...]

    @property
    def winner(self) -> Mapping[str, Any] | None:
        """The cell that is better than every other one; None if there is no such cell."""
        return self.choice if self.decided else None


@dataclass(frozen=True)
class Change:
    """The difference between two values as a short text, and whether it is an improvement."""

    text: str
    kind: Literal["better", "worse", "same"]


def judge(report: Mapping[str, Any]) -> Verdict:
    """Rank the cells of a report, and choose the one to ship."""
    objective = objective_of(report)
    order = tuple(rank(report["cells"], objective))
    equal = _equal_cells(report)
    if not order or order[0].rank != 1:
        headline, reasons = _without_winner(order, objective)
        return Verdict(objective, order, None, (), False, None, "", headline, (*reasons, *equal))
    choice = order[0].cell
    tied = tuple(ranked.cell for ranked in order[1:] if ranked.rank == 1)
    baseline, role = _baseline(order, choice)
    against = f"{shortened(variant(baseline), 80)}, {role}" if baseline else ""
    alone = bool(equal) and all(ranked.cell["status"] == "same" for ranked in order[1:])
    reasons = (
        *equal,
        "" if alone else _reason(order, objective, tied),
        "" if alone else _caution(order, objective, tied),
        "" if alone else _cost(report, choice),
    )
    decided = not tied and not alone
    headline = _headline(order, objective, tied) if not alone else "No difference here"
    return Verdict(objective, order, choice, tied, decided, baseline, against, headline, tuple(filter(None, reasons)))


def _headline(order: Sequence[Ranked], objective: Objective, tied: Sequence[Mapping[str, Any]]) -> str:
    if tied:
        names = ", ".join(variant(cell) for cell in (order[0].cell, *tied))
        return f"Ship any of {len(tied) + 1} that are as good: {shortened(names, 80)}"
    single = " (one repeat: no spread known)" if _spread_unknown(order, objective) else ""
    return f"Ship {shortened(variant(order[0].cell), 80)}{single}"


def _spread_unknown(order: Sequence[Ranked], objective: Objective) -> bool:
    """Whether a comparison rests on a single run of a metric that differs from run to run."""
    fit = [ranked.cell for ranked in order if ranked.rank is not None]
    single = any(len(runs_of(cell, objective.metric)) < 2 for cell in fit)
    return len(fit) > 1 and METRICS[objective.metric].varies and single


def _equal_cells(report: Mapping[str, Any]) -> list[str]:
    """Say which cells were not run, because they do the same on this machine as another one."""
    names = {cell["id"]: variant(cell) for cell in report["cells"]}
    groups: dict[str, list[str]] = {}
    for cell in report["cells"]:
        if cell["status"] == "same":
            groups.setdefault(cell["same_as"], []).append(variant(cell))
    return [
        f"{EQUAL[0].upper()}{EQUAL[1:]}: {shortened(', '.join(others), 80)} "
        f"{'does' if len(others) == 1 else 'do'} the same on this machine as {names.get(first, first)}, which ran once."
        for first, others in groups.items()
    ]


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


def _reason(order: Sequence[Ranked], objective: Objective, tied: Sequence[Mapping[str, Any]]) -> str:
    metric, value = METRICS[objective.metric], median(order[0].cell, objective.metric)
    fit = sum(ranked.rank is not None for ranked in order)
    extreme = "highest" if objective.direction == "max" else "lowest"
    conditions = " and ".join(condition.text for condition in objective.conditions)
    among = f"{counted(fit, 'variant')} that {'keeps' if fit == 1 else 'keep'} {conditions}" if conditions else ""
    if fit == 1:
        among = f"It is the only one of {counted(len(order), 'variant')} that "
        return f"{among}{f'keeps {conditions}' if conditions else 'ran'}: {metric.full(value or 0)}."
    values = [median(cell, objective.metric) or 0 for cell in (order[0].cell, *tied)]
    if tied and metric.text(min(values)) != metric.text(max(values)):
        text = f"{metric.text(min(values))} to {metric.full(max(values))}"
    else:
        text = metric.full(value or 0)
    return f"The {extreme} {metric.title}, {text}, of the {among or counted(fit, 'variant')}."


def _caution(order: Sequence[Ranked], objective: Objective, tied: Sequence[Mapping[str, Any]]) -> str:
    """Say that the best cells do not differ, or that their spread is not known."""
    metric = METRICS[objective.metric]
    if tied and metric.varies:
        return "Within the spread of the runs they are as good: the 95 % confidence intervals of their means overlap."
    if tied:
        return f"Their {metric.title} is the same."
    if _spread_unknown(order, objective):
        once = "One repeat" if metric.name not in _ONCE else f"The {metric.title} is measured once"
        advice = "" if metric.name in _ONCE else " sweep.repeats=5 tells."
        return f"{once}: no spread known, so that a small difference may be noise.{advice}"
    return ""


def _cost(report: Mapping[str, Any], choice: Mapping[str, Any]) -> str:
    """Return the quality of a cell that was chosen without a condition on quality."""
    quality, objective = quality_of(report), objective_of(report)
    asked = [objective.metric, *(condition.metric for condition in objective.conditions)]
    if quality is None or any(METRICS[name].perfect is not None for name in asked):
        return ""
    value = median(choice, quality.name)
    if value is None:
        return f"No quality was asked for; its {quality.title} is unknown."
    text = f"No quality was asked for; its {quality.title} is {quality.full(value)}."
    if value == quality.perfect:
        return text
    scale = 10**quality.digits
    if quality.better == "higher":
        limit = Condition(quality.name, ">=", math.floor(value * scale) / scale)
    else:
        limit = Condition(quality.name, "<=", math.ceil(value * scale) / scale)
    advice = replace(objective, conditions=(*objective.conditions, limit))
    return f"{text} Set a limit, such as sweep.objective='{advice}'."


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
    if all(median(cell, objective.metric) is None for cell in done):
        reasons.append(f"{METRICS[objective.metric].title} was not measured.")
    for condition in objective.conditions:
        values = [value for cell in cells if (value := median(cell, condition.metric)) is not None]
        metric = METRICS[condition.metric]
        if not values:
            reasons.append(f"{metric.title} was not measured.")
        elif not any(map(condition.holds, values)):
            nearest = min(values, key=lambda value: abs(value - condition.number))
            reasons.append(f"{condition.text} is out of reach: the nearest is {metric.full(nearest)}.")
    return "No variant meets the objective", tuple(reasons)
