"""Define how a label map follows from a model's output."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bmfgraph.nodes.decode.base import LabelledDecode, Score

__all__ = ["SegmentDecode"]


class SegmentDecode(LabelledDecode):
    """How to read the class of each pixel: the best of several scores, or a single score above the threshold."""

    task: Literal["segment"] = Field(default="segment", description="What the model does.")
    threshold: Score | dict[str, Score] = Field(
        default=0.0,
        description="Minimum score of a pixel, else it is background; or one for each label, with `default` for the "
        "others.",
    )
    background: str | None = Field(default=None, description="Label that is not drawn; null: none.")
