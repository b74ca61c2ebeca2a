"""Make the report of sweeps again: the verb ``report``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bmfgraph.cli.arguments import Parser
from bmfgraph.errors import BmfgraphError, ConfigError
from bmfgraph.sweep.cells import CELL, RESULT, read_json
from bmfgraph.sweep.objective import parse_objective
from bmfgraph.sweep.report.build import gather, write_report
from bmfgraph.system.console import print_problems

__all__ = ["report_command"]

_EXAMPLES = """\
examples
  python -m bmfgraph report outputs/sweeps/super_resolution --objective "fps where psnr_y>=45"
  python -m bmfgraph report sweeps/monday sweeps/tuesday --output sweeps/both

exit codes: 0 done, 2 wrong words
"""


def report_command(words: Sequence[str]) -> int:
    """``report DIR...``: the report of sweeps that lie in those folders, made again from what is on disk.

    Raises ConfigError for words without sense.
    """
    options = _options(words)
    if isinstance(options, int):
        return options
    roots = [Path(word) for word in dict.fromkeys(map(os.path.normpath, options.dirs))]
    cells = {root: _cells_in(root) for root in roots}
    folders = [folder for root in roots for folder in cells[root]]
    try:
        if empty := [str(root) for root in roots if not cells[root]]:
            raise ConfigError(
                f"there is no cell of a sweep in {', '.join(map(repr, empty))}",
                hint="name a folder that a sweep has made, such as outputs/sweeps/super_resolution",
                code="E114",
            )
        before = next((one for root in roots if (one := _before(root))), {})
        objective = options.objective or before.get("objective")
        if objective:
            parse_objective(objective)
        command = before.get("command") or ["python", "-m", "bmfgraph", "report", *words]
        wanted = options.reference or before.get("asked", "auto")
        report = gather(
            folders,
            wanted,
            objective,
            command,
            repeats=int(before.get("repeats", 1)),
            warmup=bool(before.get("warmup", True)),
            dropped={one: why for root in roots for one, why in _dropped(root).items()},
        )
        write_report(Path(options.output) if options.output else roots[0], report)
    except BmfgraphError as error:
        print_problems(error.problems)
        return error.exit_code
    return 0


def _options(words: Sequence[str]) -> argparse.Namespace | int:
    parser = Parser(
        prog="python -m bmfgraph report",
        description="Make a sweep's report.json, report.csv and report.html again, or one of several sweeps together.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dirs", metavar="DIR", nargs="+", help="folder of a sweep")
    parser.add_argument("--output", metavar="DIR", help="where the report goes (default: the first folder)")
    parser.add_argument("--objective", metavar="TEXT", help="such as 'fps where psnr_y>=45'")
    parser.add_argument("--reference", metavar="TEXT", help="a clip, labels, or overrides of a cell")
    try:
        return parser.read(words, ["--output", "--objective", "--reference", "--help"])
    except SystemExit:
        # Its help is shown.
        return 0


def _cells_in(root: Path) -> list[Path]:
    """The cells of a sweep's last report, or all that lie there."""
    there = [path for path in sorted(root.glob("cells/*")) if read_json(path / CELL) or read_json(path / RESULT)]
    last = {cell["id"] for cell in _before(root).get("cells", [])}
    return [folder for folder in there if folder.name in last] or there


def _dropped(root: Path) -> dict[str, str]:
    """The cells that a sweep left out on the way, and why."""
    skipped = (cell for cell in _before(root).get("cells", []) if cell["status"] == "skipped")
    return {cell["id"]: cell["errors"][0]["message"] for cell in skipped}


def _before(root: Path) -> dict[str, Any]:
    return read_json(root / "report.json") or {}
