"""How a sweep is done: the key `sweep` of the configuration."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationError

from bmfgraph.config.pipeline import problems_of
from bmfgraph.errors import SpecError
from bmfgraph.nodes.base import Frozen

__all__ = ["SweepOptions", "sweep_options"]


class SweepOptions(Frozen):
    """How the cells of a sweep are run, compared and kept."""

    dir: str = Field(min_length=1, description="Folder of the sweep's cells and report.")
    id: str | None = Field(default=None, description="Set by the sweep itself, for its runs.")
    resume: bool = Field(default=True, description="Take over what an earlier sweep measured, if nothing changed.")
    on_error: Literal["stop", "skip"] = Field(
        default="stop", description="A cell that is wrong stops the sweep before it begins, or is left out."
    )
    repeats: int = Field(default=1, ge=1, le=100, description="Runs of each cell that count.")
    warmup: bool = Field(default=True, description="One run before them that does not.")
    reference: str | None = Field(
        default="auto",
        description="What outputs are measured against: a clip or labels, `input` (which is then reduced), overrides "
        "of one cell such as `engine=fp32`, `auto` (the fp32 cell, if there is one), or null.",
    )
    objective: str | None = Field(default=None, description="Such as `fps where psnr_y>=45`.")
    strategy: Literal["grid", "halving"] = Field(
        default="grid", description="halving: all cells on a part of the clip, the better ones on more of it."
    )
    eta: int = Field(
        default=3, ge=2, le=16, description="halving: one cell of so many stays, for so many times the clip."
    )
    timeout: float | None = Field(default=None, gt=0, description="Seconds that one cell may take.")


def sweep_options(data: Any) -> SweepOptions:
    """Check the key `sweep`. Raises SpecError with every mistake."""
    try:
        return SweepOptions.model_validate(data or {})
    except ValidationError as error:
        raise SpecError(problems_of(error, data, SweepOptions, "sweep")) from None
