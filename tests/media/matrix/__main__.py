"""Try all combinations, print those that fail, and write the tables into docs/media.md."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.media.matrix.cells import Cell, read_cell, read_cells, write_cell, write_cells
from tests.media.matrix.table import PAGE, tables, with_tables


def _tried(cells: list[Cell], attempt: Callable[[Cell, Path], Cell]) -> list[Cell]:
    results = []
    for cell in cells:
        with tempfile.TemporaryDirectory() as folder:
            results.append(result := attempt(cell, Path(folder)))
        if result.failed:
            print(f"{result.direction} {result.container} {result.codec} {result.pixel_format}: {result.reason}")
    return results


def main() -> int:
    """Return 1 if a combination fails, without changing the page."""
    cells = [*_tried(read_cells(), read_cell), *_tried(write_cells(), write_cell)]
    counts = {result: sum(cell.result == result for cell in cells) for result in {cell.result for cell in cells}}
    print(", ".join(f"{count} {result}" for result, count in sorted(counts.items(), key=lambda pair: -pair[1])))
    if any(cell.failed for cell in cells):
        return 1
    PAGE.write_text(with_tables(PAGE.read_text(), tables(cells)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
