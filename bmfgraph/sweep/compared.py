"""How good the outputs of cells are, against a reference: another cell, a clip or labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bmfgraph.accuracy import compare
from bmfgraph.errors import BmfgraphError, ConfigError, one_of
from bmfgraph.files import write_whole
from bmfgraph.quality import measure
from bmfgraph.sources import SourceError, locate
from bmfgraph.sweep.run import spread

__all__ = ["find_reference", "quality"]

_TABLES = (".jsonl", ".ndjson", ".json", ".csv")
_QUALITY = "quality.json"
_PICTURES, _DETECTIONS = ("psnr_y", "ssim", "vmaf"), ("precision", "recall", "map50")


def find_reference(wanted: str | None, cells: Sequence[Mapping[str, Any]]) -> tuple[str | None, Path | None]:
    """The id of the cell that others are measured against, or the file; neither where there is nothing to compare with.

    ``wanted``: `auto`, `input`, overrides of one cell such as ``engine=fp32 engine.batch=1``, or a clip or labels.
    ``cells``: with `id` and `varied`. Raises ConfigError for a file that is not there, or overrides of no cell.
    """
    if wanted is None or wanted == "input":
        return None, None
    keys = {key for cell in cells for key in cell["varied"]}
    words = dict(word.partition("=")[::2] for word in wanted.replace(",", " ").split())
    chosen = {"engine": "fp32"} if wanted == "auto" else words
    if wanted == "auto" or keys & words.keys():
        fits = (cell["id"] for cell in cells if all(cell["varied"].get(key) == value for key, value in chosen.items()))
        found = next(fits, None)
        if found is None and wanted != "auto":
            raise _no_reference(
                f"{wanted!r} names none of the cells", f"what differs between them: {one_of(keys)}; take one's values"
            )
        return found, None
    try:
        return None, locate(wanted)
    except SourceError as error:
        raise _no_reference(str(error), error.hint) from None


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
    for mine, other in pairs:
        stamp = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in (mine, other) if path.exists()]
        known = _known(folder / _QUALITY, stamp)
        if known is None:
            try:
                known = compare(mine, other) if mine.suffix in _TABLES else measure(mine, other)
            except BmfgraphError as error:
                return {}, error.message
            write_whole(folder / _QUALITY, json.dumps({"of": stamp, "quality": known}))
        names = _DETECTIONS if mine.suffix in _TABLES else _PICTURES
        found |= {name: spread([known[name]]) for name in names if known.get(name) is not None}
    return found, ""


def _pairs(outputs: Mapping[str, str], reference: Mapping[str, str] | Path) -> list[tuple[Path, Path]]:
    """Which file is compared with which: tables of detections before pictures with boxes drawn on them."""
    tables = {node: Path(path) for node, path in outputs.items() if Path(path).suffix in _TABLES}
    clips = {node: Path(path) for node, path in outputs.items() if node not in tables}
    if isinstance(reference, Path):
        chosen = tables if reference.suffix in _TABLES else clips
        return [(path, reference) for path in list(chosen.values())[:1]]
    return [(path, Path(reference[node])) for node, path in list((tables or clips).items())[:1] if node in reference]


def _known(path: Path, stamp: list[Any]) -> dict[str, Any] | None:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return kept["quality"] if kept.get("of") == stamp else None
