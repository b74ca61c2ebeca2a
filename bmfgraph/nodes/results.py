"""Find the outputs of a model, and the settings of a task, for a node that reads results from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import TypeVar

from bmfgraph import error_codes as codes
from bmfgraph.errors import FieldError, PlanError
from bmfgraph.nodes.base import Frozen
from bmfgraph.nodes.decode import Decode, LabelledDecode
from bmfgraph.nodes.fields import TensorAxes, TensorLayout
from bmfgraph.plan.types import BundleSpec, FrameSpec, Placement, PortType, TensorSpec

__all__ = ["declaration_hash", "described_output", "known_size", "label_names", "model_outputs"]

_Decode = TypeVar("_Decode", bound=Decode)
_Read = TypeVar("_Read")


def model_outputs(
    name: str, source: PortType, own: _Decode | None, task: type[_Decode], example: str
) -> tuple[BundleSpec, _Decode, FrameSpec, Placement]:
    """Return a model's outputs, how to read results from them, the frames it has read, and their place in its input.

    Args:
        name: Name of the node.
        source: Type of the node's input.
        own: The node's own settings; None: those of the model.
        task: The settings that the node understands.
        example: Settings for the hint.

    Raises:
        PlanError: The input is not a model, or its config describes nothing or another task.
    """
    word = task.model_fields["task"].default
    if not isinstance(source, BundleSpec) and not (isinstance(source, TensorSpec) and source.meaning is None):
        raise PlanError(
            name,
            f"expects the outputs of a model, not {source}",
            hint="connect it to an inference node, whose output is described by dims and fields, not as a picture",
            code=codes.DETECTOR_EXPECTED,
        )
    decode = own or (source.decode if isinstance(source, BundleSpec) else None)
    if own and own.words:
        key, word = next(iter(own.words.items()))
        raise PlanError(
            name,
            f"decode.{key} {word!r}: only the config of a model can name what is in the model's file",
            hint=f"write it as model.decode.{key}, and leave decode.{key} of the node out",
            code=codes.MISSING_MODEL_METADATA,
        )
    if decode is None or not isinstance(source, BundleSpec):
        raise PlanError(
            name,
            "the model's config does not describe how to read results from its outputs",
            hint=f"set model.decode, such as {example}, or describe model.outputs as well",
            code=codes.MISSING_DECODE,
        )
    if not isinstance(decode, task):
        raise PlanError(
            name,
            f"reads the task {word}, but model.decode.task is {decode.task}",
            hint=f"use the node that reads the task {decode.task}, or set model.decode, such as {example}",
            code=codes.MISSING_DECODE,
        )
    frames, placement = source.tensors[0].source, source.tensors[0].placement
    if frames is None or placement is None:
        raise PlanError(
            name,
            "the position of the source frame in the model's input is unknown, so results cannot be mapped back",
            hint="feed the model from a preprocess node",
            code=codes.UNKNOWN_BOX_PLACEMENT,
        )
    return source, _with_labels(decode, source.decode), frames, placement


def _with_labels(decode: _Decode, model: Decode | None) -> _Decode:
    """Return a node's settings with the labels of the model, if they leave them out."""
    labels = model.labels if isinstance(model, LabelledDecode) else None
    return decode.model_copy(update={"labels": labels}) if labels and getattr(decode, "labels", ()) is None else decode


def declaration_hash(inputs: Mapping[str, Frozen], outputs: PortType) -> str:
    """Return the SHA-256 of the meaning of a model's tensors.

    Args:
        inputs: Meaning of each input, by name.
        outputs: Type of the model's outputs.
    """
    decode, layouts = (outputs.decode, outputs.layouts) if isinstance(outputs, BundleSpec) else (None, ())
    parts = {
        "inputs": {name: meaning.model_dump(mode="json") for name, meaning in inputs.items()},
        "outputs": {name: meaning.model_dump(mode="json") for name, meaning in layouts},
        "decode": decode.model_dump(mode="json") if decode is not None else None,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def described_output(name: str, outputs: BundleSpec, read: Callable[[TensorSpec, TensorLayout], _Read]) -> _Read:
    """Read the only output that matters: the only one that the model describes, else its only one.

    Args:
        name: Name of the node.
        outputs: The model's outputs.
        read: Function of the output and its layout, which raises a FieldError where they do not fit.

    Raises:
        PlanError: There are several, or the description does not fit.
    """
    by_name = {tensor.name: tensor for tensor in outputs.tensors}
    layouts = dict(outputs.layouts) or {tensor: TensorLayout() for tensor in by_name}
    if len(layouts) != 1:
        raise PlanError(
            name,
            f"the model has several outputs ({', '.join(by_name)}), and {len(outputs.layouts)} are described",
            hint="describe the one that holds the result under model.outputs",
            code=codes.MISSING_OUTPUT_FIELD,
        )
    ((tensor, layout),) = layouts.items()
    try:
        return read(by_name[tensor], layout)
    except FieldError as error:
        raise PlanError(name, f"model.outputs.{tensor}: {error}", hint=error.hint, code=codes.FIELDS_MISMATCH) from None


def known_size(tensor: TensorSpec, output: TensorAxes, axis: int = 0) -> TensorAxes:
    """Return how an output is read, if the size of a wanted axis is known.

    Raises:
        FieldError: It is free.
    """
    if output.sizes[axis] is None:
        place = output.axes[axis - len(output.sizes)] + 1
        raise FieldError(f"{tensor.name} ({tensor}): its dim {place} is free", "export it with that dim fixed")
    return output


def label_names(
    name: str, decode: LabelledDecode, tensor: str, count: int, background: str = "none"
) -> tuple[str, ...]:
    """Return the names of the classes, one for each score.

    Args:
        name: Name of the node.
        decode: The settings of the task.
        tensor: Name of the output.
        count: Number of its scores, without a background.
        background: Place of the score that stands for no class, which ``count`` leaves out; none: there is none.

    Raises:
        PlanError: The labels are missing, or there are more or fewer of them.
    """
    if decode.labels is None:
        raise PlanError(
            name,
            f"the names of the {count} class(es) are unknown: neither the config nor the model's file has them",
            hint="set model.decode.labels to a list, a set such as coco80, or file:NAMES.txt",
            code=codes.LABEL_COUNT_MISMATCH,
        )
    if len(decode.labels) != count:
        hint = "correct model.decode.labels or the dims of the output"
        if background == "none" and len(decode.labels) == count - 1:
            hint = f"set model.decode.background to first or last if a score stands for no class; else {hint}"
        elif background != "none" and len(decode.labels) == count + 1:
            hint = f"set model.decode.background=none if each score has a label; else {hint}"
        extra = f" and a background ({background})" if background != "none" else ""
        raise PlanError(
            name,
            f"decode.labels has {len(decode.labels)} label(s), but {tensor} scores {count}{extra}",
            hint=hint,
            code=codes.LABEL_COUNT_MISMATCH,
        )
    return decode.labels
