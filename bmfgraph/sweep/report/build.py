"""Judge the cells of a sweep, and write the report as JSON, CSV and one HTML page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bmfgraph import __version__, error_codes as codes
from bmfgraph.config.overrides import title_of
from bmfgraph.config.sweep import SweepOptions
from bmfgraph.errors import BmfgraphError, ConfigError
from bmfgraph.runner.report import machine_section
from bmfgraph.sweep.cells import failed_result
from bmfgraph.sweep.files import CELL, REPORTS, RESULT, claim, read_json, write_file
from bmfgraph.sweep.objective import parse_objective
from bmfgraph.sweep.references import find_references, quality
from bmfgraph.sweep.report.csv_table import csv_table
from bmfgraph.sweep.report.page import report_page
from bmfgraph.sweep.report.terminal import closing_text, report_table
from bmfgraph.sweep.verdict import judge
from bmfgraph.system.console import say, stdout_console
from bmfgraph.system.machine import find_machine

__all__ = ["finish", "gather", "objective_of", "write_report"]

SCHEMA = 1
"""Version of report.json."""
_PIPE_WIDTH = 200


def finish(
    root: Path,
    folders: Sequence[Path],
    options: SweepOptions,
    command: Sequence[str],
    dropped: Mapping[str, str] | None = None,
) -> int:
    """Judge the cells of a sweep and write its report.

    Args:
        root: Folder of the report.
        folders: Folders of the cells.
        options: The options of the sweep.
        command: The command line of the sweep.
        dropped: The reason for each cell, by id, that the sweep left out on its way.

    Returns:
        The exit code: 1 if a cell has no result.

    Raises:
        BmfgraphError: The report cannot be made or written.
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
    return int(any(cell["status"] not in ("ok", "same", "skipped") for cell in report["cells"]))


def write_report(root: Path, report: dict[str, Any]) -> None:
    """Write report.json, report.csv and report.html into a folder, and print the table.

    Raises:
        BmfgraphError: A file cannot be written, or the folder holds a file of this name that is no report.
    """
    claim(root, REPORTS)
    contents = (
        json.dumps(report | {"verdict": _decision(report)}, indent=2, ensure_ascii=False) + "\n",
        csv_table(report),
        report_page(report),
    )
    for name, text in zip(REPORTS, contents, strict=True):
        try:
            write_file(root / name, text)
        except OSError as error:
            raise BmfgraphError(
                f"the report {str(root / name)!r} cannot be written ({error.strerror})",
                path="sweep.dir",
                hint="name a folder of yours, and make room",
                code=codes.UNWRITTEN_REPORT,
            ) from None
    console = stdout_console(_PIPE_WIDTH)
    console.print(report_table(report))
    # A terminal breaks long lines itself; a line break within a command could not be copied.
    console.print(closing_text(report), soft_wrap=True)
    say(f"report: {root / 'report.html'}")


def _decision(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the verdict as plain data."""
    verdict = judge(report)
    choice = verdict.choice or {}
    return {
        "headline": verdict.headline,
        "reasons": list(verdict.reasons),
        "winner": verdict.winner and verdict.winner["id"],
        "as_good": [cell["id"] for cell in verdict.tied],
        "command": choice.get("ship") or choice.get("command"),
        "left_out": choice.get("left_out", []),
        "measured_by": choice.get("command"),
        "ranks": {ranked.cell["id"]: ranked.rank for ranked in verdict.order},
    }


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
    """Make the report of a sweep.

    Args:
        folders: Folders of the cells.
        reference: The option ``sweep.reference``.
        objective: The option ``sweep.objective``.
        command: The command line of the sweep.
        repeats: Measured runs of each cell.
        warmup: Whether a run went before them.
        dropped: The reason for each cell, by id, that the sweep left out on its way.

    Returns:
        The report as plain data, as in report.json.

    Raises:
        BmfgraphError: A folder is not a cell, or the reference does not fit.
    """
    results = [(folder, _result(folder)) for folder in folders]
    references, file = find_references(reference, [result for _, result in results])
    by_id = {result["id"]: result for _, result in results}
    # A cell that does the same as another one has no output of its own.
    same = {result["id"]: result["same_as"] for _, result in results if result["status"] == "same"}
    references = {cell: same.get(other, other) for cell, other in references.items()}
    cells = []
    for folder, result in results:
        cell = {key: value for key, value in result.items() if key not in ("fingerprint", "overrides", "settings")}
        other = by_id.get(references.get(result["id"], ""))
        if dropped and result["id"] in dropped and result["status"] == "ok":
            # Its output is only a part, so it cannot be compared with a whole one.
            cell["status"] = "skipped"
            cell["errors"] = [{"code": "", "where": "", "message": dropped[result["id"]], "hint": ""}]
        elif result["status"] == "ok":
            cell["metrics"] = {**cell["metrics"], **_quality(folder, result, other, file, bool(references))}
        is_reference = result["id"] in references.values()
        others = {"is_reference": is_reference, "compared_with": other and other["id"]}
        cells.append(cell | others)
    return {
        "schema": SCHEMA,
        "bmfgraph": __version__,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": list(command),
        "pipeline": _pipeline(folders),
        "objective": objective,
        # An absolute path, because the report can be made again from another folder.
        "asked": str(file.absolute()) if file and reference and Path(reference).exists() else reference,
        "reference": _named(cells, reference, file),
        "repeats": repeats,
        "warmup": warmup,
        "machine": machine_section(find_machine().gpu),
        "cells": cells,
    }


def _quality(
    folder: Path, result: Mapping[str, Any], other: Mapping[str, Any] | None, file: Path | None, by_cells: bool
) -> dict[str, Any]:
    """Measure a cell's outputs against its own reference, the common one, or another cell; log why if that fails."""
    target: Any = None
    if result.get("reference"):
        target = Path(result["reference"])
    elif file is not None:
        target = file
    elif other is not None and other["status"] == "ok":
        target = other["outputs"]
    metrics: dict[str, Any] = {}
    reason = ""
    if target is not None:
        metrics, reason = quality(folder, result, target)
    elif by_cells:
        reason = f"{other['id']}, which it is compared with, has none itself" if other else "no cell is its like"
    # A sweep of speed alone (`encoder=measure`) has no outputs, and needs no message for each cell.
    if reason and result["outputs"]:
        say(f"{title_of(result['varied'])}: no quality: {reason}")
    return metrics


def _result(folder: Path) -> dict[str, Any]:
    """Read the result of a cell; a cell that did not run to its end counts as failed."""
    result = read_json(folder / RESULT)
    if result is not None:
        # A copied folder is another cell. Outputs lie beside the result; their paths are relative to the folder where
        # the sweep was started.
        outputs = {node: str(folder / Path(path).name) for node, path in result["outputs"].items()}
        return result | {"id": folder.name, "outputs": outputs}
    described = read_json(folder / CELL)
    if described is None:
        raise ConfigError(
            f"{str(folder)!r} holds no cell of a sweep", hint="name a sweep's folder", code=codes.INVALID_ARGUMENT
        )
    return failed_result(
        described, [{"code": codes.CELL_CRASH, "where": "", "message": "it was not run to its end", "hint": ""}]
    )


def _pipeline(folders: Sequence[Path]) -> str:
    described = (read_json(folder / CELL) for folder in folders)
    return ", ".join(sorted({cell["pipeline"] for cell in described if cell}))


def _named(cells: Sequence[Mapping[str, Any]], reference: str | None, file: Path | None) -> str | None:
    """Describe what the outputs were compared with."""
    chosen = [cell for cell in cells if cell["is_reference"]]
    if len(chosen) == 1:
        return " ".join(f"{key}={value}" for key, value in chosen[0]["varied"].items())
    if chosen:
        return f"{'engine=fp32' if reference == 'auto' else reference}, with the rest alike"
    return str(file) if file else ("the input, which was reduced" if reference == "input" else None)


def objective_of(folder: Path, result: Mapping[str, Any] | None, options: SweepOptions) -> float | None:
    """Compute the objective of one cell, for a sweeper.

    A condition on a metric that needs another cell counts as met.

    Args:
        folder: The folder of the cell.
        result: Its result, or None.
        options: The options of the sweep.

    Returns:
        The metric of the objective; NaN if the cell has none or violates a condition; None without an objective.
    """
    if not options.objective:
        return None
    objective = parse_objective(options.objective)
    if result is not None and result["status"] == "same":
        folder = folder.with_name(result["same_as"])
        result = read_json(folder / RESULT)
    if result is None or result["status"] != "ok":
        return math.nan
    file = Path(result["reference"]) if result.get("reference") else Path(options.reference or "")
    measured = quality(folder, result, file)[0] if file.is_file() else {}
    known = {name: float(parts["median"]) for name, parts in {**result["metrics"], **measured}.items()}
    met = all(part.holds(known[part.metric]) for part in objective.conditions if part.metric in known)
    return known.get(objective.metric, math.nan) if met else math.nan
