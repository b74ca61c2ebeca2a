"""Run the node kind ``records``: write one object per frame (JSON Lines, JSON) or one row per box (CSV).

A frame without a box has a row in CSV, too, whose columns of the box are empty.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bmfgraph.nodes.records import RecordsParams
from bmfgraph.stages.base import Stage
from bmfgraph.stages.results import Detections

__all__ = ["COLUMNS", "Write"]

COLUMNS = ("frame", "pts", "label", "score", "x1", "y1", "x2", "y2")


class Write(Stage):
    """Write detections to a text file: ``pts`` in seconds, corners in pixels of the source frame."""

    params: RecordsParams

    def open(self) -> None:
        self._file = Path(self.params.path).open("w", encoding="utf-8", newline="")  # noqa: SIM115
        self._rows = csv.writer(self._file) if self.params.format == "csv" else None
        if self._rows:
            self._rows.writerow(COLUMNS)
        self._separator = "[\n"

    def process(self, *items: Any) -> Iterable[Any]:
        detections: Detections = items[0]
        pts = round(float(detections.frame.time), 6)
        if self._rows:
            for box in detections.boxes:
                corners = (round(value, 2) for value in (box.x1, box.y1, box.x2, box.y2))
                self._rows.writerow((detections.index, pts, box.label, round(box.score, 4), *corners))
            if not detections.boxes:
                self._rows.writerow((detections.index, pts, *("" for _ in COLUMNS[2:])))
            return ()
        boxes = [
            {
                "label": box.label,
                "score": round(box.score, 4),
                "box": [round(value, 2) for value in (box.x1, box.y1, box.x2, box.y2)],
            }
            for box in detections.boxes
        ]
        text = json.dumps({"frame": detections.index, "pts": pts, "detections": boxes})
        if self.params.format == "json":
            self._file.write(self._separator + text)
            self._separator = ",\n"
        else:
            self._file.write(text + "\n")
        return ()

    def finish(self) -> Iterable[Any]:
        if self.params.format == "json":
            self._file.write("[]\n" if self._separator == "[\n" else "\n]\n")
        # Close the file here, because an error in `finish` names this node; a full disk often shows only now.
        self._file.close()
        return ()

    def close(self) -> None:
        if "_file" in self.__dict__:
            self._file.close()
