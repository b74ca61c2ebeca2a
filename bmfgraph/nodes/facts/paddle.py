"""Read the metadata that PaddleOCR's text recognisers have: their characters."""

from __future__ import annotations

from bmfgraph.engines.onnx.model import OnnxModel
from bmfgraph.nodes.facts.facts import METADATA, Fact, Facts

__all__ = ["read_paddle"]


def read_paddle(onnx: OnnxModel, facts: Facts) -> None:
    """Add what the metadata says, if they hold the characters of a text recogniser."""
    if "character" not in onnx.metadata:
        return
    facts.decode["preset"] = Fact("ppocr_rec", METADATA)
    facts.decode["charset"] = Fact("metadata:character", METADATA)
