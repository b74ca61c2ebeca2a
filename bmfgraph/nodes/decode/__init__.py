"""Define how results follow from a model's outputs: one pydantic model for each task."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from bmfgraph.nodes.decode.base import Decode, LabelledDecode, decode_defaults, or_text, preset_names, read_preset
from bmfgraph.nodes.decode.classify import ClassifyDecode
from bmfgraph.nodes.decode.detect import BoxForm, CellGrid, DetectDecode
from bmfgraph.nodes.decode.embed import EmbedDecode
from bmfgraph.nodes.decode.map import MapDecode
from bmfgraph.nodes.decode.read import ReadDecode
from bmfgraph.nodes.decode.segment import SegmentDecode

__all__ = [
    "AnyDecode",
    "BoxForm",
    "CellGrid",
    "ClassifyDecode",
    "Decode",
    "DetectDecode",
    "EmbedDecode",
    "LabelledDecode",
    "MapDecode",
    "ReadDecode",
    "SegmentDecode",
    "any_of",
    "preset_names",
    "read_preset",
]


def _with_task(value: Any) -> Any:
    """Fill in the task, which a preset can say. Detection is the task where nothing else is said."""
    value = {"preset": value} if isinstance(value, str) else value
    return {"task": decode_defaults(value).get("task", "detect")} | value if isinstance(value, dict) else value


def any_of(schema: dict[str, Any]) -> None:
    """Allow a text, and settings that a preset completes and that therefore fit the schemas of several tasks."""
    schema["anyOf"] = [part for branch in schema["anyOf"] for part in branch.get("oneOf", [branch])]
    or_text(schema)


AnyDecode = Annotated[
    Annotated[
        DetectDecode | ClassifyDecode | SegmentDecode | MapDecode | ReadDecode | EmbedDecode,
        Field(discriminator="task"),
    ],
    BeforeValidator(_with_task),
]
"""The settings of a task, or the name of a preset."""
