"""Measure contenders that take turns, and print a table of each row."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

Contenders = Mapping[str, Callable[[], float]]


@dataclass(frozen=True)
class Row:
    """Contenders to compare: the first one with each of the others."""

    title: str
    unit: str
    """``fps``, where more is better, or ``s`` or ``µs``, where less is better."""
    contenders: Contenders
    scaling: bool = False
    """True: a ratio is a contender's speed divided by the first one's. False: it is the first one's divided by it."""
    goals: Mapping[str, float] = field(default_factory=dict)
    """Least ratio by contender."""


@dataclass(frozen=True)
class Figure:
    """A line of the table."""

    row: str
    contender: str
    value: float
    unit: str
    ratio: float
    goal: float | None


def figures(row: Row, rounds: int) -> list[Figure]:
    """Measure the contenders of a row in turn."""
    taken = [{name: measure() for name, measure in row.contenders.items()} for _ in range(rounds)]
    first = next(iter(row.contenders))
    reverse = row.scaling != (row.unit != "fps")

    def ratio(one: Mapping[str, float], name: str) -> float:
        return one[name] / one[first] if reverse else one[first] / one[name]

    return [
        Figure(
            row.title,
            name,
            statistics.median(one[name] for one in taken),
            row.unit,
            statistics.median(ratio(one, name) for one in taken),
            row.goals.get(name),
        )
        for name in row.contenders
    ]


def table(lines: list[Figure]) -> str:
    """Return a Markdown table for each row."""
    text = ""
    for title in dict.fromkeys(line.row for line in lines):
        own = [line for line in lines if line.row == title]
        text += f"\n**{title}**\n\n| | {own[0].unit} | ratio | goal |\n|---|---:|---:|---:|\n"
        for line in own:
            goal = f"{line.goal:.2f}" if line.goal else ""
            value = f"{line.value:,.0f}" if line.value >= 100 else f"{line.value:.3g}"
            text += f"| {line.contender} | {value} | {line.ratio:.2f} | {goal} |\n"
    return text


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add the options of the files that ``measure`` writes."""
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--markdown", type=Path, help="file for the table")


def measure(rows: Iterable[Row], rounds: int, options: argparse.Namespace) -> None:
    """Measure the rows, print each table as it comes, and write the files that the options name."""
    lines: list[Figure] = []
    for row in rows:
        measured = figures(row, rounds)
        lines += measured
        print(table(measured), flush=True)
    for path in filter(None, (options.json, options.markdown)):
        path.parent.mkdir(parents=True, exist_ok=True)
    if options.json:
        options.json.write_text(json.dumps([asdict(line) for line in lines], indent=2, ensure_ascii=False) + "\n")
    if options.markdown:
        options.markdown.write_text(table(lines).lstrip("\n"))
