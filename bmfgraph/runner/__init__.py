"""Run a plan: checks, engines, BMF's graph, monitoring and results.

``preflight_errors`` and ``preflight_warnings`` say before the run whether it can end well. ``prepare_engines`` builds
missing engines. ``run_plan`` runs the plan in this process, ``run_isolated`` in a child process; both return a
``RunResult``. ``stream_plan`` iterates over items instead. ``runner.modules`` has the BMF modules. The names below are
imported on use, because checks need no BMF.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmfgraph.system.lazy import lazy_names

if TYPE_CHECKING:
    from bmfgraph.runner.engines import prepare_engines
    from bmfgraph.runner.isolated import run_isolated
    from bmfgraph.runner.outputs import with_output_folder
    from bmfgraph.runner.preflight import preflight_errors, preflight_warnings
    from bmfgraph.runner.report import make_report, write_report
    from bmfgraph.runner.result import NodeResult, RunResult
    from bmfgraph.runner.run import run_plan
    from bmfgraph.runner.stream import DetectionsItem, FrameItem, TensorsItem, stream_plan

__all__ = [
    "DetectionsItem",
    "FrameItem",
    "NodeResult",
    "RunResult",
    "TensorsItem",
    "make_report",
    "preflight_errors",
    "preflight_warnings",
    "prepare_engines",
    "run_isolated",
    "run_plan",
    "stream_plan",
    "with_output_folder",
    "write_report",
]

__getattr__ = lazy_names(
    __name__,
    {
        "engines": ("prepare_engines",),
        "isolated": ("run_isolated",),
        "outputs": ("with_output_folder",),
        "preflight": ("preflight_errors", "preflight_warnings"),
        "report": ("make_report", "write_report"),
        "result": ("NodeResult", "RunResult"),
        "run": ("run_plan",),
        "stream": ("DetectionsItem", "FrameItem", "TensorsItem", "stream_plan"),
    },
)
