"""Test the checks of a sweep's options."""

from __future__ import annotations

from typing import Any

import pytest

from bmfgraph import Job, SpecError
from bmfgraph.sweep.validate import sweep_options


@pytest.mark.parametrize(
    ("sweep", "codes"),
    [
        (None, {"sweep.dir": "E204"}),
        (3, {"sweep": "E206"}),
        ({"dir": "cells", "repeats": 0, "warm": 1}, {"sweep.repeats": "E207", "sweep.warm": "E203"}),
    ],
)
def test_every_mistake_has_its_path(sweep: Any, codes: dict[str, str]) -> None:
    with pytest.raises(SpecError) as caught:
        sweep_options(Job({}, sweep=sweep, device="gpu"))
    assert {problem.path: problem.code for problem in caught.value.problems} == codes


def test_options_have_defaults() -> None:
    assert sweep_options(Job({}, sweep={"dir": "cells"})).repeats == 1
