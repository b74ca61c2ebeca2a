"""How good the outputs of cells are, against a reference: another cell, a clip or labels."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bmfgraph.errors import BmfgraphError, ConfigError, SourceError, join_sorted
from bmfgraph.media.detection_metrics import compare
from bmfgraph.media.quality import measure
from bmfgraph.media.sources import locate
from bmfgraph.sweep.cell_process import spread
from bmfgraph.sweep.cells import CELL, read_json
from bmfgraph.system.files import write_whole

__all__ = ["TABLES", "find_references", "quality"]

TABLES = (".jsonl", ".ndjson", ".json", ".csv")
_QUALITY = "quality.json"
_OVERRIDE = re.compile(r"""([^\s,=]+)=(\[.*?\]|\{.*?\}|'[^']*'|"[^"]*"|[^\s,]*)""")
"""A key and its value, which may be a list or in quotes."""
_PICTURES, _DETECTIONS = ("psnr_y", "ssim", "vmaf"), ("precision", "recall", "map50")


def find_references(wanted: str | None, cells: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str], Path | None]:
    """Which cell each is measured against, by their ids, or the file for all; neither where there is nothing to compare
    with.

    ``wanted``: `auto`, `input`, overrides of one cell such as ``engine=fp32 engine.batch=1``, or a clip or labels. Of
    several cells with these overrides each is measured against its like: what else varies is the same, but for how
    the engine is run. ``cells``: with `id` and `varied`, and `status` once that is known. Raises ConfigError for a file
    that is not there, or overrides of no cell.
    """
    if wanted is None or wanted == "input":
        return {}, None
    keys = {key for cell in cells for key in cell["varied"]}
    words = {match[1]: match[2] for match in _OVERRIDE.finditer(wanted)}
    chosen = {"engine": "fp32"} if wanted == "auto" else words
    if wanted == "auto" or keys & words.keys():
        fits = [cell for cell in cells if all(cell["varied"].get(key) == value for key, value in chosen.items())]
        if not fits and wanted != "auto":
            raise _no_reference(
                f"{wanted!r} names none of the cells",
                f"what differs between them: {join_sorted(keys)}; take one's values",
            )
        fixed = {key for key in keys - chosen.keys() if key.partition(".")[0] != "engine"}
        likes = ((cell["id"], _like(cell["varied"], fits, fixed)) for cell in cells)
        return {mine: like for mine, like in likes if like is not None}, None
    try:
        return {}, locate(wanted)
    except SourceError as error:
        raise _no_reference(str(error), error.hint) from None


def _like(varied: Mapping[str, str], fits: Sequence[Mapping[str, Any]], fixed: Iterable[str]) -> str | None:
    """The cell that agrees in what is fixed, and has the most in common."""
    same = [cell for cell in fits if all(cell["varied"].get(key) == varied.get(key) for key in fixed)]
    order = sorted(same, key=lambda cell: (cell.get("status", "ok") != "ok", -_shared(cell["varied"], varied)))
    return str(order[0]["id"]) if order else None


def _shared(one: Mapping[str, str], other: Mapping[str, str]) -> int:
    return len(one.items() & other.items())


def _no_reference(message: str, hint: str) -> ConfigError:
    return ConfigError(message, path="sweep.reference", hint=hint, code="E112")


def quality(
    folder: Path, result: Mapping[str, Any], reference: Mapping[str, str] | Path
) -> tuple[dict[str, dict[str, float]], str]:
    """Metrics of a cell's outputs, and why there are none.

    ``reference``: the outputs of another cell, by node, or a clip or labels. What was measured before is not again.
    """
    pairs = _pairs(result["outputs"], reference)
    if not pairs:
        return {}, "it writes nothing that could be compared"
    found: dict[str, dict[str, float]] = {}
    whole = not (isinstance(reference, Path) and _cut_short(folder))
    for mine, other in pairs:
        stamp = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in (mine, other) if path.exists()]
        known = _known(folder / _QUALITY, stamp)
        if known is None:
            try:
                known = compare(mine, other) if mine.suffix in TABLES else measure(mine, other, whole=whole)
            except BmfgraphError as error:
                return {}, error.message
            with contextlib.suppress(OSError):
                # Only to spare the work another time.
                write_whole(folder / _QUALITY, json.dumps({"of": stamp, "quality": known}))
        names = _DETECTIONS if mine.suffix in TABLES else _PICTURES
        found |= {name: spread([known[name]]) for name in names if known.get(name) is not None}
    return found, ""


def _cut_short(folder: Path) -> bool:
    """Whether the cell reads its input from the start, and not to the end."""
    described = read_json(folder / CELL)
    nodes = described["data"]["pipeline"]["nodes"].values() if described else ()
    options = [{**(node.get("use") or {}), **node} for node in nodes]
    return any(one.get("end") is not None and one.get("start") is None for one in options)


def _pairs(outputs: Mapping[str, str], reference: Mapping[str, str] | Path) -> list[tuple[Path, Path]]:
    """Which file is compared with which: tables of detections before pictures with boxes drawn on them."""
    tables = {node: Path(path) for node, path in outputs.items() if Path(path).suffix in TABLES}
    clips = {node: Path(path) for node, path in outputs.items() if node not in tables}
    if isinstance(reference, Path):
        chosen = tables if reference.suffix in TABLES else clips
        return [(path, reference) for path in list(chosen.values())[:1]]
    return [(path, Path(reference[node])) for node, path in list((tables or clips).items())[:1] if node in reference]


def _known(path: Path, stamp: list[Any]) -> dict[str, Any] | None:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return dict(kept["quality"]) if kept["of"] == stamp else None
    except (OSError, ValueError, LookupError, TypeError):
        return None
