"""Convert what a stream yields to records, as the ``records`` node writes them, and to lines for people."""

from __future__ import annotations

from typing import Any

from bmfgraph.runner.stream import DetectionsItem, Item

__all__ = ["as_record", "record_lines"]


def as_record(item: Item) -> dict[str, Any]:
    """Return the results of a frame as plain data; only its number where they are pixels or tensors."""
    from bmfgraph.stages.results import Classes, Embedding, Segments, Texts

    record: dict[str, Any] = {"frame": item.index}
    if isinstance(item, DetectionsItem):
        record["detections"] = [
            {"label": label, "score": score, "box": box}
            for label, score, box in zip(item.labels, item.scores.tolist(), item.boxes.tolist(), strict=True)
        ]
    elif isinstance(item, Classes):
        record["classes"] = [
            {"label": label, "score": score} for label, score in zip(item.labels, item.scores.tolist(), strict=True)
        ]
    elif isinstance(item, Texts):
        record["texts"] = [
            {"text": text, "score": score, "box": box}
            for text, score, box in zip(item.texts, item.scores.tolist(), item.corners.tolist(), strict=True)
        ]
    elif isinstance(item, Segments):
        counts = item.classes.flatten().long().bincount(minlength=len(item.names)).cpu().tolist()
        total = item.classes.numel()
        record["segments"] = [
            {"label": name, "share": count / total} for name, count in zip(item.names, counts, strict=False) if count
        ]
    elif isinstance(item, Embedding):
        record["embedding"] = item.values.tolist()
    return record


def record_lines(record: dict[str, Any]) -> list[str]:
    """Return a record as the aligned rows of a table."""
    rows = [[_cell(value) for value in entry.values()] for entry in _entries(record)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _entries(record: dict[str, Any]) -> list[dict[str, Any]]:
    sort, values = next(((key, value) for key, value in record.items() if key != "frame"), ("", []))
    if sort == "embedding":
        return [{"size": f"{len(values)} numbers", "first": values[:4]}]
    return list(values)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, list):
        return "[" + ", ".join(f"{part:.2f}" for part in value) + "]"
    return str(value)
