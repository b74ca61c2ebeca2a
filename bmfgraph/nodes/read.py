"""``read``: read a line of text in each frame from a model's scores of characters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from bmfgraph import error_codes as codes
from bmfgraph.errors import FieldError, PlanError
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.decode import ReadDecode
from bmfgraph.nodes.fields import Axis, TensorAxes, TensorLayout
from bmfgraph.nodes.results import described_output, known_size, model_outputs
from bmfgraph.plan.description import Inferred, Requirement
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import Device, Port, PortType, TensorSpec, TextsSpec

__all__ = ["ReadParams", "ReadSpec"]

_WANTED: tuple[Axis, ...] = ("time", "classes")


@dataclass(frozen=True)
class ReadParams:
    """The scores that text is read from, and the characters that they stand for."""

    output: TensorAxes
    blank: int
    """Number of the class for no character."""
    charset: tuple[str, ...]
    """The character of each class; empty for the blank."""
    threshold: float
    box: tuple[int, int, int, int]
    """Left, top, right and bottom edge of what the model sees, in pixels of the source frame."""


class ReadSpec(NodeSpec):
    """Reads one line of text in each frame: the best character at each step in time (greedy CTC)."""

    kind: Literal["read"] = "read"
    decode: ReadDecode | None = Field(default=None, description="Null: the model's own.")
    threshold: float | None = Field(
        default=None, ge=0, le=1, description="Minimum mean score of a text; null: the model's."
    )

    stage: ClassVar[str] = "bmfgraph.stages.read:Read"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        name = node.name
        outputs, decode, frames, placement = model_outputs(
            name, inputs[0], self.decode, ReadDecode, "{preset: ppocr_rec, charset: 'file:CHARACTERS.txt'}"
        )
        output, charset = described_output(name, outputs, lambda tensor, layout: _scores(name, tensor, layout, decode))
        left, top, width, height = placement.shown_part()
        params = ReadParams(
            output=output,
            blank=0 if decode.blank == "first" else len(charset) - 1,
            charset=charset,
            threshold=decode.threshold if self.threshold is None else self.threshold,
            box=(left, top, left + width, top + height),
        )
        return Inferred((Port("out", TextsSpec(frames)),), params)

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        params: ReadParams = node.params
        return f"{len(params.charset) - 1:,} characters", f"threshold {params.threshold:g}"


def _scores(
    name: str, tensor: TensorSpec, layout: TensorLayout, decode: ReadDecode
) -> tuple[TensorAxes, tuple[str, ...]]:
    """Return how to read the scores, and the character of each class, with an empty text for the blank."""
    output = layout.arrange(tensor, _WANTED)
    time, size = output.sizes
    characters = decode.characters()
    if decode.charset is not None and size != len(characters) + 1 == time:
        swapped = {"time": "classes", "classes": "time"}
        dims = [swapped.get(axis, axis) for axis in layout.dims or ("batch", *_WANTED)]
        raise FieldError(
            f"{tensor.name} ({tensor}): {len(characters):,} characters and a blank need {time:,} classes, and that is "
            f"the size of the dim for time",
            f"write dims: [{', '.join(dims)}]",
        )
    known_size(tensor, output, axis=1)
    if decode.charset is None or size != len(characters) + 1:
        raise _misfit(name, decode, tensor.name, size or 0)
    blank = ("",)
    return output, (*blank, *characters) if decode.blank == "first" else (*characters, *blank)


def _misfit(name: str, decode: ReadDecode, tensor: str, size: int) -> PlanError:
    """Describe characters that are missing, or that are more or fewer than the scores."""
    count, hint = len(decode.characters()), "correct model.decode.charset, or the dims of the output"
    if decode.charset is None:
        message = f"the {size - 1:,} characters are unknown: neither the config nor the model's file has them"
        hint = "set model.decode.charset to a list, or file:CHARACTERS.txt with one in each line"
    else:
        space = " with the space" if decode.space else ""
        message = (
            f"decode.charset has {count:,} character(s){space}, which makes {count + 1:,} with the blank, but "
            f"{tensor} scores {size:,}"
        )
        if size == count + 2 and not decode.space:
            hint = "set model.decode.space=true if the last score stands for a space, as in PaddleOCR's models"
        elif size == count and decode.space:
            hint = "set model.decode.space=false: the model has no score for a space, or charset lists it already"
    return PlanError(name, message, hint=hint, code=codes.LABEL_COUNT_MISMATCH)
