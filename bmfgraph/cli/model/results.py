"""Convert what a stream yields to records, as the ``records`` node writes them, and to lines for people."""

from __future__ import annotations

from typing import Any

from bmfgraph.runner.stream import DetectionsItem, Item

__all__ = ["as_record", "record_lines"]

_FIRST = 4
"""Numbers of an embedding that are printed."""


def as_record(item: Item) -> dict[str, Any]:
    """Return the results of a frame as plain data; only its number where they are pixels or tensors.

    Boxes and their scores are not rounded, unlike in files, because they are compared.
    """
    from bmfgraph.stages.items import Result

    if isinstance(item, Result):
        return {"frame": item.index, **item.record()}
    if not isinstance(item, DetectionsItem):
        return {"frame": item.index}
    columns = {"label": item.labels, "score": item.scores.tolist(), "box": item.boxes.tolist()}
    if item.angles is not None:
        columns["angle"] = item.angles.tolist()
    if item.keypoints is not None:
        columns["keypoints"] = item.keypoints.tolist()
    rows = zip(*columns.values(), strict=True)
    return {"frame": item.index, "detections": [dict(zip(columns, row, strict=True)) for row in rows]}


def record_lines(record: dict[str, Any]) -> list[str]:
    """Return a record as the aligned rows of a table."""
    rows = [[_cell(value) for key, value in entry.items() if key != "mask"] for entry in _entries(record)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _entries(record: dict[str, Any]) -> list[dict[str, Any]]:
    sort, values = next(((key, value) for key, value in record.items() if key != "frame"), ("", []))
    if sort == "embedding":
        return [{"size": f"{len(values)} numbers", "first": values[:_FIRST]}]
    return list(values)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, list):
        return f"{len(value)} points" if value and isinstance(value[0], list) else f"[{_joined(value)}]"
    return str(value)


def _joined(values: list[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)
