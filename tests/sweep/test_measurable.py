"""Test which metrics of records a pipeline can have."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from bmfgraph.config.sweep import SweepOptions
from bmfgraph.nodes.detections import DetectionsNodeSpec
from bmfgraph.nodes.records import RecordsParams, RecordsSpec
from bmfgraph.plan.plan import Plan, PlanNode, Ref
from bmfgraph.plan.result_types import ClassesSpec, DetectionsSpec, ResultSpec, SegmentsSpec, TextsSpec
from bmfgraph.plan.types import ColorSpec, FrameSpec, Port
from bmfgraph.sweep.measurable import objective_problems
from bmfgraph.sweep.references import RECORD_METRICS

FRAMES = FrameSpec(64, 48, "yuv420p", ColorSpec("bt601", False), Fraction(25), Fraction(1, 25))
CELLS = [{"id": name, "varied": {"engine": name}} for name in ("fp32", "fp16")]


def reason(metric: str, result: ResultSpec, reference: str = "auto") -> tuple[str, str]:
    """Return why a pipeline that writes a result cannot have a metric, and the hint; empty if it can."""
    nodes = (
        PlanNode("find", DetectionsNodeSpec(), outputs=(Port("results", result),)),
        PlanNode("table", RecordsSpec(path="a.jsonl"), (Ref("find"),), params=RecordsParams("a.jsonl", "jsonl")),
    )
    options = SweepOptions(dir="cells", reference=reference, objective=f"fps where {metric}>=0.5")
    problems = objective_problems(options, [Plan("some", nodes)], CELLS)
    assert all(problem.code == "E124" and problem.path == "sweep.objective" for problem in problems)
    return next(((problem.message.rpartition(": ")[2], problem.hint) for problem in problems), ("", ""))


PLAIN, FULL = DetectionsSpec(FRAMES), DetectionsSpec(FRAMES, masks=True, keypoints=("nose", "chin"))
RESULTS = {
    "detections": FULL,
    "classes": ClassesSpec(FRAMES),
    "segments": SegmentsSpec(FRAMES),
    "texts": TextsSpec(FRAMES),
}


@pytest.mark.parametrize("task", RESULTS)
def test_a_task_has_its_own_metrics(task: str) -> None:
    for other, names in RECORD_METRICS.items():
        for name in names:
            message, hint = reason(name, RESULTS[task])
            assert message == ("" if task == other else f"the pipeline writes {task}, not {other}")
            assert hint == ("" if task == other else f"take one of {', '.join(RECORD_METRICS[task])}")


def test_detections_without_masks_or_keypoints() -> None:
    assert reason("mask_map", PLAIN) == ("the detections have no masks", "take map")
    assert reason("oks_map", PLAIN) == ("the detections have no keypoints", "take map")
    assert reason("map", PLAIN) == ("", "")


def test_the_reference_of_records_is_labels(tmp_path: Path) -> None:
    clip, labels = tmp_path / "clip.mp4", tmp_path / "labels.jsonl"
    for path in (clip, labels):
        path.write_bytes(b"")
    assert reason("cer", RESULTS["texts"], str(clip)) == (
        "the reference is a clip",
        "name labels with sweep.reference=labels.jsonl",
    )
    assert reason("cer", RESULTS["texts"], str(labels)) == ("", "")
