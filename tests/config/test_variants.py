"""Test configurations that differ from a common one in a few keys."""

from __future__ import annotations

from typing import Any

import pytest

from bmfgraph.config.compose import composed
from bmfgraph.config.variants import Variants
from bmfgraph.errors import ConfigError

COMMON = ("pipeline=super_resolution", "input=a.mp4")


@pytest.mark.sample(4)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"output": "b c, d.mp4"},
        {"latency": 0.5, "report": None},
        {"decoder.end": 2, "encoder.crf": 30},
        {"engine": "fp16"},
        {"engine": "fp16", "engine.batch": 4, "output": "x.mp4"},
        {"encoder": "x265", "encoder.crf": 20},
        {"pipeline.nodes.sink.crf": 12},
        {"pipeline.nodes.source.start": 1.5},
        {"model": "vsr_x2_quality"},
    ],
)
def test_a_variant_is_what_hydra_composes(changes: dict[str, Any]) -> None:
    words = [f"{key}={'null' if value is None else value}" for key, value in changes.items()]
    variants = Variants.of_arguments(COMMON)
    assert variants.config(changes) == composed([*COMMON, *words])
    # The common configuration stays as it is.
    assert variants.config({}) == composed(COMMON)


def test_values_of_python() -> None:
    variants = Variants.of_values("super_resolution", ("encoder.crf=20",), (), {"input": "a.mp4", "engine": "fp16"})
    config = variants.config({"output": "x.mp4"})
    assert (config["output"], config["encoder"]["crf"], config["engine"]["precision"]) == ("x.mp4", 20, "fp16")


@pytest.mark.parametrize("changes", [{"ouput": "x.mp4"}, {"output.x": 3}, {"engine": "fp17"}])
def test_keys_that_do_not_exist(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Variants.of_arguments(COMMON).config(changes)
