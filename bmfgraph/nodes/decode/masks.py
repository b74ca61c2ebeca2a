"""Define how the pixels of each detected object follow from a model's outputs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from bmfgraph.errors import FieldError
from bmfgraph.nodes.base import Frozen

__all__ = ["MaskDecode"]


class MaskDecode(Frozen):
    """Where the masks are: prototypes that each candidate weights, or a small mask for each candidate."""

    prototypes: str | None = Field(
        default=None,
        description="Output with the dims [batch, prototypes, height, width], whose weights each candidate holds as "
        "the field mask:N; null: the output that has the dim prototypes.",
    )
    boxes: str | None = Field(
        default=None,
        description="Instead of prototypes: output with the dims [batch, candidates, height, width], a mask for each "
        "candidate that covers its box.",
    )
    size: int | None = Field(default=None, ge=1, description="Rows and columns of the mask of a box; null: any.")
    activation: Literal["none", "sigmoid"] = Field(
        default="sigmoid", description="Function that makes probabilities of the values; none: they are."
    )
    threshold: float = Field(default=0.5, gt=0, lt=1, description="Least probability of an object's pixel.")

    @model_validator(mode="after")
    def _consistent(self) -> MaskDecode:
        if self.prototypes and self.boxes:
            raise FieldError("prototypes and boxes are two forms of masks", "keep one of them")
        if self.size and not self.boxes:
            raise FieldError(f"size {self.size} belongs to the masks of boxes", "set boxes to their output")
        return self
