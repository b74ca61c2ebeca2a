"""Guess a model's config from its tensors, where the file does not say what they mean."""

from __future__ import annotations

from bmfgraph.engines.onnx.cache import cached_output_shapes
from bmfgraph.engines.onnx.model import OnnxError, OnnxModel
from bmfgraph.nodes.facts.completion import complete, read_facts
from bmfgraph.nodes.facts.facts import FactError, Section
from bmfgraph.nodes.facts.families import FAMILIES
from bmfgraph.nodes.facts.guess_parts import Guess, Output, Picture, sizes_text
from bmfgraph.nodes.model import ModelSpec

__all__ = ["guess", "known"]

_ASSUMED = 640
"""Height and width with which free dims are tried."""
_LINE = (48, 320)
"""The same for lines of text."""


def known(onnx: OnnxModel) -> Guess:
    """Return a model's config: what the file says, or else what its shapes suggest.

    Args:
        onnx: The model's file.
    """
    spec = ModelSpec(name=onnx.path.stem or "model", file=onnx.path)
    facts = read_facts(spec, onnx)
    result = Guess()
    try:
        completed = complete(spec, onnx).spec
        kept = {
            f"inputs.{name}.{key}" for name, meaning in completed.inputs.items() for key in meaning.model_fields_set
        }
        says_all = completed.decode is not None
    except FactError as error:
        kept, says_all = set(), False
        result.unknown.append(str(error))
    if not says_all:
        guessed = guess(onnx)
        result = Guess(guessed.config, guessed.notes, result.unknown + guessed.unknown)
    sections: dict[tuple[str, ...], Section] = {
        ("inputs", tensor.name): facts.inputs for tensor in onnx.inputs if len(tensor.dims) == 4
    }
    if says_all:
        sections |= {("outputs", name): section for name, section in facts.outputs.items()} | {
            ("decode",): facts.decode
        }
    for path, section in sections.items():
        for key, fact in section.items():
            if path[0] != "inputs" or ".".join((*path, key)) in kept:
                result.set([*path, key], fact.value, f"from {fact.origin}")
    if facts.licence:
        result.set(["licence"], facts.licence.value, f"from {facts.licence.origin}")
    result.config = {"name": spec.name, "file": str(onnx.path)} | result.config
    return result


def guess(onnx: OnnxModel) -> Guess:
    """Guess the meaning of a model's tensors from their shapes.

    Args:
        onnx: The model's file.
    """
    result = Guess()
    picture = _input(onnx)
    if picture is None:
        result.unknown.append("what its inputs are: none has 4 dims with 1 or 3 channels, or a multiple of 3")
        return result
    outputs = _outputs(onnx, picture)
    _describe_input(result, picture)
    if not any(recognise(result, picture, outputs) for recognise in FAMILIES):
        shapes = ", ".join(f"{output.name} {sizes_text(output.sizes)}" for output in outputs)
        result.unknown.append(f"what its outputs are: {shapes}")
    if "preset" not in result.config.get("decode", {}):
        _guess_levels(result, picture)
    return result


def _input(onnx: OnnxModel) -> Picture | None:
    for tensor in onnx.inputs:
        for axis in (1, 3) if len(tensor.dims) == 4 else ():
            channels = tensor.dims[axis]
            if isinstance(channels, int) and (channels == 1 or (channels and channels % 3 == 0 and channels <= 96)):
                sides = tensor.dims[1:3] if axis == 3 else tensor.dims[2:4]
                is_line = isinstance(sides[0], int) and sides[0] in (32, 48) and not isinstance(sides[1], int)
                assumed = _LINE if is_line else (_ASSUMED, _ASSUMED)
                height, width = (
                    size if isinstance(size, int) else other for size, other in zip(sides, assumed, strict=True)
                )
                return Picture(tensor, axis == 3, height, width, channels)
    return None


def _outputs(onnx: OnnxModel, picture: Picture) -> list[Output]:
    """Return the outputs with their sizes for the size that is tried."""
    batch = picture.tensor.dims[0]
    sides = (picture.height, picture.width)
    rest = (*sides, picture.channels) if picture.nhwc else (picture.channels, *sides)
    shape = (batch if isinstance(batch, int) else 1, *rest)
    inferred: dict[str, tuple[int | None, ...]] = {}
    if len(onnx.inputs) == 1:
        try:
            inferred = cached_output_shapes(onnx, {picture.tensor.name: shape})
        except OnnxError:
            inferred = {}
    declared = {tensor.name: tuple(d if isinstance(d, int) else None for d in tensor.dims) for tensor in onnx.outputs}
    return [Output(name, inferred.get(name) or sizes) for name, sizes in declared.items()]


def _describe_input(result: Guess, picture: Picture) -> None:
    path = ["inputs", picture.tensor.name]
    frames = picture.channels // 3 if picture.channels > 3 else 1
    result.set([*path, "layout"], "NHWC" if picture.nhwc else "NCHW")
    if picture.channels == 1:
        result.set([*path, "channels"], "GRAY")
    if frames > 1:
        result.set(["window", "frames"], frames, f"guessed: {picture.channels} channels are {frames} RGB frames")


def _guess_levels(result: Guess, picture: Picture) -> None:
    """Guess the channel order and the values of an input that no preset describes."""
    path = ["inputs", picture.tensor.name]
    if picture.channels > 1:
        result.set([*path, "channels"], "RGB", "guessed: it may be BGR")
    unknown = "the order of the channels, RGB or BGR" if picture.channels > 1 else ""
    if picture.tensor.dtype != "uint8":
        result.set([*path, "std"], 255, "guessed: values in 0..1; ImageNet's are mean [123.675, 116.28, 103.53]")
        unknown = " and ".join(filter(None, ("mean and std", unknown)))
    if unknown:
        result.unknown.append(unknown)
    if not all(isinstance(dim, int) for dim in picture.tensor.dims[1:]) and "decode" in result.config:
        result.unknown.append("the size that it was trained on: set `size: [height, width]`")
