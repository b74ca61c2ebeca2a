"""The compiler: a pipeline spec becomes a plan through a short list of passes, each ``Plan -> Plan``."""

from __future__ import annotations

from collections.abc import Callable

from bmfgraph.compile.bind import bind_engines
from bmfgraph.compile.convert import convert_pixels
from bmfgraph.compile.discover import discover
from bmfgraph.compile.fuse import fuse
from bmfgraph.compile.infer import infer_types
from bmfgraph.compile.lower import lower
from bmfgraph.compile.simplify import simplify
from bmfgraph.compile.verify import verify
from bmfgraph.plan import Plan
from bmfgraph.spec import PipelineSpec

__all__ = ["PASSES", "compile_pipeline"]

Pass = Callable[[Plan], Plan]

PASSES: tuple[Pass, ...] = (
    discover,  # probe inputs, read models
    infer_types,  # what travels on every edge
    simplify,  # leave out what does nothing
    bind_engines,  # engine path and input shapes into every inference
    convert_pixels,  # a converter where pixel formats differ
    fuse,  # neighbouring tensor stages into one BMF node
    verify,  # nothing left over, nothing written twice
)


def compile_pipeline(spec: PipelineSpec) -> Plan:
    """Compile. Reads input files and models, needs no BMF, torch or GPU. Raises a BmfgraphError."""
    plan = lower(spec)
    for one in PASSES:
        plan = one(plan)
    return plan
