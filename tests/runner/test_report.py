"""Test the sums of the report; other tests check the reports of real runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bmfgraph.plan.plan import Plan
from bmfgraph.runner.monitor import NodeTimings
from bmfgraph.runner.report import SCHEMA, summary
from bmfgraph.runner.result import RunResult, percentile
from bmfgraph.runner.series import Series
from tests.tools import node


@pytest.mark.parametrize("count", [1, 2, 3, 10, 99, 100, 101])
@pytest.mark.parametrize("percent", [0, 1, 50, 95, 99, 100])
def test_percentiles_are_numpys_nearest_rank(count: int, percent: float) -> None:
    values = np.sort(np.random.default_rng(count).random(count))
    assert percentile(list(values), percent) == np.percentile(values, percent, method="inverted_cdf")


@pytest.fixture
def outcome(tmp_path: Path) -> RunResult:
    """Return a result of ``run_plan`` for a decoder and an encoder."""
    from dataclasses import replace

    from bmfgraph.compile.infer_types import infer_types
    from bmfgraph.media.probe import probe
    from tests.tools import make_clip

    clip = make_clip(tmp_path / "in.mp4", frames=4)
    written = make_clip(tmp_path / "out.mp4", frames=4)
    source = replace(node("decoder", name="source", path=str(clip)), metadata=probe(clip), bmf_node="source")
    sink = replace(node("encoder", "source.video", name="sink", path=str(written)), bmf_node="sink")
    plan = infer_types(Plan("copy", (source, sink)))
    timings = {
        "source": NodeTimings("source", "decoder", Series([0.004, 0.001, 0.002, 0.003]), 4),
        "sink": NodeTimings("sink", "encoder", Series(), 4, Series([1, 3])),
    }
    sizes = {"sink": written.stat().st_size}
    return RunResult(
        plan,
        0.5,
        4,
        0.2,
        10.0,
        {"sink": written},
        sizes,
        timings,
        {},
        {"pyav": "8", "bmf": "4"},
        ("a warning",),
        123,
        None,
    )


def test_a_report_adds_up_and_is_json(outcome: RunResult) -> None:
    report = json.loads(json.dumps(replace(outcome, config={"input": "x"}, quality={"psnr_y": 40.0}).report()))
    assert report["schema"] == SCHEMA == 1
    assert report["frames"] == {"in": 4, "out": 4}
    assert (report["seconds"], report["fps"]) == (0.5, 8.0)
    assert report["plan"] == {"name": "copy", "hash": outcome.plan.hash()}
    source, sink = report["nodes"]
    assert source["call_ms"] == {"mean": 2.5, "p50": 2.0, "p95": 4.0, "p99": 4.0}
    assert (source["calls"], source["seconds"], source["frame_ms"], source["queue"]) == (4, 0.01, 2.5, None)
    assert (sink["call_ms"], sink["queue"]) == (None, {"mean": 2.0, "max": 3})
    assert report["outputs"] == [
        {"node": "sink", "path": str(outcome.outputs["sink"]), "bytes": outcome.outputs["sink"].stat().st_size}
    ]
    assert (report["config"], report["quality"], report["warnings"]) == (
        {"input": "x"},
        {"psnr_y": 40.0},
        ["a warning"],
    )
    assert report["machine"]["packages"]["pydantic"]
    assert report["memory"] == {"peak_rss": 123, "peak_gpu": None}
    assert (report["first_frame_seconds"], report["steady_fps"]) == (0.2, 10.0)


def test_the_summary_says_what_was_written(outcome: RunResult) -> None:
    (line,) = summary(outcome)
    size = outcome.outputs["sink"].stat().st_size / 1e3
    assert line == f"{outcome.outputs['sink']}: 4 frames, 64x48, 25 fps, {size:.1f} kB in 0.5 s (8.0 fps)"
