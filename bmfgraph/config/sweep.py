"""Define the options of a sweep: the key ``sweep`` of the configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bmfgraph.config.limits import MAX_CELLS
from bmfgraph.nodes.base import Frozen
from bmfgraph.nodes.path_kind import FolderPath

__all__ = ["SweepOptions"]


class SweepOptions(Frozen):
    """The options of a sweep: how its cells are run, compared and stored."""

    dir: FolderPath = Field(min_length=1, description="Folder of the sweep's cells and report.")
    id: str | None = Field(default=None, description="Set by the sweep itself, for its runs.")
    resume: bool = Field(default=True, description="Keep the results of an earlier sweep, if nothing changed.")
    on_error: Literal["stop", "skip"] = Field(
        default="stop", description="A wrong cell stops the sweep before it begins, or is left out."
    )
    repeats: int = Field(default=1, ge=1, le=100, description="Runs of each cell that count.")
    warmup: bool = Field(default=True, description="Whether each cell has a run before them that does not count.")
    reference: str | None = Field(
        default="auto",
        description="Reference of the outputs: a clip or labels, `input` (which is then reduced), overrides "
        "of one cell such as `engine=fp32`, `auto` (the fp32 cell, if there is one), or null.",
    )
    objective: str | None = Field(
        default=None, description="The metric to optimize, and conditions, such as `fps where psnr_y>=45`."
    )
    strategy: Literal["grid", "halving"] = Field(
        default="grid", description="halving: all cells on a part of the clip, the better ones on more of it."
    )
    eta: int = Field(
        default=3, ge=2, le=16, description="halving: the best of each `eta` cells run on `eta` times as much."
    )
    max_cells: int = Field(default=MAX_CELLS, ge=1, description="A sweep with more cells is refused.")
    timeout: float | None = Field(default=None, gt=0, description="Time limit of a cell in seconds.")
