"""Find the metrics of an objective that no cell of a sweep can have, before the first cell runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from bmfgraph import error_codes as codes
from bmfgraph.config.sweep import SweepOptions
from bmfgraph.errors import Problem, RunError
from bmfgraph.media.accuracy import contents
from bmfgraph.media.quality import unmeasurable
from bmfgraph.plan.plan import Plan
from bmfgraph.plan.result_types import ClassesSpec, DetectionsSpec, EmbeddingsSpec, ResultSpec, SegmentsSpec, TextsSpec
from bmfgraph.plan.types import FrameSpec, PortType
from bmfgraph.sweep.metrics import METRICS
from bmfgraph.sweep.objective import parse_objective
from bmfgraph.sweep.references import RECORD_METRICS, TABLES, UNREAD, find_references
from bmfgraph.system.energy import has_energy_counter

__all__ = ["objective_problems"]

_Reference = Literal["none", "cells", "clip", "labels"]
_TYPES: Mapping[str, type[ResultSpec]] = MappingProxyType(
    {
        "detections": DetectionsSpec,
        "classes": ClassesSpec,
        "segments": SegmentsSpec,
        "texts": TextsSpec,
        "embeddings": EmbeddingsSpec,
    }
)
"""The type of the results of each task. Node packs may write others."""
_PARTS: Mapping[str, str] = MappingProxyType({"mask_map": "masks", "oks_map": "keypoints"})
"""What detections must have for a metric."""


def objective_problems(
    options: SweepOptions, plans: Sequence[Plan], cells: Sequence[Mapping[str, Any]] | None
) -> list[Problem]:
    """Return a problem for each metric of the objective that no cell can have.

    Args:
        options: The options of the sweep.
        plans: The plans of the cells; without one there are no problems.
        cells: The ``id`` and ``varied`` of each cell. None if a sweeper chooses them: then only the last report
            compares cells with each other, and a condition on their quality counts as met before.
    """
    if not options.objective or not plans:
        return []
    objective = parse_objective(options.objective)
    reference, labels = _reference(options.reference, cells)
    conditions = [condition.metric for condition in objective.conditions]
    if cells is None and reference == "none":
        conditions = [name for name in conditions if METRICS[name].perfect is None]
    names = [*dict.fromkeys([objective.metric, *conditions])]
    held: set[str] = set()
    if labels is not None and any(name in chain(*RECORD_METRICS.values()) for name in names):
        try:
            held = contents(labels)
        except RunError as error:
            return [Problem("sweep.reference", error.cause, codes.UNUSABLE_REFERENCE, error.hint)]
    problems = []
    for name in names:
        reasons = [_reason(name, plan, reference) or _labels_reason(name, held) for plan in plans]
        if all(reasons):
            reason, hint = next(filter(None, reasons))
            problems.append(
                Problem(
                    "sweep.objective",
                    f"{name} ({METRICS[name].title}) cannot be measured: {reason}",
                    codes.UNMEASURABLE_METRIC,
                    hint,
                )
            )
    return problems


def _reference(reference: str | None, cells: Sequence[Mapping[str, Any]] | None) -> tuple[_Reference, Path | None]:
    """Return the kind of thing that outputs are compared with, and the file of labels."""
    if reference == "input":
        return "clip", None
    if cells is not None:
        references, file = find_references(reference, cells)
    else:
        references, file = {}, Path(reference) if reference and Path(reference).is_file() else None
    if file is not None:
        return ("labels", file) if file.suffix in TABLES else ("clip", None)
    return ("cells" if references else "none"), None


def _reason(name: str, plan: Plan, reference: _Reference) -> tuple[str, str] | None:
    """Return why the cell of a plan cannot have a metric, and what to do; None if it can."""
    if METRICS[name].perfect is not None:
        return _quality_reason(name, plan, reference)
    engines = [engine for _, engine in plan.engines()]
    written = any(node.written for node in plan)
    reasons: dict[str, tuple[bool, str, str]] = {
        "joules_per_frame": (
            not plan.uses_gpu or not has_energy_counter(),
            "only runs on an NVIDIA GPU with an energy counter have it",
            "take another metric, such as steady_fps",
        ),
        "peak_gpu_mb": (not plan.uses_gpu, "no node runs on a GPU", "take peak_rss_mb"),
        "inference_fps": (not engines, "the pipeline has no inference node", "take steady_fps"),
        "output_mb": (
            not written,
            "the pipeline writes no file",
            "choose an encoder that writes, such as encoder=x264",
        ),
    }
    if name in ("build_s", "engine_mb"):
        reasons[name] = (
            all(engine.build is None for engine in engines),
            "the models run as they are, without an engine that is built",
            "take another metric, such as peak_rss_mb",
        )
    if name.startswith("latency_"):
        reasons[name] = (len(plan.sources()) != 1, "only pipelines with one input have it", "take steady_fps")
    applies, reason, hint = reasons.get(name, (False, "", ""))
    return (reason, hint) if applies else None


def _quality_reason(name: str, plan: Plan, reference: _Reference) -> tuple[str, str] | None:
    sinks = [node for node in plan if node.written]
    suffixes = {node.name: Path(str(node.written)).suffix for node in sinks}
    tables = [node for node in sinks if suffixes[node.name] in TABLES]
    unread = [suffix for suffix in suffixes.values() if suffix in UNREAD]
    clips = [node for node in sinks if suffixes[node.name] not in (*TABLES, *UNREAD)]
    on_tables = reference == "labels" or (reference == "cells" and bool(tables))
    if reference == "none":
        return "there is nothing to compare with", "set sweep.reference=input, or name a clip or overrides of one cell"
    task = next((task for task, names in RECORD_METRICS.items() if name in names), None)
    if task is not None:
        if unread and not tables:
            return f"records in {unread[0]} are not compared", "write .jsonl"
        return _records_reason(name, task, [plan.type_of(ref) for node in tables for ref in node.inputs], on_tables)
    if not clips:
        return "the pipeline writes no video", "choose an encoder that writes, such as encoder=x264"
    if on_tables:
        return "records are compared, not frames", "take a metric of records, or set sweep.reference=CLIP"
    frames = [plan.type_of(ref) for ref in clips[0].inputs]
    sides = next(((kind.width, kind.height) for kind in frames if isinstance(kind, FrameSpec)), ())
    reason = unmeasurable(name, *sides)
    return (reason, "take psnr_y") if reason else None


def _records_reason(name: str, task: str, records: Sequence[PortType], on_tables: bool) -> tuple[str, str] | None:
    """Return why no file of records of these types can have a metric of a task."""
    if not records:
        file = "boxes" if task == "detections" else task
        return f"the pipeline writes no {task}", f"name their file, such as records={file}.jsonl"
    reasons = [_type_reason(name, task, result) for result in records]
    if all(reasons):
        return reasons[0]
    return None if on_tables else ("the reference is a clip", "name labels with sweep.reference=labels.jsonl")


def _type_reason(name: str, task: str, result: PortType) -> tuple[str, str] | None:
    other = next((key for key, kind in _TYPES.items() if isinstance(result, kind)), task)
    if other != task:
        names = RECORD_METRICS.get(other, ("steady_fps",))
        return f"the pipeline writes {other}, not {task}", f"take one of {', '.join(names)}"
    if isinstance(result, DetectionsSpec):
        part = _PARTS.get(name, "")
        if (part == "masks" and not result.masks) or (part == "keypoints" and not result.keypoints):
            return f"the detections have no {part}", "take map"
    return None


def _labels_reason(name: str, held: Set[str]) -> tuple[str, str] | None:
    """Return why labels do not give a metric, from what they hold; empty labels give every one."""
    task = next((task for task, names in RECORD_METRICS.items() if name in names), None)
    need = _PARTS.get(name, task)
    if not held or need is None or need in held:
        return None
    names = [name for task in held & RECORD_METRICS.keys() for name in RECORD_METRICS[task]]
    others = [name for name in names if name not in _PARTS or _PARTS[name] in held]
    return f"the labels have no {need}", f"add them to the labels, or take one of {', '.join(others)}"
