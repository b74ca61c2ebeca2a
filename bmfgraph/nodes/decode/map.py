"""Define how a map of values, such as depth, follows from a model's output."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bmfgraph.nodes.decode.base import Decode

__all__ = ["MapDecode"]


class MapDecode(Decode):
    """How to read a value of each pixel."""

    task: Literal["map"] = Field(default="map", description="What the model does.")
    value: Literal["level", "depth", "matte", "heat"] = Field(
        default="level",
        description="level: grey levels; depth: any scale, stretched over each frame; matte and heat: 0..1.",
    )
