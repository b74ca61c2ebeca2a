"""Test which metrics of records a pipeline can have."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from bmfgraph.config.sweep import SweepOptions
from bmfgraph.nodes.detections import DetectionsNodeSpec
from bmfgraph.nodes.records import RecordsParams, RecordsSpec
from bmfgraph.plan.plan import Plan, PlanNode, Ref
from bmfgraph.plan.result_types import ClassesSpec, DetectionsSpec, EmbeddingsSpec, ResultSpec, SegmentsSpec, TextsSpec
from bmfgraph.plan.types import ColorSpec, FrameSpec, Port
from bmfgraph.sweep.measurable import objective_problems
from bmfgraph.sweep.metrics import METRICS
from bmfgraph.sweep.references import RECORD_METRICS

FRAMES = FrameSpec(64, 48, "yuv420p", ColorSpec("bt601", False), Fraction(25), Fraction(1, 25))
CELLS = [{"id": name, "varied": {"engine": name}} for name in ("fp32", "fp16")]


def found(
    metric: str, *results: ResultSpec, reference: str | Path = "auto", suffix: str = ".jsonl"
) -> list[tuple[str, str, str]]:
    """Return the code, the reason and the hint of the problem that a pipeline which writes some results has."""
    nodes = []
    for number, result in enumerate(results):
        nodes += [
            PlanNode(f"find{number}", DetectionsNodeSpec(), outputs=(Port("results", result),)),
            PlanNode(
                f"table{number}",
                RecordsSpec(path=f"{number}{suffix}"),
                (Ref(f"find{number}"),),
                params=RecordsParams(f"{number}{suffix}", "jsonl"),
            ),
        ]
    options = SweepOptions(dir="cells", reference=str(reference), objective=f"fps where {metric}>=0.5")
    problems = objective_problems(options, [Plan("some", tuple(nodes))], CELLS)
    return [
        (
            problem.code,
            problem.message.removeprefix(f"{metric} ({METRICS[metric].title}) cannot be measured: "),
            problem.hint,
        )
        for problem in problems
    ]


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
            reason = (
                "E124",
                f"the pipeline writes {task}, not {other}",
                f"take one of {', '.join(RECORD_METRICS[task])}",
            )
            assert found(name, RESULTS[task]) == ([] if task == other else [reason])


def test_one_of_several_files_is_enough() -> None:
    assert found("cer", FULL, RESULTS["texts"]) == found("map", FULL, RESULTS["texts"]) == []
    assert found("top1", FULL, RESULTS["texts"])[0][1] == "the pipeline writes detections, not classes"


def test_embeddings_have_no_metric() -> None:
    reason = "the pipeline writes embeddings, not classes"
    assert found("top1", EmbeddingsSpec(FRAMES)) == [("E124", reason, "take one of steady_fps")]


def test_records_for_other_programs_are_not_compared() -> None:
    assert found("map", FULL, suffix=".parquet") == [("E124", "records in .parquet are not compared", "write .jsonl")]
    assert found("psnr_y", FULL, suffix=".zip")[0][1] == "the pipeline writes no video"


def test_detections_without_masks_or_keypoints() -> None:
    assert found("mask_map", PLAIN) == [("E124", "the detections have no masks", "take map")]
    assert found("oks_map", PLAIN) == [("E124", "the detections have no keypoints", "take map")]
    assert found("map", PLAIN) == []


def test_the_reference_of_records_is_labels(tmp_path: Path) -> None:
    clip, labels = tmp_path / "clip.mp4", tmp_path / "labels.jsonl"
    clip.write_bytes(b"")
    hint = "name labels with sweep.reference=labels.jsonl"
    assert found("cer", RESULTS["texts"], reference=clip) == [("E124", "the reference is a clip", hint)]
    # Labels without a line are the ground truth of frames in which nothing is.
    labels.write_bytes(b"")
    assert found("cer", RESULTS["texts"], reference=labels) == []
    labels.write_text('{"pts": 0, "detections": [{"label": "cat", "box": [0, 0, 4, 4], "keypoints": [[1, 2]]}]}')
    assert found("oks_map", FULL, reference=labels) == []
    hint = "add them to the labels, or take one of map50, recall, precision, map, map50_coco, map75_coco, oks_map"
    assert found("mask_map", FULL, reference=labels) == [("E124", "the labels have no masks", hint)]
    assert found("cer", RESULTS["texts"], reference=labels) == [("E124", "the labels have no texts", hint)]


def test_damaged_labels_are_found_before_the_first_cell_runs(tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"
    labels.write_text("{}")
    message, hint = (
        f"{str(labels)!r}, line 1: pts: Field required",
        "use labels in a format that the records node writes",
    )
    assert found("map", FULL, reference=labels) == [("E112", message, hint)]
