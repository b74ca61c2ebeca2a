"""Define how an embedding follows from a model's output."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bmfgraph.nodes.decode.base import Decode

__all__ = ["EmbedDecode"]


class EmbedDecode(Decode):
    """How to read the vector that describes a picture."""

    task: Literal["embed"] = Field(default="embed", description="What the model does.")
    normalise: Literal["none", "l2"] = Field(default="l2", description="l2: divide it by its length.")
