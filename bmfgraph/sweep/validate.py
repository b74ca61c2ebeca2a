"""What can be found wrong with a sweep before any of its cells is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bmfgraph.config.grid import Grid
from bmfgraph.config.sweep import SweepOptions, sweep_options
from bmfgraph.errors import ConfigError
from bmfgraph.sweep.objective import parse_objective
from bmfgraph.sweep.references import TABLES, find_references

__all__ = ["validated_options", "vetted_references"]


def validated_options(grid: Grid, data: Mapping[str, Any]) -> SweepOptions:
    """How the sweep is done, from the configuration of one of its runs. Raises ConfigError and SpecError."""
    if several := [key for key in grid.swept if key.partition(".")[0] == "sweep"]:
        raise ConfigError("is the same for all runs of a sweep", path=several[0], hint="give it one value", code="E209")
    options = sweep_options(data.get("sweep"))
    if options.objective:
        parse_objective(options.objective)
    if options.strategy == "halving":
        _vet_halving(grid, options)
    return options


def _vet_halving(grid: Grid, options: SweepOptions) -> None:
    """Refuse what would run its cells, or choose them, in another way; and no objective."""
    cure = "leave it out, or set sweep.strategy=grid"
    if not grid.enumerated:
        raise ConfigError(
            "halving takes the cells of a grid, and this sweeper chooses its runs as it goes",
            path="hydra/sweeper",
            hint=cure,
            code="E117",
        )
    if grid.launched:
        raise ConfigError(
            "halving runs its cells here, one after the other, to choose between them",
            path="hydra/launcher",
            hint=cure,
            code="E117",
        )
    if not options.objective:
        raise ConfigError(
            "halving keeps the better cells, and nothing says which those are",
            path="sweep.objective",
            hint="such as sweep.objective='fps where psnr_y>=45'",
            code="E115",
        )


def vetted_references(options: SweepOptions, cells: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str], Path | None]:
    """What :func:`bmfgraph.sweep.references.find_references` finds. Raises ConfigError."""
    references, file = find_references(options.reference, cells)
    if options.strategy == "halving" and file is not None and file.suffix in TABLES:
        raise ConfigError(
            f"{options.reference!r} has labels of the whole clip, and halving runs cells on parts of it",
            path="sweep.reference",
            hint="name overrides of one cell, such as engine=fp32, or set sweep.strategy=grid",
            code="E112",
        )
    return references, file
