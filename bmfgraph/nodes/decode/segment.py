"""Define how a label map follows from a model's output."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from bmfgraph.errors import FieldError, did_you_mean, join_sorted
from bmfgraph.nodes.decode.base import LabelledDecode, Score

__all__ = ["SegmentDecode"]


class SegmentDecode(LabelledDecode):
    """How to read the class of each pixel: the best of several scores, or a single score above the threshold."""

    task: Literal["segment"] = Field(default="segment", description="What the model does.")
    threshold: Score | dict[str, Score] = Field(
        default=0.0,
        description="Minimum score of a pixel, else it is background; or one for each label, with `default` for the "
        "others. Where it is left out: 0.5 for a single score, 0 for the best of several.",
    )
    background: str | None = Field(
        default=None, description="Label of pixels without another class, which is not drawn; null: none."
    )

    @model_validator(mode="after")
    def _known_background(self) -> SegmentDecode:
        if self.background is not None and self.labels is not None and self.background not in self.labels:
            raise FieldError(
                f"background {self.background!r} is not one of the labels{did_you_mean(self.background, self.labels)}; "
                f"labels: {join_sorted(self.labels)}",
                "correct background, or add it to labels",
            )
        return self
