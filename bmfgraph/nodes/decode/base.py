"""Define the keys that all tasks of a model share: preset, labels, threshold."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from bmfgraph.errors import FieldError, did_you_mean, join_sorted
from bmfgraph.nodes.base import Frozen
from bmfgraph.system.untrusted import read_bounded

__all__ = ["Decode", "LabelledDecode", "Labels", "Score", "or_text", "preset_names", "read_preset", "with_preset"]

_LABELS_LIMIT = 1 << 20
"""Bytes of the largest file of labels."""
Score = Annotated[float, Field(ge=0, le=1)]


def or_text(schema: dict[str, Any]) -> None:
    """Allow a text besides what a field's JSON Schema accepts."""
    if "anyOf" not in schema:
        keys = [key for key in schema if key not in ("title", "description", "default")]
        schema["anyOf"] = [{key: schema.pop(key) for key in keys}]
    schema["anyOf"].append({"type": "string"})


def _nothing_required(schema: dict[str, Any]) -> None:
    """Require nothing in the JSON Schema of a model, because a preset may bring it."""
    schema.pop("required", None)


def _named_labels(value: Any) -> Any:
    return _label_set(value) if isinstance(value, str) else value


Labels = Annotated[tuple[str, ...], Field(min_length=1, json_schema_extra=or_text), BeforeValidator(_named_labels)]
"""Names of classes: a list, the name of a set, or ``file:`` with a path."""


def with_preset(value: Any) -> Any:
    """Fill in what a preset says; the meaning of its inputs and outputs belongs to the model."""
    if not isinstance(value, dict) or not isinstance(value.get("preset"), str):
        return value
    preset = read_preset(value["preset"])
    return {key: part for key, part in preset.items() if key not in ("inputs", "feeds", "outputs")} | value


class Decode(Frozen):
    """How to read a result from the outputs that `model.outputs` describes: one subclass for each task."""

    model_config = ConfigDict(json_schema_extra=_nothing_required)

    task: str
    preset: str | None = Field(
        default=None, description="A family of models, whose inputs, outputs and decoding are the defaults."
    )

    _with_preset = model_validator(mode="before")(with_preset)


class LabelledDecode(Decode):
    """How to read a result that names classes."""

    labels: Labels | None = Field(
        default=None,
        description="Names of the classes in the order of the scores: a list, a set such as coco80, or "
        "file:NAMES.txt; null: those in the model's file.",
    )
    classes: tuple[str, ...] | None = Field(default=None, min_length=1, description="Labels to keep; null: all.")
    threshold: Score | dict[str, Score] = Field(
        default=0.0, description="Minimum score of a result; or one for each label, with `default` for the others."
    )

    @model_validator(mode="after")
    def _known_labels(self) -> LabelledDecode:
        named = {*(self.classes or ()), *(self.threshold if isinstance(self.threshold, dict) else ())} - {"default"}
        for name in sorted(named - set(self.labels)) if self.labels is not None else ():
            near = did_you_mean(name, self.labels or ())
            raise FieldError(
                f"{name!r} is not one of the labels{near}; labels: {join_sorted(self.labels or ())}",
                "correct classes or threshold",
            )
        return self

    def thresholds(self) -> tuple[float, ...]:
        """Return the minimum score of each label; 2 for a label that is not kept."""
        kept, labels, many = self.classes, self.labels or (), self.threshold
        if not isinstance(many, dict):
            many = {"default": many}
        default = many.get("default", type(self).model_fields["threshold"].default)
        return tuple(many.get(label, default) if kept is None or label in kept else 2.0 for label in labels)


def preset_names() -> list[str]:
    """Return the names of the presets."""
    return sorted(
        path.name.removesuffix(".yaml") for path in _folder("decode").iterdir() if path.name.endswith(".yaml")
    )


def _text(group: str, name: str) -> str:
    return str(_folder(group).joinpath(f"{name}.yaml").read_text("utf-8"))


@lru_cache(maxsize=64)
def read_preset(name: str) -> dict[str, Any]:
    """Return the content of a preset, which a model asks for at each of its tensors. Do not write into it.

    Raises:
        FieldError: There is no such preset.
    """
    if name not in preset_names():
        raise FieldError(
            f"{name!r} is not a preset{did_you_mean(name, preset_names())}; presets: {join_sorted(preset_names())}",
            "choose one of them, or describe outputs and decode",
        )
    content: dict[str, Any] = yaml.safe_load(_text("decode", name))
    return content


def _label_set(text: str) -> tuple[str, ...]:
    if text.startswith("file:"):
        try:
            lines = read_bounded(text.removeprefix("file:"), _LABELS_LIMIT).decode().splitlines()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            hint = "name a text file with a label in each line"
            raise FieldError(f"{text!r} cannot be read ({reason})", hint) from None
        return tuple(line.strip() for line in lines if line.strip())
    sets = sorted(path.name.removesuffix(".yaml") for path in _folder("labels").iterdir())
    if text not in sets:
        hint = "write a list, file:NAMES.txt, or one of these sets"
        raise FieldError(f"{text!r} is not a set of labels{did_you_mean(text, sets)}; sets: {join_sorted(sets)}", hint)
    return tuple(map(str, yaml.safe_load(_text("labels", text))))


def _folder(group: str) -> Any:
    return resources.files("bmfgraph.conf").joinpath(group)
