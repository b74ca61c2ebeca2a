"""Write the report of sweeps again: the verb ``report``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.errors import BmfgraphError, ConfigError
from bmfgraph.sweep.files import CELL, RESULT, read_json
from bmfgraph.sweep.objective import parse_objective
from bmfgraph.sweep.report.build import gather, write_report
from bmfgraph.system.console import print_problems

__all__ = ["report_command"]


def report_command(
    folders: Sequence[str], *, output: str | None = None, objective: str | None = None, reference: str | None = None
) -> int:
    """Write the report of sweeps again from what is on disk, and return the exit code.

    Args:
        folders: Folders of sweeps.
        output: Folder of the report; by default the first of ``folders``.
        objective: The metric to optimise, such as ``fps where psnr_y>=45``; by default that of the last report.
        reference: A clip, labels, or overrides of a cell; by default that of the last report.
    """
    roots = [Path(folder) for folder in dict.fromkeys(map(os.path.normpath, folders))]
    cells = {root: _cells_in(root) for root in roots}
    try:
        if empty := [str(root) for root in roots if not cells[root]]:
            raise ConfigError(
                f"no cell of a sweep in {', '.join(map(repr, empty))}",
                hint="name a folder that a sweep wrote, such as outputs/sweeps/super_resolution",
                code=codes.INVALID_ARGUMENT,
            )
        last = next((report for root in roots if (report := _last_report(root))), {})
        objective = objective or last.get("objective")
        if objective:
            parse_objective(objective)
        report = gather(
            [folder for root in roots for folder in cells[root]],
            reference or last.get("asked", "auto"),
            objective,
            last.get("command") or ["python", "-m", "bmfgraph", "report", *folders],
            repeats=int(last.get("repeats", 1)),
            warmup=bool(last.get("warmup", True)),
            dropped={cell: reason for root in roots for cell, reason in _dropped(root).items()},
        )
        write_report(Path(output) if output else roots[0], report)
    except BmfgraphError as error:
        print_problems(error.problems)
        return error.exit_code
    return 0


def _cells_in(root: Path) -> list[Path]:
    """List the folders of the last report's cells, or of all cells."""
    folders = [path for path in sorted(root.glob("cells/*")) if not path.is_symlink()]
    present = [path for path in folders if read_json(path / CELL) or read_json(path / RESULT)]
    last_cells = {cell["id"] for cell in _last_report(root).get("cells", [])}
    return [folder for folder in present if folder.name in last_cells] or present


def _dropped(root: Path) -> dict[str, str]:
    """Return the cells that a sweep left out, and why."""
    skipped = (cell for cell in _last_report(root).get("cells", []) if cell["status"] == "skipped")
    return {cell["id"]: cell["errors"][0]["message"] for cell in skipped if cell["errors"]}


def _last_report(root: Path) -> dict[str, Any]:
    return read_json(root / "report.json") or {}
