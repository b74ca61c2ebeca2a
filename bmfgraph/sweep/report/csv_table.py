"""A sweep's report as a sheet: CSV with a row for each cell."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from typing import Any

from bmfgraph.sweep.metrics import finite, measured
from bmfgraph.sweep.report.text import problem_text, varied_keys

__all__ = ["sheet"]

_PARTS = ("median", "min", "max")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠|%]")
"""How texts begin that a spreadsheet would compute; some forms of these signs are full-width."""


def sheet(report: Mapping[str, Any]) -> str:
    """CSV as RFC 4180 has it: identity, state, what was varied, every metric's median, min and max, error, command.

    Text that a spreadsheet would take for a formula gets an apostrophe in front. A byte order mark leads where there
    are letters beyond ASCII, as Excel asks for. To be written with ``newline=""``.
    """
    cells = report["cells"]
    keys, metrics = varied_keys(cells), measured(cells)
    file = io.StringIO()
    writer = csv.writer(file)
    names = [f"{metric.name}_{part}" for metric in metrics for part in _PARTS]
    writer.writerow(map(_safe, ["id", "status", *keys, *names, "error_code", "error", "command"]))
    for cell in cells:
        values = [cell["metrics"].get(metric.name, {}).get(part) for metric in metrics for part in _PARTS]
        errors = cell["errors"]
        words = [cell["id"], cell["status"], *(cell["varied"].get(key, "") for key in keys)]
        more = [" ".join(error["code"] for error in errors), "\n".join(map(problem_text, errors)), cell["command"]]
        numbers = ["" if (number := finite(value)) is None else f"{number:.12g}" for value in values]
        writer.writerow([*map(_safe, words), *numbers, *map(_safe, more)])
    text = file.getvalue()
    return text if text.isascii() else f"\ufeff{text}"


def _safe(text: str) -> str:
    """The text, unable to run as a formula; plain numbers stay numbers."""
    text = str(text).replace("\0", "�")
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
