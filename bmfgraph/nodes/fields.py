"""Describe which numbers of an output tensor mean what, and check it against the tensor's shape."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import Field, field_validator, model_validator

from bmfgraph.errors import FieldError, did_you_mean
from bmfgraph.nodes.base import Partial
from bmfgraph.plan.types import TensorSpec

__all__ = ["Activation", "Axis", "OutputField", "TensorAxes", "TensorFields", "TensorLayout"]

Activation = Literal["none", "sigmoid", "softmax", "exp"]
Axis = Literal[
    "batch", "candidates", "fields", "classes", "height", "width", "channels", "time", "prototypes", "embedding", "rows"
]

_WIDTHS = {
    "box": 4, "cx": 1, "cy": 1, "w": 1, "h": 1, "angle": 1, "objectness": 1, "score": 1, "label": 1, "count": 1,
}  # fmt: skip
"""Numbers of each field that has a fixed width."""
_SIZED = {"distances": 4, "mask": 1, "keypoints": 1, "embedding": 1, "skip": 1}
"""Fields whose name is followed by a size, and by how much it is multiplied."""
_POINTS = "keypoints"
"""The field whose size has two parts: points, and numbers of each."""
_OPEN = "scores"
"""The field that takes the numbers that the others leave."""
_SIZE = re.compile(r"([1-9][0-9]{0,3})(?:x([23]))?")
_DEFAULT_AXES: dict[int, tuple[Axis, ...]] = {
    2: ("batch", "candidates"),
    3: ("batch", "candidates", "fields"),
    4: ("batch", "fields", "height", "width"),
}


@dataclass(frozen=True)
class OutputField:
    """Some neighbouring numbers of each candidate."""

    role: str
    start: int
    width: int
    activation: Activation = "none"
    group: int = 1
    """Numbers of each point."""


@dataclass(frozen=True)
class TensorFields:
    """How to read an output tensor as a table with a row for each candidate."""

    tensor: str
    axes: tuple[int, ...]
    """Order of the tensor's axes, without the batch, that puts the axis of the fields last."""
    has_fields: bool
    """Whether the last axis holds the fields; otherwise each candidate has a single number."""
    fields: tuple[OutputField, ...]
    rows: int | None
    """Number of candidates; None: free."""
    stride: int | None
    """Pixels of the model's input per cell, for an output that holds a single level of a grid."""

    def field(self, role: str) -> OutputField | None:
        """Return the field with that role; None if there is none."""
        return next((field for field in self.fields if field.role == role), None)


@dataclass(frozen=True)
class TensorAxes:
    """How to read an output tensor whose axes come in a certain order."""

    tensor: str
    axes: tuple[int, ...]
    """Order of the tensor's axes, without the batch: axes of size 1 that have no meaning, then the wanted ones."""
    sizes: tuple[int | None, ...]
    """Sizes of the wanted axes; None: free."""
    activation: Activation


Layout = TypeVar("Layout", bound="TensorLayout")


class TensorLayout(Partial):
    """The meaning of the axes and numbers of an output that is not an image."""

    dims: Annotated[tuple[Axis, ...], Field(min_length=2, max_length=5)] | None = Field(
        default=None,
        description="Meaning of each dim. Null: batch and candidates, then fields; with 4 dims: fields, height, width.",
    )
    fields: tuple[str, ...] | None = Field(
        default=None,
        description="Numbers of each candidate in order: box, cx, cy, w, h, objectness, score, scores (all that the "
        "others leave), label, count, angle in radians, distances:BINS, mask:N, keypoints:NxM with M = 2 (x, y) or 3 "
        "(x, y, score), embedding:N, skip:N.",
    )
    activation: Activation | dict[str, Activation] = Field(
        default="none", description="Function that makes probabilities of all fields, or of the named ones."
    )
    stride: int | None = Field(
        default=None, ge=1, description="Pixels per cell, where each level of a grid has an output of its own."
    )

    @field_validator("fields")
    @classmethod
    def _known(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for text in value or ():
            _width(text)
        if value is not None and sum(text == _OPEN for text in value) > 1:
            raise FieldError(f"{list(value)}: only one field can take what the others leave", "name scores once")
        return value

    @model_validator(mode="after")
    def _activations_of_fields(self) -> TensorLayout:
        roles = [text.partition(":")[0] for text in self.fields or (_OPEN,)]
        for name in self.activation if isinstance(self.activation, dict) else ():
            if name not in roles:
                raise FieldError(
                    f"activation names {name!r}, which is not one of the fields{did_you_mean(name, roles)}; "
                    f"fields: {', '.join(roles)}",
                    "correct `activation`",
                )
        return self

    @field_validator("dims")
    @classmethod
    def _one_of_each(cls, value: tuple[Axis, ...] | None) -> tuple[Axis, ...] | None:
        if value is not None and (len(set(value)) < len(value) or value[0] not in ("batch", "rows")):
            raise FieldError(
                f"{list(value)}: each dim has a name of its own, and the first is batch, "
                "or rows where the model counts its detections there",
                "correct dims",
            )
        return value

    @property
    def counts_rows(self) -> bool:
        """Whether the first dim counts the detections instead of the batch."""
        return self.dims is not None and self.dims[0] == "rows"

    def batched(self: Layout) -> Layout:
        """Return the layout of the same output with a batch dim in front."""
        if not self.counts_rows or self.dims is None:
            return self
        return self.model_copy(update={"dims": ("batch", "candidates", *self.dims[1:])})

    def read(self, tensor: TensorSpec) -> TensorFields:
        """Compare the description with a tensor, and return how to read it.

        Args:
            tensor: An output of the model, with its batch dim.

        Raises:
            FieldError: The description does not fit the shape.
        """
        shape, fields = tensor.shape, self.fields or ("scores",)
        dims = self.dims or _DEFAULT_AXES.get(len(shape), ())
        if not dims and not self.dims:
            raise FieldError(f"{tensor.name} has {len(shape)} dims", "describe each of them in `dims`")
        if len(dims) != len(shape):
            raise FieldError(
                f"{tensor.name} ({tensor}) has {len(shape)} dims, and dims [{', '.join(dims)}] names {len(dims)}",
                "name each dim of the tensor",
            )
        axis = next((index for index, name in enumerate(dims) if name in ("fields", "classes")), None)
        if axis is not None and not self._fits(shape[axis]):
            raise self._misfit(tensor, dims, axis)
        if axis is None and sum(_width(text) or 1 for text in fields) != 1:
            raise FieldError(
                f"{tensor.name} ({tensor}) has one number for each candidate, not [{', '.join(fields)}]",
                "name the dim of the fields in `dims`, or name a single field",
            )
        others = [index for index in range(1, len(dims)) if index != axis]
        sizes = [shape[index] for index in others]
        rows = None if None in sizes else math.prod(size for size in sizes if size is not None)
        order = [*others, *([axis] if axis is not None else [])]
        total = shape[axis] if axis is not None else 1
        return TensorFields(
            tensor=tensor.name,
            axes=tuple(index - 1 for index in order),
            has_fields=axis is not None,
            fields=tuple(self._cut(total or 0)),
            rows=rows,
            stride=self.stride,
        )

    def arrange(self, tensor: TensorSpec, wanted: tuple[Axis, ...]) -> TensorAxes:
        """Compare the dims with a tensor, and return how to bring the wanted axes into order.

        Args:
            tensor: An output of the model, with its batch dim.
            wanted: Axes in the order in which they are read. Without ``dims``, they are the tensor's, in this order.

        Raises:
            FieldError: The tensor does not have these axes.
        """
        if self.fields not in (None, ("scores",), ("label",)) or isinstance(self.activation, dict):
            key = "activation" if isinstance(self.activation, dict) else "fields"
            raise FieldError(
                f"{tensor.name} ({tensor}) has no fields, because each frame has one result with the dims "
                f"{', '.join(wanted)}, but `{key}` names some",
                "leave `fields` out, and give one `activation` for all numbers",
            )
        shape = tensor.shape
        dims: tuple[str, ...] = self.dims or ("batch", *wanted, *("" for _ in shape[len(wanted) + 1 :]))
        missing = [name for name in wanted if name not in dims]
        if len(dims) != len(shape) or missing:
            raise FieldError(
                f"{tensor.name} ({tensor}) has {len(shape)} dims, and dims [{', '.join(filter(None, dims))}] "
                + (f"lack {missing[0]}" if missing else f"name {len(dims)}"),
                f"name each dim of the tensor, such as [batch, {', '.join(wanted)}]",
            )
        axes = [dims.index(name) for name in wanted]
        others = [axis for axis in range(1, len(dims)) if axis not in axes]
        for axis in others:
            if shape[axis] != 1:
                raise FieldError(
                    f"{tensor.name} ({tensor}): dim {axis} ({dims[axis] or 'without a name'}) must be 1, because each "
                    f"frame has one result with the dims {', '.join(wanted)}",
                    f"name the dims as they are, such as [batch, {', '.join(wanted)}], or set another decode.task",
                )
        activation = self.activation if isinstance(self.activation, str) else "none"
        return TensorAxes(
            tensor.name, tuple(axis - 1 for axis in (*others, *axes)), tuple(shape[axis] for axis in axes), activation
        )

    def _cut(self, total: int) -> list[OutputField]:
        texts = self.fields or ("scores",)
        spare = total - sum(_width(text) or 0 for text in texts)
        start, cut = 0, []
        for text in texts:
            role, width = text.partition(":")[0], _width(text) or spare
            activation = self.activation if isinstance(self.activation, str) else self.activation.get(role, "none")
            group = int(text[-1]) if role == _POINTS else 1
            cut.append(OutputField(role, start, width, activation, group))
            start += width
        return cut

    def _fits(self, size: int | None) -> bool:
        """Return whether the fields can have as many numbers as an axis."""
        texts = self.fields or ("scores",)
        fixed, is_open = sum(_width(text) or 0 for text in texts), _OPEN in texts
        return size is not None and (size > fixed if is_open else size == fixed)

    def _misfit(self, tensor: TensorSpec, dims: tuple[str, ...], axis: int) -> FieldError:
        """Describe fields that do not add up to their axis, with an order of the dims in which they do."""
        size, shape = tensor.shape[axis], tensor.shape
        widths = " + ".join(f"{_width(text) or 'scores'}" for text in self.fields or ("scores",))
        if size is None:
            return FieldError(f"{tensor.name} ({tensor}): its dim {axis} is free", "export it with that dim fixed")
        message = f"{tensor.name} ({tensor}): dim {axis} holds {size} numbers, and the fields are {widths}"
        for other in range(1, len(shape)):
            # A plausible axis of fields is shorter than the axis that counts the candidates.
            if other != axis and self._fits(shape[other]) and (shape[other] or 0) < size:
                swapped = list(dims)
                swapped[axis], swapped[other] = swapped[other], swapped[axis]
                return FieldError(message, f"write dims: [{', '.join(swapped)}]")
        return FieldError(message, "correct `fields`, so that their widths add up")


def _width(text: str) -> int | None:
    """Return how many numbers a field has; None for the one that takes what the others leave.

    Raises:
        FieldError: The text is not a field.
    """
    name, colon, size = text.partition(":")
    if name in _SIZED and (match := _SIZE.fullmatch(size)) and (name == _POINTS) == bool(match[2]):
        return int(match[1]) * int(match[2] or 1) * _SIZED[name]
    if not colon and name in _WIDTHS:
        return _WIDTHS[name]
    if text == _OPEN:
        return None
    allowed = list(
        itertools.chain(_WIDTHS, [_OPEN], (f"{word}:{'NxM' if word == _POINTS else 'N'}" for word in _SIZED))
    )
    near = did_you_mean(name, [*_WIDTHS, _OPEN, *_SIZED])
    raise FieldError(f"{text!r} is not a field{near}; fields: {', '.join(allowed)}", "correct `fields`")
