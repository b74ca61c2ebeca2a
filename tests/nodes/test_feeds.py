"""Values of inputs that are no pictures."""

from __future__ import annotations

from typing import Any

import pytest

from bmfgraph.errors import PlanError
from bmfgraph.nodes.feeds import Feed, fed
from bmfgraph.plan.types import Placement

PLACE = Placement(1280, 720, 640, 640, 0.5, 0.5, 0.0, 140.0)


def feed(dtype: str, dims: tuple[int | str, ...], *values: Any, batch: int = 1) -> Feed:
    return fed("net", "sizes", dtype, dims, values, PLACE, batch)


def test_words_become_numbers_of_the_frame() -> None:
    words = ("source_width", "source_height", "tensor_height", "tensor_width", "scale_y", "scale_x", "left", "top", 0.5)
    assert feed("float32", (1, 9), *words).values == (1280, 720, 640, 640, 0.5, 0.5, 0, 140, 0.5)


@pytest.mark.parametrize(
    ("dims", "batch", "shape", "batched"),
    [
        (("N", 2), 4, (4, 2), True),
        ((1, 2), 1, (1, 2), True),
        ((2,), 4, (2,), False),
        (("N", "M"), 2, (2, 2), True),
        (("N",), 3, (3,), None),
    ],
)
def test_the_first_dim_counts_the_batch(dims: Any, batch: int, shape: tuple[int, ...], batched: bool | None) -> None:
    if batched is None:
        assert feed("int64", dims, 7, batch=batch).shape == shape
        return
    result = feed("int64", dims, "source_width", 3, batch=batch)
    assert (result.shape, result.batched) == (shape, batched)
    array = result.array(batch)
    assert (array.dtype.name, array.shape) == ("int64", shape)
    assert array.reshape(-1, 2).tolist() == [[1280, 3]] * (batch if batched else 1)


def test_a_number_without_dims() -> None:
    assert feed("float32", (), 0.25).array(4).tolist() == 0.25


@pytest.mark.parametrize(
    ("dtype", "dims", "values", "words"),
    [
        ("int64", (1, 2), (1,), r"has 1 value\(s\), but the input is int64\[1x2\]"),
        ("int64", (1, 2), (1, 2, 3), r"has 3 value\(s\), but the input is int64\[1x2\]"),
        ("string", (1,), (1,), r"but the input is string\[1\]"),
        ("int64", (1, 2), (1, "scale_x"), r"gives \[1.0, 0.5\], but the input is int64"),
    ],
)
def test_values_that_do_not_fit(dtype: str, dims: Any, values: Any, words: str) -> None:
    with pytest.raises(PlanError, match=words) as error:
        feed(dtype, dims, *values)
    assert error.value.problems[0].code == "E362"


def test_a_fixed_batch_of_another_size() -> None:
    with pytest.raises(PlanError, match=r"engine\.batch 4: input sizes accepts batches of 1 only"):
        feed("int64", (1, 2), 1, 2, batch=4)
