"""The plans of the packaged pipelines, compared with files in tests/golden.

When a plan is meant to change: ``pytest tests/plan/test_golden.py --regenerate-golden``, then look at the diff.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bmfgraph.compile import compile_pipeline
from bmfgraph.config.pipeline import parse_pipeline
from bmfgraph.errors import BmfgraphError
from bmfgraph.system.machine import NO_MACHINE, Gpu, Library, Machine

FOLDER = Path(__file__).parents[1] / "golden"

GPU = Machine(Gpu("NVIDIA H200", "9.0", 140 << 30), "", (Library("tensorrt", "tensorrt", "10.13.0", True),))
PLANS = {
    "super_resolution": (NO_MACHINE, ["pipeline=super_resolution"]),
    "super_resolution_temporal": (NO_MACHINE, ["pipeline=super_resolution", "model=vsr_x2_temporal"]),
    "super_resolution_gpu": (GPU, ["pipeline=super_resolution", "engine=fp16", "decoder=nvdec"]),
    "face_detection": (NO_MACHINE, ["pipeline=face_detection"]),
    "face_detection_gpu": (GPU, ["pipeline=face_detection", "engine=fp16"]),
    "segmentation_gpu": (GPU, ["pipeline=segmentation"]),
}


def without_machine(value: Any) -> Any:
    """Absolute paths, which differ from machine to machine, down to the file's name."""
    if isinstance(value, dict):
        return {key: without_machine(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_machine(item) for item in value]
    if isinstance(value, str) and value.startswith("/"):
        return f"<folder>/{Path(value).name}"
    return value


@pytest.mark.parametrize("name", PLANS)
def test_plan(name: str, compose: Callable[..., Any], samples: Any, request: pytest.FixtureRequest) -> None:
    assert samples["bigbuckbunny"]
    machine, words = PLANS[name]
    try:
        plan = compile_pipeline(parse_pipeline(compose(*words)["pipeline"]), machine)
    except BmfgraphError as error:
        if "cannot be fetched" in str(error):
            pytest.skip(str(error))
        raise
    made = json.dumps(without_machine(plan.as_json()), indent=2) + "\n"
    path = FOLDER / f"{name}.json"
    if request.config.getoption("--regenerate-golden"):
        path.write_text(made)
        return
    kept = path.read_text()
    if made != kept:
        diff = difflib.unified_diff(kept.splitlines(), made.splitlines(), str(path), "the plan now", lineterm="", n=6)
        pytest.fail(
            "\n".join(["pytest tests/plan/test_golden.py --regenerate-golden takes this over", *diff]), pytrace=False
        )


def test_there_is_no_golden_file_without_a_test() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(PLANS)


def test_compiling_twice_gives_the_same_plan(compose: Callable[..., Any], samples: Any) -> None:
    assert samples["bigbuckbunny"]
    data = compose(*PLANS["super_resolution"][1])["pipeline"]
    one, other = (compile_pipeline(parse_pipeline(data)) for _ in range(2))
    assert one == other
    assert one.hash() == other.hash()
