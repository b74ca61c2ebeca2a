"""Join a model's config with its preset and what the file says: the config counts most, the file least."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from bmfgraph import error_codes as codes
from bmfgraph.engines.onnx.model import OnnxModel, OnnxTensor
from bmfgraph.errors import FieldError
from bmfgraph.nodes.decode import read_preset
from bmfgraph.nodes.decode.read import characters_of
from bmfgraph.nodes.facts.facts import CONFIG, Fact, FactError, Facts, Section, labels_from, literal
from bmfgraph.nodes.facts.huggingface import read_config, read_huggingface
from bmfgraph.nodes.facts.paddle import read_paddle
from bmfgraph.nodes.facts.ultralytics import read_ultralytics
from bmfgraph.nodes.fields import TensorLayout
from bmfgraph.nodes.model import ModelSpec, OutputMeaning, PictureMeaning
from bmfgraph.plan.description import ModelDescription, ModelValue
from bmfgraph.plan.types import TensorMeaning

__all__ = ["CompletedModel", "complete", "read_facts"]

YAML, DEFAULT = "YAML", "default"


@dataclass(frozen=True)
class CompletedModel:
    """A model's file, and its config with all that the preset and the file add."""

    onnx: OnnxModel
    spec: ModelSpec
    """Each input of the file, and each output that anything is known about, has an entry."""
    description: ModelDescription

    def dims(self, tensor: OnnxTensor) -> tuple[int | str, ...]:
        """Return the dims of an input; text for a free one."""
        return self.spec.inputs[tensor.name].dims or tensor.dims

    def meaning(self, tensor: OnnxTensor) -> TensorMeaning:
        """Return the meaning of an input's numbers."""
        return self.spec.inputs[tensor.name].meaning()

    def wired(self) -> tuple[OnnxTensor, ...]:
        """Return the inputs that edges are connected to; the others are fed."""
        return tuple(tensor for tensor in self.onnx.inputs if self.spec.inputs[tensor.name].feed is None)

    def sides(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Return the axes of height and width of every picture."""
        meanings = {tensor.name: self.meaning(tensor).dims for tensor in self.wired()}
        return tuple((name, (dims.index("height"), dims.index("width"))) for name, dims in meanings.items())

    def layouts(self) -> tuple[tuple[str, OutputMeaning], ...]:
        """Return the meaning of each output that is not an image, by name."""
        return tuple((name, meaning) for name, meaning in self.spec.outputs.items() if not meaning.is_picture)


def complete(spec: ModelSpec, onnx: OnnxModel) -> CompletedModel:
    """Complete a model's config.

    Args:
        spec: The config.
        onnx: The model's file.

    Raises:
        FactError: The file says a value that the config leaves to it wrongly, or the values do not fit together.
    """
    facts = read_facts(spec, onnx)
    own = spec.decode
    preset = own.preset if own else None
    task = facts.decode.get("task", Fact(None, "")).value or _task_of(facts.decode.get("preset"))
    if own and task not in (None, own.task):
        facts = Facts(licence=facts.licence)
    if own is None and facts.problem:
        raise facts.problem
    named = Fact(preset, YAML) if preset else facts.decode.get("preset")
    defaults = read_preset(named.value) if named else {}
    by = f"preset {named.value}" if named else ""
    said = {key: Fact(value, by) for key, value in defaults.items()}

    def layers(written: Section, presets: Section, noted: Section) -> Section:
        """Join three mappings. A preset that the file names is weaker than what the file says itself."""
        return noted | presets | written if preset else presets | noted | written

    sections: dict[str, Section] = {}
    for tensor in onnx.inputs:
        feed = defaults.get("feeds", {}).get(tensor.name)
        presets = {key: Fact(value, by) for key, value in defaults.get("inputs", {}).items()}
        presets = presets if feed is None else {"feed": Fact(feed, by)}
        written = _written(spec.inputs.get(tensor.name))
        noted = facts.inputs if len(tensor.dims) == 4 else {}
        section = layers(written, presets, noted)
        if not any(isinstance(dim, str) for dim in _sides(section, written, tensor.dims)) and "size" not in written:
            section.pop("size", None)
        sections[f"inputs.{tensor.name}"] = section
    for index, tensor in enumerate(onnx.outputs):
        presets_of = defaults.get("outputs", [])
        presets = {
            key: Fact(value, by) for key, value in (presets_of[index] if index < len(presets_of) else {}).items()
        }
        if tensor.name in spec.outputs:
            written = _written(spec.outputs[tensor.name])
            if set(written) <= set(TensorLayout.model_fields):
                # One that the config makes a picture of has nothing in common with the preset's.
                written = layers(written, presets, facts.outputs.get(tensor.name, {}))
            sections[f"outputs.{tensor.name}"] = written
        elif presets or tensor.name in facts.outputs:
            sections[f"outputs.{tensor.name}"] = layers({}, presets, facts.outputs.get(tensor.name, {}))
    if own or facts.decode:
        words = {key: Fact(word, YAML) for key, word in own.words.items()} if own else {}
        presets = {key: fact for key, fact in said.items() if key not in ("inputs", "feeds", "outputs")}
        written = _written(own) | words
        if own and "task" in defaults:
            # A preset brings the task, and no other task goes with it.
            written.pop("task")
        section = layers(written, presets, facts.decode)
        sections["decode"] = {
            key: Fact(_resolved(fact.value, onnx) if key in ("labels", "charset") else fact.value, fact.origin)
            for key, fact in section.items()
        }
    data, values = _joined(spec, sections)
    return CompletedModel(onnx, data, _description(spec, onnx, facts, data, values))


def read_facts(spec: ModelSpec, onnx: OnnxModel) -> Facts:
    """Return what a model's file, and the files beside it, say.

    Args:
        spec: The model's config, for the place of the file.
        onnx: The file.
    """
    facts = Facts()
    # Only a file that the user named has a folder of its own; others lie in a cache.
    if spec.file or Path(str(spec.source)) == onnx.path:
        read_huggingface(onnx, onnx.path, facts)
    read_paddle(onnx, facts)
    read_ultralytics(onnx, facts)
    return facts


def _task_of(preset: Fact | None) -> str | None:
    return str(read_preset(preset.value)["task"]) if preset else None


def _written(model: BaseModel | None) -> Section:
    """Return what the config says; null leaves a value to the file."""
    keys = model.model_fields_set if model else ()
    return {key: Fact(value, YAML) for key in sorted(keys) if (value := getattr(model, key)) is not None}


def _sides(section: Section, written: Section, dims: Sequence[int | str]) -> Sequence[int | str]:
    """Return the dims of height and width."""
    dims = written["dims"].value if "dims" in written else dims
    layout = section["layout"].value if "layout" in section else "NCHW"
    return dims[1:3] if layout == "NHWC" else dims[2:4]


def _resolved(value: Any, onnx: OnnxModel) -> Any:
    """Return the labels or characters that a word such as ``metadata:names`` stands for."""
    kind, colon, key = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not colon or kind not in ("metadata", "config"):
        return value
    if kind == "metadata":
        where, source = f"the metadata of {onnx.path.name}", dict(onnx.metadata)
        if key == "character" and key in source:
            return characters_of(source[key])
    else:
        content = read_config(onnx.path, CONFIG)
        where, source = f"the {CONFIG} beside {onnx.path.name}", content if isinstance(content, dict) else {}
    if key not in source:
        there = ", ".join(sorted(map(str, source))[:12])[:300] or "nothing"
        raise FactError(
            f"{value!r}: {where} has no {key!r}; it has: {there}",
            "write a list, a set such as coco80, or file:NAMES.txt",
            code=codes.MISSING_MODEL_METADATA,
        )
    content = source[key]
    if kind == "metadata":
        text = str(content).strip()
        # Ultralytics writes `names` as Python does; others write a label in each line.
        content = literal(key, text) if key == "names" or text[:1] in ("[", "{") else text.splitlines()
    return labels_from(value, content)


def _joined(spec: ModelSpec, sections: Mapping[str, Section]) -> tuple[ModelSpec, list[ModelValue]]:
    """Validate the joined values, and list them with their origins."""
    data: dict[str, Any] = {"inputs": {}, "outputs": {}}
    values = []
    for path, section in sections.items():
        part = {}
        for key, fact in sorted(section.items()):
            if isinstance(fact.value, FactError):
                raise fact.value
            part[key] = fact.value
            values.append(ModelValue(f"{path}.{key}", _plain(fact.value), fact.origin))
        group, _, name = path.partition(".")
        if name:
            data[group][name] = part
        else:
            data[group] = part
    kept = {key: getattr(spec, key) for key in ModelSpec.model_fields if key not in ("inputs", "outputs", "decode")}
    try:
        return ModelSpec.model_validate(kept | data), values
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        inner = detail.get("ctx", {}).get("error")
        where = ".".join(str(part) for part in detail["loc"] if part not in ("detect", "tuple[str, ...]"))
        keys = {fact.origin for section in sections.values() for fact in section.values()}
        raise FactError(
            f"model.{where}: {inner or detail['msg']} (values of {', '.join(sorted(keys))})",
            inner.hint if isinstance(inner, FieldError) else "set the right value in the model's config",
            code=codes.CONFLICTING_VALUES if isinstance(inner, FieldError) else codes.INVALID_MODEL_METADATA,
        ) from None


def _description(
    spec: ModelSpec, onnx: OnnxModel, facts: Facts, data: ModelSpec, values: Iterable[ModelValue]
) -> ModelDescription:
    known = {value.path for value in values}
    defaults = [
        ModelValue(f"{path}.{key}", _plain(field.default), DEFAULT)
        for path, model in _parts(data)
        for key, field in _kind(model).model_fields.items()
        if f"{path}.{key}" not in known and field.default is not None
    ]
    licences = [ModelValue("licence", spec.licence, YAML)] if spec.licence else []
    licences += [ModelValue("licence", facts.licence.value, facts.licence.origin)] if facts.licence else []
    file = str(spec.file) if spec.file else str(spec.source)
    return ModelDescription(spec.name, file, tuple(licences), (*values, *defaults))


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _kind(model: BaseModel) -> type[BaseModel]:
    """Return the class whose fields count: an output is either a picture or something else."""
    if isinstance(model, OutputMeaning):
        return PictureMeaning if model.is_picture else TensorLayout
    return type(model)


def _parts(data: ModelSpec) -> Iterable[tuple[str, BaseModel]]:
    yield from ((f"inputs.{name}", model) for name, model in data.inputs.items())
    yield from ((f"outputs.{name}", model) for name, model in data.outputs.items())
    if data.decode:
        yield "decode", data.decode
