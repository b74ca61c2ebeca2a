"""Read the metadata that PaddleOCR's text recognisers have: their characters."""

from __future__ import annotations

from bmfgraph.engines.onnx.model import OnnxModel
from bmfgraph.nodes.facts.facts import METADATA, Fact, Facts

__all__ = ["read_paddle"]


def read_paddle(onnx: OnnxModel, facts: Facts) -> None:
    """Add what the metadata says, if they hold the characters of a text recogniser."""
    if "character" not in onnx.metadata:
        return
    # PP-OCR (Du et al., 2020) reads BGR lines of 48 rows, with levels in -1..1 and zeros behind a short line.
    settings = {"channels": "BGR", "mean": 127.5, "std": 127.5, "size": [48, 320]}
    for key, value in (settings | {"fit": "letterbox", "align": "top_left", "pad_value": 127}).items():
        facts.inputs[key] = Fact(value, METADATA)
    facts.outputs[onnx.outputs[0].name] = {"dims": Fact(["batch", "time", "classes"], METADATA)}
    for key, value in {"task": "read", "blank": "first", "charset": "metadata:character"}.items():
        facts.decode[key] = Fact(value, METADATA)
