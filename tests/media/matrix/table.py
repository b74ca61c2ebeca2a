"""Make the tables of docs/media.md from the results of combinations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from bmfgraph.error_codes import CODES
from tests.media.matrix.cells import Cell

__all__ = ["PAGE", "between_marks", "tables", "with_tables"]

PAGE = Path(__file__).parents[3] / "docs" / "media.md"
_BEGIN, _END = "<!-- table: begin -->", "<!-- table: end -->"
_TITLES = {
    "read": "### Read\n\nClips of each kind were made with PyAV and read by the decoder node.",
    "write": "### Written\n\nThe encoder node wrote each of them, and PyAV read it.",
}


def tables(cells: Sequence[Cell]) -> str:
    """Return a table of codecs and containers for each direction, and what the codes in it say."""
    parts = []
    for direction, title in _TITLES.items():
        own = [cell for cell in cells if cell.direction == direction]
        columns = tuple(dict.fromkeys(cell.container for cell in own))
        lines = [f"| codec | pixel formats | {' | '.join(columns)} |", f"|---|---|{'---|' * len(columns)}"]
        for codec in dict.fromkeys(cell.codec for cell in own):
            lines += _rows(codec, columns, [cell for cell in own if cell.codec == codec])
        parts.append(f"{title}\n\n" + "\n".join(lines))
    used = sorted({cell.result for cell in cells} & set(CODES))
    parts.append("\n".join(f"- {code}: {CODES[code].meaning} {CODES[code].fix}" for code in used))
    return "\n\n".join(parts)


def _rows(codec: str, columns: Sequence[str], cells: Iterable[Cell]) -> list[str]:
    """Return a row for each group of pixel formats with equal results; a codec that no container takes has none."""
    results: dict[str, dict[str, str]] = {}
    for cell in cells:
        results.setdefault(cell.pixel_format, {})[cell.container] = cell.result
    groups: dict[tuple[str, ...], list[str]] = {}
    for pixel_format, row in results.items():
        groups.setdefault(tuple(row[column] for column in columns), []).append(pixel_format)
    return [
        f"| {codec} | {', '.join(formats)} | {' | '.join(row)} |"
        for row, formats in groups.items()
        if set(row) != {"–"}
    ]


def between_marks(page: str) -> str:
    """Return the tables in the text of the page."""
    return page.partition(_BEGIN)[2].partition(_END)[0].strip()


def with_tables(page: str, text: str) -> str:
    """Return the text of the page with other tables."""
    before, _, rest = page.partition(_BEGIN)
    return f"{before}{_BEGIN}\n\n{text}\n\n{_END}{rest.partition(_END)[2]}"
