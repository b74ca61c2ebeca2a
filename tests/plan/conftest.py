"""Plans to look at: short ones made from YAML, and those of the packaged pipelines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bmfgraph.compile import compile_pipeline
from bmfgraph.config.pipeline import parse_pipeline
from bmfgraph.errors import BmfgraphError
from bmfgraph.plan.plan import Plan
from tests.compile.conftest import plan
from tests.plan.test_golden import PLANS

__all__ = ["packaged", "plan"]


@pytest.fixture(scope="session")
def packaged(compose: Callable[..., Any], samples: Any) -> Callable[[str], Plan]:
    """``packaged("face_detection_gpu")`` is the plan that the golden file of that name holds."""
    made: dict[str, Plan] = {}

    def make(name: str) -> Plan:
        assert samples["bigbuckbunny"]
        if name not in made:
            machine, words = PLANS[name]
            try:
                made[name] = compile_pipeline(parse_pipeline(compose(*words)["pipeline"]), machine)
            except BmfgraphError as error:
                if "cannot be fetched" in str(error):
                    pytest.skip(str(error))
                raise
        return made[name]

    return make
