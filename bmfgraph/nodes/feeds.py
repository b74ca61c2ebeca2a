"""Give a model's inputs that are no pictures their values: sizes, scales and numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from bmfgraph import error_codes as codes
from bmfgraph.errors import PlanError
from bmfgraph.plan.types import Placement, TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Feed", "FeedValue", "fed", "feeds_of"]

FeedValue = Literal[
    "source_width", "source_height", "tensor_width", "tensor_height", "scale_x", "scale_y", "left", "top"
]
"""A number that follows from the frame: its size, the size of the model's picture, its scale and place in that."""
_NUMBERS = ("float16", "float32", "float64", "int32", "int64", "uint8")


@dataclass(frozen=True)
class Feed:
    """The values of an input, the same for each frame."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    values: tuple[float, ...]
    """As many as the shape has elements without the batch; each frame of the batch has the same."""
    batched: bool
    """Whether the first dim counts the batch."""

    def array(self, size: int) -> NDArray[Any]:
        """Return the values for a batch of ``size`` frames, in the input's dtype and shape."""
        import numpy as np

        shape = self.shape[1:] if self.batched else self.shape
        values = np.array(self.values, self.dtype).reshape(shape)
        return np.repeat(values[None], size, axis=0) if self.batched else values


def feeds_of(
    node: str,
    inputs: Sequence[tuple[str, str, Sequence[int | str], Sequence[FeedValue | float] | None]],
    leading: TensorSpec,
    batch: int,
) -> tuple[Feed, ...]:
    """Return the values of all inputs that have some.

    Args:
        node: Name of the node, for errors.
        inputs: Name, dtype and dims of each input, and its values or None.
        leading: The model's first picture.
        batch: Frames that the model reads at once.

    Raises:
        PlanError: Values do not fit their input.
    """
    if leading.tiling and any(isinstance(value, str) for *_, values in inputs for value in values or ()):
        raise PlanError(
            node,
            "an input is fed with sizes or places of the frame, and the model reads tiles of it",
            hint="feed it with numbers, or take the tiles out",
            code=codes.FEED_MISMATCH,
        )
    place = leading.placement or Placement(0, 0, 0, 0, 1.0, 1.0, 0.0, 0.0)
    return tuple(
        fed(node, name, dtype, dims, values, place, batch) for name, dtype, dims, values in inputs if values is not None
    )


def fed(
    node: str,
    tensor: str,
    dtype: str,
    dims: Sequence[int | str],
    values: Sequence[FeedValue | float],
    placement: Placement,
    batch: int,
) -> Feed:
    """Return the values of an input.

    Args:
        node: Name of the node, for errors.
        tensor: Name of the input.
        dtype: Its dtype.
        dims: Its dims; text for a free one.
        values: Words and numbers.
        placement: Place of the frame in the model's picture.
        batch: Frames that the model reads at once. The first dim counts them if it is free, or if the others hold as
            many numbers as there are values.

    Raises:
        PlanError: The values do not fit the input.
    """
    numbers = tuple(_number(value, placement) for value in values)
    batched = bool(dims) and (isinstance(dims[0], str) or _size(dims[1:]) == len(numbers))
    rest = list(dims[1:] if batched else dims)
    free = [place for place, size in enumerate(rest) if isinstance(size, str)]
    known = max(1, _size(rest))
    if len(free) == 1 and len(numbers) % known == 0:
        rest[free[0]] = len(numbers) // known
    shape = tuple(size for size in rest if isinstance(size, int))
    if dtype not in _NUMBERS or len(shape) != len(rest) or math.prod(shape) != len(numbers):
        text = "x".join(map(str, dims)) or "a single number"
        raise PlanError(
            node,
            f"model.inputs.{tensor}.feed has {len(numbers)} value(s), but the input is {dtype}[{text}]",
            hint=f"give as many as it takes for a frame; words: {', '.join(get_args(FeedValue))}",
            code=codes.FEED_MISMATCH,
        )
    if "int" in dtype and any(number != round(number) for number in numbers):
        raise PlanError(
            node,
            f"model.inputs.{tensor}.feed gives {list(numbers)}, but the input is {dtype}",
            hint="feed whole numbers, such as source_width",
            code=codes.FEED_MISMATCH,
        )
    if batched and isinstance(dims[0], int) and dims[0] != batch:
        raise PlanError(
            node,
            f"engine.batch {batch}: input {tensor} accepts batches of {dims[0]} only",
            hint=f"set engine.batch={dims[0]}, or export the model with a free batch dimension",
            code=codes.FIXED_BATCH_SIZE,
        )
    return Feed(tensor, dtype, (batch, *shape) if batched else shape, numbers, batched)


def _size(dims: Sequence[int | str]) -> int:
    """Return the number of elements, with 1 for a free dim."""
    return math.prod(size for size in dims if isinstance(size, int))


def _number(value: FeedValue | float, place: Placement) -> float:
    if not isinstance(value, str):
        return float(value)
    numbers = {"tensor_width": place.width, "tensor_height": place.height}
    return float(numbers[value] if value in numbers else getattr(place, value))
