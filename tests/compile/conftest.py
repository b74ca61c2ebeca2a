"""Plans made from short YAML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from bmfgraph.compile import PASSES
from bmfgraph.compile.lower import lower
from bmfgraph.compile.verify import verify
from bmfgraph.plan import Plan
from bmfgraph.spec import parse_pipeline
from tests.tools import double_model, negate_model

Clip = Callable[..., Path]


@pytest.fixture
def plan(clip: Clip, tmp_path: Path) -> Callable[..., Plan]:
    """Parses YAML and runs the passes up to and including the one named."""
    clip("clip.mp4", audio="aac")
    clip("silent.mp4")
    double_model(tmp_path / "double.onnx")
    negate_model(tmp_path / "negate.onnx")

    def make(text: str, until: Callable[[Plan], Plan] | None = verify) -> Plan:
        made = lower(parse_pipeline({"name": "x", "nodes": yaml.safe_load(text.replace("@", f"{tmp_path}/"))}))
        for one in PASSES if until else ():
            made = one(made)
            if one is until:
                break
        return made

    return make
