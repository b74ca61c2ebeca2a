"""Define how the classes of a picture follow from a model's output."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bmfgraph.nodes.decode.base import LabelledDecode

__all__ = ["ClassifyDecode"]


class ClassifyDecode(LabelledDecode):
    """How to read the classes of a whole picture from an output of scores."""

    task: Literal["classify"] = Field(default="classify", description="What the model does.")
    top: int = Field(default=1, ge=1, le=1000, description="Number of the best classes that are given.")
    background: Literal["none", "first", "last"] = Field(
        default="none", description="Place of the score that stands for no class."
    )
