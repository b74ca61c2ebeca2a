"""Write the summary of a batch: JSON, a row for each clip as CSV, and a page."""

from __future__ import annotations

import csv
import heapq
import json
import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.batches.journal import Journal, Row
from bmfgraph.errors import BmfgraphError
from bmfgraph.sweep.report.csv_table import safe_cell
from bmfgraph.sweep.report.page import printable_data, rendered_page
from bmfgraph.sweep.report.text import date_text
from bmfgraph.system.console import say
from bmfgraph.system.files import write_whole
from bmfgraph.system.temporary import publish, reserved

__all__ = ["write_summary"]

SCHEMA = 1
"""Version of the summary."""
_LISTED = 200
"""Failures in the summary; the table of clips has all."""
_SLOWEST = 10
_SHOWN = 20
"""Failures on the terminal."""
_COLUMNS = (
    "place",
    "input",
    "state",
    "frames",
    "seconds",
    "video_seconds",
    "attempts",
    "error_code",
    "error",
    "outputs",
)


def write_summary(journal: Journal, pipeline: str, began: float) -> None:
    """Write ``summary.json``, ``clips.csv`` and ``index.html`` into a folder beside the journal, and list failures.

    Args:
        journal: The journal.
        pipeline: Name of the pipeline.
        began: Time of the batch's start, in seconds since 1970.

    Raises:
        BmfgraphError: A file cannot be written.
    """
    folder = journal.path.with_suffix("")
    counts, (frames, video) = journal.counts(), journal.totals()
    failures: list[dict[str, Any]] = []
    by_code: Counter[str] = Counter()
    for row in journal.rows("failed"):
        by_code[row.problems[0].code if row.problems else ""] += 1
        if len(failures) < _LISTED:
            failures.append(_failure(row))
    slowest = heapq.nlargest(_SLOWEST, journal.rows("done"), key=lambda row: row.seconds)
    seconds = time.time() - began
    summary = {
        "schema": SCHEMA,
        "pipeline": pipeline,
        "began": _text(began),
        "ended": _text(began + seconds),
        "seconds": seconds,
        "clips": {state: counts.get(state, 0) for state in ("done", "kept", "failed", "waiting")},
        "frames": frames,
        "video_seconds": video,
        "codes": dict(by_code.most_common()),
        "failures": failures,
        "slowest": [
            {"clip": row.clip, "frames": row.frames, "seconds": row.seconds, "fps": row.frames / max(row.seconds, 1e-9)}
            for row in slowest
        ],
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "summary.json", json.dumps(summary, indent=2) + "\n")
        _write_table(journal, folder / "clips.csv")
        write_whole(folder / "index.html", _page(summary))
    except OSError as error:
        raise BmfgraphError(
            f"the summary in {str(folder)!r} cannot be written ({error.strerror}); the clips are complete",
            hint="make room on the disk, or name another journal",
            code=codes.UNWRITTEN_REPORT,
        ) from None
    for failure in failures[:_SHOWN]:
        say(f"failed: {failure['clip']}: {failure['code']}: {failure['message']}")
    if len(failures) > _SHOWN:
        say(f"failed: {sum(by_code.values()) - _SHOWN:,} more, see {folder / 'clips.csv'}")
    say(f"{pipeline}: {_headline(summary)}; summary: {folder / 'index.html'}")


def _failure(row: Row) -> dict[str, Any]:
    problem = row.problems[0] if row.problems else None
    return {
        "clip": row.clip,
        "code": problem.code if problem else "",
        "message": str(problem) if problem else "",
        "hint": problem.hint if problem else "",
        "attempts": row.attempts,
    }


def _write_table(journal: Journal, path: Path) -> None:
    with reserved(path) as part:
        with part.open("w", encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            table = csv.writer(file)
            table.writerow(_COLUMNS)
            for row in journal.rows():
                problem = row.problems[0] if row.problems else None
                numbers = (row.frames, f"{row.seconds:.3f}", f"{row.video:.3f}", row.attempts)
                texts = (problem.code if problem else "", str(problem) if problem else "", "\n".join(row.writes))
                table.writerow([row.place, safe_cell(row.clip), row.state, *numbers, *map(safe_cell, texts)])
        publish(part, path, overwrite=True)


def _page(summary: Mapping[str, Any]) -> str:
    summary = printable_data(summary)
    counts, seconds = summary["clips"], summary["seconds"]
    tiles = [
        ("clips done", f"{counts['done']:,}", "now"),
        ("done before", f"{counts['kept']:,}", "clips"),
        ("failed", f"{counts['failed']:,}", "clips"),
        ("frames", f"{summary['frames']:,}", ""),
        ("video", f"{summary['video_seconds'] / 3600:.2f}", "hours"),
        ("took", f"{seconds:,.0f}", "seconds"),
    ]
    return rendered_page(
        "bmfgraph.batches:page.html",
        {"date_text": date_text},
        verb="batch",
        title=summary["pipeline"],
        headline=_headline(summary),
        styles=".text { text-align: left; }\n",
        summary=summary,
        tiles=tiles,
        codes=summary["codes"],
    )


def _headline(summary: Mapping[str, Any]) -> str:
    counts = summary["clips"]
    words = {"done": "done", "kept": "done before", "failed": "failed", "waiting": "left"}
    parts = [f"{counts[state]:,} {word}" for state, word in words.items() if counts[state]]
    return f"{sum(counts.values()):,} clips: {', '.join(parts) or 'none'}"


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")
