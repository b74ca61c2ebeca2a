"""Plans made from short YAML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bmfgraph.compile import PASSES
from bmfgraph.compile.build_plan import build_plan
from bmfgraph.compile.verify import verify
from bmfgraph.config.pipeline import parse_pipeline
from bmfgraph.errors import one_error
from bmfgraph.plan.plan import Plan
from bmfgraph.system.machine import NO_MACHINE, Machine
from tests.tools import detector_model, double_model, mix_model, negate_model, quantised_model

Clip = Callable[..., Path]


@pytest.fixture
def plan(clip: Clip, tmp_path: Path) -> Callable[..., Plan]:
    """Parses YAML and runs the passes, for a machine, up to and including the one named; raises the plan's errors."""
    clip("clip.mp4", audio="aac")
    clip("silent.mp4")
    double_model(tmp_path / "double.onnx")
    negate_model(tmp_path / "negate.onnx")
    detector_model(tmp_path / "detector.onnx")
    mix_model(tmp_path / "mix.onnx")
    quantised_model(tmp_path / "quantised.onnx")

    def make(
        text: str,
        until: Callable[[Plan], Plan] | None = verify,
        *,
        machine: Machine = NO_MACHINE,
        device: Any = "auto",
    ) -> Plan:
        made = build_plan(parse_pipeline({"name": "x", "nodes": yaml.safe_load(text.replace("@", f"{tmp_path}/"))}))
        made = replace(made, machine=machine, device=device)
        for one in PASSES if until else ():
            made = one(made)
            if one is until:
                break
        # Passes before the last one may be tried on nodes that nobody takes from.
        errors = [error for error in made.errors if until is verify or error.problems[0].code != "E304"]
        if errors:
            raise one_error(errors)
        return made

    return make
