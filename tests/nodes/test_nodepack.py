"""A node pack does what built-in kinds do: a source, a BMF module, a sink with a file, and cards on the picture."""

from __future__ import annotations

import importlib
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bmfgraph.compile import compile_pipeline
from bmfgraph.compile.part_ends import part_ends
from bmfgraph.config.job import JobSpec
from bmfgraph.config.pipeline import parse_pipeline
from bmfgraph.errors import PlanError, RunError
from bmfgraph.nodes.registry import spec_class
from bmfgraph.plan.plan import Plan
from bmfgraph.plan.views.text import node_facts, node_title
from bmfgraph.runner.export import bmf_graph
from bmfgraph.runner.preflight import preflight_errors, preflight_warnings
from bmfgraph.runner.report import summary
from bmfgraph.runner.run import run_plan
from bmfgraph.system.progress import Progress
from tests.tools import make_clip

PIPELINE = """
source: {{kind: test_pattern, frames: {frames}, promised: {promised}}}
mirror: {{kind: mirror, inputs: source}}
sink: {{kind: checksums, inputs: mirror, path: "{path}", package: {package}}}
"""
MakePlan = Callable[..., Plan]


@pytest.fixture
def plan(nodepack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakePlan]:
    spec_class.cache_clear()
    monkeypatch.syspath_prepend(str(nodepack))

    def make(path: str = "sums.txt", frames: int = 10, promised: Any = "null", package: str = "zlib") -> Plan:
        text = PIPELINE.format(path=tmp_path / path, frames=frames, promised=promised, package=package)
        return compile_pipeline(parse_pipeline({"name": "pack", "nodes": yaml.safe_load(text)}))

    yield make
    spec_class.cache_clear()


def test_it_runs_with_progress_completeness_and_latency(plan: MakePlan, tmp_path: Path) -> None:
    progress: list[Progress] = []
    outcome = run_plan(plan(frames=100), progress=progress.append)
    assert (progress[-1].done, progress[-1].total) == (100, 100)
    assert outcome.outputs == {"sink": tmp_path / "sums.txt"}
    lines = [line.split() for line in (tmp_path / "sums.txt").read_text().splitlines()]
    assert [(line[0], line[1]) for line in lines[:3]] == [("0", "0"), ("1", "1/25"), ("2", "2/25")]
    assert len(lines) == 100
    # The filter mirrors a grey frame into itself, within a level of the two colour conversions.
    levels = (zlib.crc32(bytes([level]) * (64 * 48 * 3)) for level in range(19, 23))
    assert int(lines[0][2], 16) in levels
    report = outcome.report()
    assert report["frames"] == {"in": 100, "out": 100}
    assert report["latency_ms"]["p50"] > 0
    assert {node["name"]: node["frames"] for node in report["nodes"]}["mirror"] == 100
    assert "100 frames, " in summary(outcome)[0]
    json.dumps(report)


def test_neither_a_source_of_its_own_nor_a_module_of_bmf_can_be_cut(plan: MakePlan, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"source: segments: .* its input is no file"):
        part_ends(plan())
    clip = make_clip(tmp_path / "in.mp4")
    nodes = {
        "source": {"kind": "decoder", "path": str(clip)},
        "mirror": {"kind": "mirror", "inputs": "source"},
        "sink": {"kind": "encoder", "inputs": "mirror", "path": str(tmp_path / "out.mp4")},
    }
    with pytest.raises(PlanError, match="mirror: segments: a module of BMF numbers its frames anew"):
        part_ends(compile_pipeline(parse_pipeline({"name": "pack", "nodes": nodes})))


def test_a_source_waits_for_its_consumers(plan: MakePlan, nodepack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = plan(frames=1500)
    nodepack_stage: Any = importlib.import_module("nodepack_stage")

    ahead: list[int] = []
    process = nodepack_stage.Checksums.process

    def look(self: Any, *items: Any) -> Any:
        ahead.append(nodepack_stage.Pattern.made - items[0].index)
        return process(self, *items)

    monkeypatch.setattr(nodepack_stage.Pattern, "made", 0)
    monkeypatch.setattr(nodepack_stage.Checksums, "process", look)
    run_plan(compiled)
    # BMF's queues and pending tasks hold about 70 batches between the source and the third node.
    assert max(ahead) < 100 * compiled.batch


@pytest.mark.parametrize(("frames", "text"), [(5, "promises 100 frames, but only 5"), (0, "not one frame")])
def test_a_source_that_ends_early_is_an_error(plan: MakePlan, tmp_path: Path, frames: int, text: str) -> None:
    with pytest.raises(RunError, match=text) as caught:
        run_plan(plan(frames=frames, promised=100))
    assert caught.value.problems[0].code == "E803"
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_fails_names_its_frame(plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = plan(frames=50)
    nodepack_stage: Any = importlib.import_module("nodepack_stage")

    process = nodepack_stage.Pattern.process

    def broken(self: Any) -> Iterator[Any]:
        for frame in process(self):
            if frame.index == 7:
                raise ValueError("no more paint")
            yield frame

    monkeypatch.setattr(nodepack_stage.Pattern, "process", broken)
    with pytest.raises(RunError, match=r"node 'source' \(test_pattern\), frame 7 .*no more paint"):
        run_plan(compiled)


def test_its_file_and_packages_are_checked_before_the_run(plan: MakePlan, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    errors = [error.problems[0] for error in preflight_errors(plan("folder", package="no_such_package"), JobSpec())]
    assert [(error.code, error.path) for error in errors] == [
        ("E707", "pipeline.nodes.sink"),
        ("E411", "pipeline.nodes.sink"),
    ]
    assert "no_such_package is not installed" in errors[0].message
    assert not preflight_errors(plan(), JobSpec())
    assert not preflight_warnings(plan())


def test_room_for_its_file(plan: MakePlan, small_disk: Path) -> None:
    (error,) = preflight_errors(plan(str(small_disk / "sums.txt"), frames=100_000), JobSpec())
    assert str(error).startswith("node 'sink' (checksums): about 2.0 MB will be written into ")
    assert error.problems[0].code == "E412"


def test_its_cards(plan: MakePlan) -> None:
    compiled = plan()
    assert {node.name: node_facts(compiled, node) for node in compiled if "-" not in node.name} == {
        "source": ("10 grey frames",),
        "mirror": (),
        "sink": ("sums.txt", "by zlib"),
    }
    assert node_title(compiled, compiled.node("source")) == "source: test_pattern on the CPU; 10 grey frames"


def test_its_bmf_module_is_exported(nodepack: Path, plan: MakePlan, clip: Callable[..., Path], tmp_path: Path) -> None:
    clip("in.mp4")
    text = f"""
source: {{kind: decoder, backend: bmf, path: "{tmp_path}/in.mp4"}}
mirror: {{kind: mirror, inputs: source.video}}
sink: {{kind: encoder, backend: bmf, inputs: mirror, path: "{tmp_path}/out.mp4"}}
"""
    compiled = compile_pipeline(parse_pipeline({"name": "x", "nodes": yaml.safe_load(text)}))
    (mirror,) = (node for node in bmf_graph(compiled)["nodes"] if node["alias"] == "mirror")
    assert (mirror["module_info"]["name"], mirror["option"]["name"]) == ("c_ffmpeg_filter", "hflip")
    run_plan(compiled)
    assert (tmp_path / "out.mp4").stat().st_size
