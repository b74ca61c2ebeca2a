"""Turn files and overrides into a job: frozen, with a type for every key.

``composed`` runs Hydra for a command line, ``compose_config`` and ``load_config`` for Python. ``read_job`` checks the
resulting plain data: a ``JobReading`` has the ``JobSpec`` as far as the data are right, and every mistake. ``Pipeline``
builds a pipeline in code, ``pipeline_schema`` is the JSON Schema for editors. Only this room and ``cli`` know Hydra.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmfgraph.system.lazy import lazy_names

if TYPE_CHECKING:
    from bmfgraph.config.builder import Pipeline
    from bmfgraph.config.compose import composed
    from bmfgraph.config.grid import Grid
    from bmfgraph.config.job import JobReading, JobSpec, read_job
    from bmfgraph.config.json_schema import pipeline_schema
    from bmfgraph.config.load import compose_config, load_config
    from bmfgraph.config.pipeline import PipelineSpec
    from bmfgraph.config.sweep import SweepOptions

__all__ = [
    "Grid",
    "JobReading",
    "JobSpec",
    "Pipeline",
    "PipelineSpec",
    "SweepOptions",
    "compose_config",
    "composed",
    "load_config",
    "pipeline_schema",
    "read_job",
]

__getattr__ = lazy_names(
    __name__,
    {
        "builder": ("Pipeline",),
        "compose": ("composed",),
        "grid": ("Grid",),
        "job": ("JobReading", "JobSpec", "read_job"),
        "json_schema": ("pipeline_schema",),
        "load": ("compose_config", "load_config"),
        "pipeline": ("PipelineSpec",),
        "sweep": ("SweepOptions",),
    },
)
