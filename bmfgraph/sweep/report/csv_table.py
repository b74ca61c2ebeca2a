"""Write the report of a sweep as CSV, one row per cell."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from typing import Any

from bmfgraph.sweep.metrics import finite, measured
from bmfgraph.sweep.report.text import problem_text, varied_keys

__all__ = ["csv_table", "safe_cell"]

_PARTS = ("median", "min", "max")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠|%]")
"""The start of a text that a spreadsheet would compute; some of these signs have full-width forms."""


def csv_table(report: Mapping[str, Any]) -> str:
    """Return a report as CSV (RFC 4180).

    The columns are the identity, the state, the varied keys, median, min and max of every metric, the errors and the
    command. Text that a spreadsheet would take for a formula gets an apostrophe in front. A byte order mark leads if
    there are letters beyond ASCII, because Excel needs it.

    Args:
        report: The report of a sweep.

    Returns:
        The text, to be written with ``newline=""``.
    """
    cells = report["cells"]
    keys, metrics = varied_keys(cells), measured(cells)
    file = io.StringIO()
    writer = csv.writer(file)
    names = [f"{metric.name}_{part}" for metric in metrics for part in _PARTS]
    writer.writerow(map(safe_cell, ["id", "status", *keys, *names, "error_code", "error", "command"]))
    for cell in cells:
        values = [cell["metrics"].get(metric.name, {}).get(part) for metric in metrics for part in _PARTS]
        errors = cell["errors"]
        words = [cell["id"], cell["status"], *(cell["varied"].get(key, "") for key in keys)]
        more = [" ".join(error["code"] for error in errors), "\n".join(map(problem_text, errors)), cell["command"]]
        numbers = ["" if (number := finite(value)) is None else f"{number:.12g}" for value in values]
        writer.writerow([*map(safe_cell, words), *numbers, *map(safe_cell, more)])
    text = file.getvalue()
    return text if text.isascii() else f"\ufeff{text}"


def safe_cell(text: str) -> str:
    """Return the text so that it cannot run as a formula; plain numbers stay numbers."""
    text = str(text).replace("\0", "�")
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
