"""Compare the outputs of cells with a reference: another cell, a clip or labels."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.errors import BmfgraphError, ConfigError, SourceError, join_sorted
from bmfgraph.media.accuracy import compare
from bmfgraph.media.quality import measure
from bmfgraph.media.sources import locate_clip
from bmfgraph.sweep.cell_process import spread
from bmfgraph.sweep.files import CELL, is_regular, read_json, write_file
from bmfgraph.sweep.metrics import finite
from bmfgraph.system import untrusted

__all__ = ["RECORD_METRICS", "TABLES", "UNREAD", "find_references", "quality"]

TABLES = (".jsonl", ".ndjson", ".json", ".csv")
"""File names of records and labels end so."""
UNREAD = (".parquet", ".zip")
"""File names of records that are written for other programs end so; they are not compared."""
_QUALITY = "quality.json"
_OVERRIDE = re.compile(r"""([^\s,=]+)=(\[.*?\]|\{.*?\}|'[^']*'|"[^"]*"|[^\s,]*)""")
"""A key and its value, which may be a list or in quotes."""
_IMAGE_METRICS = ("psnr_y", "ssim", "vmaf")
RECORD_METRICS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "detections": ("map50", "recall", "precision", "map", "map50_coco", "map75_coco", "mask_map", "oks_map"),
        "classes": ("top1", "top5"),
        "segments": ("miou", "pixel_accuracy"),
        "texts": ("cer", "exact_text"),
    }
)
"""The metrics of records by task."""


def find_references(reference: str | None, cells: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str], Path | None]:
    """Find what each cell is compared with.

    If several cells have the overrides of the reference, each cell is compared with the one whose other varied
    overrides are the same, except those of the engine.

    Args:
        reference: The option ``sweep.reference``: ``auto``, ``input``, overrides of one cell such as
            ``engine=fp32 engine.batch=1``, a clip, or labels.
        cells: The ``id`` and ``varied`` of each cell, and its ``status`` once it has run.

    Returns:
        The id of the reference cell, by cell id, and the reference file of all cells. Empty and None if there is
        nothing to compare with.

    Raises:
        ConfigError: The file does not exist, or no cell has the overrides.
    """
    if reference is None or reference == "input":
        return {}, None
    keys = {key for cell in cells for key in cell["varied"]}
    overrides = {match[1]: match[2] for match in _OVERRIDE.finditer(reference)}
    chosen = {"engine": "fp32"} if reference == "auto" else overrides
    if reference == "auto" or keys & overrides.keys():
        matching = [cell for cell in cells if all(cell["varied"].get(key) == value for key, value in chosen.items())]
        if not matching and reference != "auto":
            raise _no_reference(
                f"{reference!r} names none of the cells",
                f"take values of one cell; the cells differ in: {join_sorted(keys)}",
            )
        fixed = {key for key in keys - chosen.keys() if key.partition(".")[0] != "engine"}
        pairs = ((cell["id"], _nearest(cell["varied"], matching, fixed)) for cell in cells)
        return {cell: nearest for cell, nearest in pairs if nearest is not None}, None
    try:
        return {}, locate_clip(reference)
    except SourceError as error:
        raise _no_reference(str(error), error.hint) from None


def _nearest(varied: Mapping[str, str], cells: Sequence[Mapping[str, Any]], fixed: Iterable[str]) -> str | None:
    """Return the id of the cell with the same fixed overrides that shares most others; failed cells come last."""
    same = [cell for cell in cells if all(cell["varied"].get(key) == varied.get(key) for key in fixed)]
    order = sorted(
        same,
        key=lambda cell: (
            cell.get("status", "ok") not in ("ok", "same"),
            -len(cell["varied"].items() & varied.items()),
        ),
    )
    return str(order[0]["id"]) if order else None


def _no_reference(message: str, hint: str) -> ConfigError:
    return ConfigError(message, path="sweep.reference", hint=hint, code=codes.UNUSABLE_REFERENCE)


def quality(
    folder: Path, result: Mapping[str, Any], reference: Mapping[str, str] | Path
) -> tuple[dict[str, dict[str, float]], str]:
    """Measure the outputs of a cell against a reference, or read the values of an earlier measurement.

    Args:
        folder: The folder of the cell.
        result: Its result.
        reference: The outputs of another cell, by node; or a clip or labels.

    Returns:
        The metrics, each with median, min and max; and the reason if there are none, else "".
    """
    pairs = _pairs(result["outputs"], reference)
    if not pairs:
        return {}, "it writes nothing that could be compared"
    for output, other in pairs:
        # A link in the folder of a cell can lead anywhere, and nobody may write to a pipe. Users may link their clips.
        if not is_regular(output) or not other.is_file():
            return {}, f"{str(other if is_regular(output) else output)!r} is missing, or not a file"
    stamp = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in chain(*pairs)]
    metrics = _stored(folder / _QUALITY, stamp)
    if metrics is None:
        whole = not (isinstance(reference, Path) and _cut_short(folder))
        metrics, reasons = {}, []
        for output, other in pairs:
            try:
                more = compare(output, other) if output.suffix in TABLES else measure(output, other, whole=whole)
                metrics = more | metrics
            except BmfgraphError as error:
                reasons.append(f"[{error.problems[0].code}] {error.message}")
        if len(reasons) == len(pairs):
            return {}, reasons[0]
        # The file only saves time in the next report.
        with contextlib.suppress(OSError):
            write_file(folder / _QUALITY, json.dumps({"of": stamp, "quality": metrics}))
    names = (*_IMAGE_METRICS, *chain(*RECORD_METRICS.values()))
    return {name: spread([value]) for name in names if (value := finite(metrics.get(name))) is not None}, ""


def _cut_short(folder: Path) -> bool:
    description = read_json(folder / CELL)
    return description is not None and bool(description["cut_short"])


def _pairs(outputs: Mapping[str, str], reference: Mapping[str, str] | Path) -> list[tuple[Path, Path]]:
    """Return the outputs to compare, each with its reference: all records, else the first clip.

    Records come before a clip, which may show their boxes. Each file of records may have a task of its own.
    """
    tables = {node: Path(path) for node, path in outputs.items() if Path(path).suffix in TABLES}
    clips = [(node, Path(path)) for node, path in outputs.items() if Path(path).suffix not in (*TABLES, *UNREAD)][:1]
    if isinstance(reference, Path):
        chosen = [*tables.items()] if reference.suffix in TABLES else clips
        return [(output, reference) for _, output in chosen]
    return [(output, Path(reference[node])) for node, output in [*tables.items()] or clips if node in reference]


def _stored(path: Path, stamp: list[Any]) -> dict[str, Any] | None:
    """Return the metrics of the same two files, if they were measured before."""
    try:
        content = untrusted.read_json(path, follow=False)
        return dict(content["quality"]) if content["of"] == stamp else None
    except (OSError, ValueError, LookupError, TypeError):
        return None
