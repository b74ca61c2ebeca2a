"""Compare an engine's inputs and outputs with those of the plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bmfgraph.engines.key import Profile
from bmfgraph.engines.runtimes.bindings import Binding, check_bindings
from bmfgraph.errors import EngineError
from tests.tools import engine_request

SMALL = Profile((1, 3, 16, 16), (1, 3, 24, 32), (2, 3, 48, 64))
LARGE = Profile((1, 3, 48, 64), (1, 3, 96, 96), (4, 3, 96, 96))


def taken(name: str = "input", dtype: str = "UINT8", *profiles: Profile, dims: Any = (-1, 3, -1, -1)) -> Binding:
    return Binding(name, True, dtype, dims, profiles or (SMALL,))


def given(name: str = "output", dtype: str = "FLOAT", dims: Any = (-1, 3, -1, -1)) -> Binding:
    return Binding(name, False, dtype, dims)


def check(bindings: list[Binding], shape: tuple[int, ...], **more: tuple[int, ...]) -> int:
    shapes = {"input": shape, **more}
    request = engine_request(
        Path("my.plan"),
        input_shapes=tuple(shapes.items()),
        tensors=(*((name, "uint8") for name in shapes), ("output", "float32")),
    )
    return check_bindings("net", request, bindings)


ONE, FOUR = (1, 3, 24, 32), (4, 3, 96, 96)


@pytest.mark.parametrize(
    ("bindings", "shape", "profile"),
    [
        ([taken(), given()], ONE, 0),
        ([given(), taken()], ONE, 0),
        ([taken("input", "UINT8", SMALL, LARGE), given()], ONE, 0),
        ([taken("input", "UINT8", SMALL, LARGE), given()], FOUR, 1),
        # Whatever floating point comes out is converted where it is read.
        ([taken(), given("output", "HALF")], ONE, 0),
        ([taken(), given("output", "BF16")], ONE, 0),
        # Outputs that the model's file does not have are left alone.
        ([taken(), given(), given("extra", "INT64")], ONE, 0),
        ([taken("input", "UINT8", Profile(ONE, ONE, ONE), dims=ONE), given()], ONE, 0),
    ],
)
def test_an_engine_that_fits(bindings: list[Binding], shape: tuple[int, ...], profile: int) -> None:
    assert check(bindings, shape) == profile


def test_one_profile_must_hold_all_inputs() -> None:
    bindings = [taken("input", "UINT8", SMALL, LARGE), taken("other", "UINT8", SMALL, LARGE), given()]
    assert check(bindings, (2, 3, 48, 64), other=(2, 3, 96, 96)) == 1
    with pytest.raises(EngineError, match=r"has no optimization profile for .*\(1, 3, 16, 16\).*\(4, 3, 96, 96\)"):
        check(bindings, (1, 3, 16, 16), other=FOUR)


NAME = "name the ONNX file that it was built from as model.file, or build it again"
SIZE = "set the preprocess node's `size` or engine.batch within it, or build an engine for this shape"


# ruff: noqa: E501
@pytest.mark.parametrize(
    ("bindings", "shape", "message", "hint"),
    [
        ([taken("image"), given()], ONE, "has no input input; its inputs: image uint8[?x3x?x?]", NAME),
        ([taken(), given("scores")], ONE, "has no output output; its outputs: scores float32[?x3x?x?]", NAME),
        ([given("input"), taken("image"), given()], ONE, "has no input input; its inputs: image uint8[?x3x?x?]", NAME),
        ([taken("input", "FLOAT"), given()], ONE, "has the input input float32[?x3x?x?], and the model's is uint8", NAME),
        ([taken("input", "HALF"), given()], ONE, "has the input input float16[?x3x?x?], and the model's is uint8", NAME),
        ([taken(), given("output", "INT32")], ONE, "has the output output int32[?x3x?x?], and the model's is float32", NAME),
        ([taken(), given("output", "FP8")], ONE, "has the output output FP8[?x3x?x?], and the model's is float32", NAME),
        ([taken(), taken("other"), given()], ONE, "has the input other uint8[?x3x?x?], for which no shape is given; given: input", NAME),
        ([taken(dims=(3, -1, -1)), given()], ONE, "has the input input uint8[3x?x?], and the frames make [1, 3, 24, 32]", NAME),
        ([taken(), given()], FOUR, "takes input of [1, 3, 16, 16] to [2, 3, 48, 64], and the frames make [4, 3, 96, 96]", SIZE),
        ([taken("input", "UINT8", SMALL, LARGE), given()], (1, 3, 8, 8), "takes input of [1, 3, 16, 16] to [2, 3, 48, 64] or [1, 3, 48, 64] to [4, 3, 96, 96], and the frames make [1, 3, 8, 8]", SIZE),
    ],
)  # fmt: skip
def test_an_engine_that_does_not_fit(bindings: list[Binding], shape: tuple[int, ...], message: str, hint: str) -> None:
    with pytest.raises(EngineError) as caught:
        check(bindings, shape)
    assert str(caught.value) == f"pipeline.nodes.net: engine 'my.plan' {message}\n  → {hint}"
