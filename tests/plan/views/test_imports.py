"""Check that looking at a plan imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.test_imports import COMPILE

HEAVY = ("bmf", "torch", "tensorrt", "onnxruntime", "hydra", "omegaconf")

VIEWS = """
from bmfgraph.plan import diff
from bmfgraph.plan.views import mermaid, png, svg, table
from bmfgraph.runner import export
assert not {"PIL", "rich"} & set(sys.modules)
made = svg.plan_svg(plan), mermaid.plan_mermaid(plan), png.plan_png(plan), table.plan_table(plan)
assert all(made)
assert diff.plan_diff(plan, plan) == ""
"""


@pytest.mark.sample(1)
@pytest.mark.parametrize("use", ["", VIEWS], ids=["compile", "and look"])
def test_nothing_heavy_is_imported(use: str, tmp_path: Path, clip: Callable[..., Path]) -> None:
    clip("clip.mp4")
    code = f"{COMPILE}{use}\nprint('LOADED', *({HEAVY!r} & sys.modules.keys()))".replace(repr(HEAVY), repr(set(HEAVY)))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["LOADED"]
