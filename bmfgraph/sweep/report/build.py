"""The end of a sweep: results judged and ranked, and written as JSON, CSV and one HTML page."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bmfgraph import __version__
from bmfgraph.config.sweep import SweepOptions
from bmfgraph.errors import BmfgraphError, ConfigError
from bmfgraph.sweep.cells import CELL, RESULT, failed, read_json
from bmfgraph.sweep.objective import parse_objective
from bmfgraph.sweep.references import find_references, quality
from bmfgraph.sweep.report.csv_table import sheet
from bmfgraph.sweep.report.page import report_page
from bmfgraph.sweep.report.terminal import closing_text, report_table
from bmfgraph.system.console import say
from bmfgraph.system.files import write_whole
from bmfgraph.system.machine import find_libraries, find_machine

__all__ = ["finish", "gather", "objective_of", "write_report"]

SCHEMA = 1
_PIPE_WIDTH = 200


def finish(
    root: Path,
    folders: Sequence[Path],
    options: SweepOptions,
    command: Sequence[str],
    dropped: Mapping[str, str] | None = None,
) -> int:
    """Judge and report the cells in those folders; exit code 1 if one has no result. Raises a BmfgraphError.

    ``dropped``: ids of cells that were left out on the way, and why.
    """
    report = gather(
        folders,
        options.reference,
        options.objective,
        command,
        repeats=options.repeats,
        warmup=options.warmup,
        dropped=dropped,
    )
    write_report(root, report)
    return int(any(cell["status"] not in ("ok", "skipped") for cell in report["cells"]))


def write_report(root: Path, report: dict[str, Any]) -> None:
    """Write report.json, report.csv and report.html, and print the table. Raises BmfgraphError."""
    texts = {"report.json": json.dumps(report, indent=2, ensure_ascii=False) + "\n", "report.csv": sheet(report)}
    texts["report.html"] = report_page(report)
    for name, text in texts.items():
        try:
            root.mkdir(parents=True, exist_ok=True)
            write_whole(root / name, text)
        except OSError as error:
            raise BmfgraphError(
                f"the report {str(root / name)!r} cannot be written ({error.strerror})",
                path="sweep.dir",
                hint="name a folder of yours, and make room",
                code="E805",
            ) from None
    _show(report)
    say(f"report: {root / 'report.html'}")


def _show(report: Mapping[str, Any]) -> None:
    from rich.console import Console

    # Into a pipe or a file there is no width to keep to.
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False, markup=False, emoji=False)
    console.print(report_table(report))
    console.print(closing_text(report))


def gather(
    folders: Sequence[Path],
    reference: str | None,
    objective: str | None,
    command: Sequence[str],
    *,
    repeats: int,
    warmup: bool,
    dropped: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The report of these cells, as plain data."""
    results = [(folder, _result(folder)) for folder in folders]
    references, file = find_references(reference, [result for _, result in results])
    by_id = {result["id"]: result for _, result in results}
    cells = []
    for folder, result in results:
        cell = {key: value for key, value in result.items() if key not in ("fingerprint", "overrides", "settings")}
        other = by_id.get(references.get(result["id"], ""))
        if dropped and result["id"] in dropped and result["status"] == "ok":
            # What it made is a part, and is compared with no whole.
            cell["status"] = "skipped"
            cell["errors"] = [{"code": "", "where": "", "message": dropped[result["id"]], "hint": ""}]
        elif result["status"] == "ok":
            cell["metrics"] = {**cell["metrics"], **_quality(folder, result, other, file, bool(references))}
        others = {"is_reference": result["id"] in references.values(), "compared_with": other and other["id"]}
        cells.append(cell | others)
    machine = find_machine()
    return {
        "schema": SCHEMA,
        "bmfgraph": __version__,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": list(command),
        "pipeline": _pipeline(folders),
        "objective": objective,
        # From wherever the report is made again.
        "asked": str(file.absolute()) if file and reference and Path(reference).exists() else reference,
        "reference": _named(cells, reference, file),
        "repeats": repeats,
        "warmup": warmup,
        "machine": {
            "platform": platform.platform(),
            "cores": len(os.sched_getaffinity(0)),
            "gpu": str(machine.gpu) if machine.gpu else None,
            "packages": {library.module: library.version for library in find_libraries()},
        },
        "cells": cells,
    }


def _quality(
    folder: Path, result: Mapping[str, Any], other: Mapping[str, Any] | None, file: Path | None, by_cells: bool
) -> dict[str, Any]:
    """Metrics of a cell's outputs against its own reference, that of all, or another cell; says why there are none."""
    why = ""
    if result.get("reference"):
        found, why = quality(folder, result, Path(result["reference"]))
    elif file is not None:
        found, why = quality(folder, result, file)
    elif other is not None and other["status"] == "ok":
        found, why = quality(folder, result, other["outputs"])
    else:
        found = {}
        if by_cells:
            why = f"{other['id']}, which it is compared with, has none itself" if other else "no cell is its like"
    # Who only measures speed, with `encoder=measure`, need not be told of every cell.
    if why and result["outputs"]:
        say(f"{folder.name}: no quality: {why}")
    return found


def _result(folder: Path) -> dict[str, Any]:
    """Of a cell; one that was never run to its end has none of its own."""
    found = read_json(folder / RESULT)
    if found is not None:
        # They lie beside it, from whatever folder the sweep was started.
        return found | {"outputs": {node: str(folder / Path(path).name) for node, path in found["outputs"].items()}}
    described = read_json(folder / CELL)
    if described is None:
        raise ConfigError(f"{str(folder)!r} holds no cell of a sweep", hint="name a sweep's folder", code="E114")
    return failed(described, [{"code": "E806", "where": "", "message": "it was not run to its end", "hint": ""}])


def _pipeline(folders: Sequence[Path]) -> str:
    described = (read_json(folder / CELL) for folder in folders)
    return ", ".join(sorted({str(one["data"]["pipeline"]["name"]) for one in described if one}))


def _named(cells: Sequence[Mapping[str, Any]], reference: str | None, file: Path | None) -> str | None:
    """What outputs were measured against, for the user."""
    chosen = [cell for cell in cells if cell["is_reference"]]
    if len(chosen) == 1:
        return " ".join(f"{key}={value}" for key, value in chosen[0]["varied"].items())
    if chosen:
        return f"{'engine=fp32' if reference == 'auto' else reference}, with the rest alike"
    return str(file) if file else ("the input, which was reduced" if reference == "input" else None)


def objective_of(folder: Path, result: Mapping[str, Any] | None, options: SweepOptions) -> float | None:
    """The metric that is asked for, of one cell; NaN where it has none or misses a condition, None where none is asked
    for. A condition on what only another cell can tell counts as met.
    """
    if not options.objective:
        return None
    objective = parse_objective(options.objective)
    if result is None or result["status"] != "ok":
        return math.nan
    file = Path(result["reference"]) if result.get("reference") else Path(options.reference or "")
    found = quality(folder, result, file)[0] if file.is_file() else {}
    known = {name: float(one["median"]) for name, one in {**result["metrics"], **found}.items()}
    met = all(one.holds(known[one.metric]) for one in objective.conditions if one.metric in known)
    return known.get(objective.metric, math.nan) if met else math.nan
