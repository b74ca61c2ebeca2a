"""Define the keys that all tasks of a model share: preset, labels, threshold."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import resources
from typing import Annotated, Any

import yaml
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidatorFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from bmfgraph.errors import FieldError, did_you_mean, join_sorted
from bmfgraph.nodes.base import Partial
from bmfgraph.system.untrusted import read_bounded

__all__ = [
    "Decode",
    "LabelledDecode",
    "Labels",
    "Score",
    "decode_defaults",
    "named_set",
    "or_text",
    "preset_names",
    "read_preset",
    "read_set",
]

_LABELS_LIMIT = 1 << 20
"""Bytes of the largest file of labels."""
_FROM_FILE = ("metadata:", "config:")
"""Begin of a text that stands for labels which the model's file, or the config.json beside it, has."""
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


def _labels_in(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _named_labels(value: Any) -> Any:
    return named_set(value, _labels_in) if isinstance(value, str) else value


Labels = Annotated[tuple[str, ...], Field(min_length=1, json_schema_extra=or_text), BeforeValidator(_named_labels)]
"""Names of classes: a list, the name of a set, or ``file:`` with a path."""


class Decode(Partial):
    """How to read a result from the outputs that `model.outputs` describes: one subclass for each task.

    ``model_fields_set`` holds the keys that the user wrote, without those of the preset.
    """

    model_config = ConfigDict(json_schema_extra=_nothing_required)

    task: str
    preset: str | None = Field(
        default=None, description="A family of models, whose inputs, outputs and decoding are the defaults."
    )

    _words: dict[str, str] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _with_preset(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        if not isinstance(value, dict):
            return handler(value)
        words = {key: text for key, text in value.items() if isinstance(text, str) and text.startswith(_FROM_FILE)}
        words = {key: text for key, text in words.items() if key in ("labels", "charset")}
        own = {key: part for key, part in value.items() if key not in words}
        decode = handler({key: part for key, part in decode_defaults(own).items() if key not in words} | own)
        # What the preset says does not count as written.
        object.__setattr__(decode, "__pydantic_fields_set__", set(own) & set(cls.model_fields))
        decode._words = words
        return decode

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        kept = self.model_fields_set | {"task"}
        return {key: value for key, value in handler(self).items() if key in kept} | self._words

    def says(self, key: str) -> bool:
        """Return whether the user or the preset sets a key, which otherwise has its default."""
        return key in self.model_fields_set or key in decode_defaults({"preset": self.preset})

    @property
    def words(self) -> dict[str, str]:
        """Keys whose values are in the model's file, with such as ``metadata:names``."""
        return self._words


def decode_defaults(value: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of the preset that a mapping names; its inputs and outputs belong to the model."""
    name = value.get("preset")
    preset = read_preset(name) if isinstance(name, str) else {}
    return {key: part for key, part in preset.items() if key not in ("inputs", "feeds", "outputs")}


class LabelledDecode(Decode):
    """How to read a result that names classes."""

    labels: Labels | None = Field(
        default=None,
        description="Names of the classes in the order of the scores: a list, a set such as coco80, or "
        "file:NAMES.txt, metadata:KEY or config:id2label; null: those in the model's file.",
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


def named_set(text: str, split: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
    """Return the names in a set of the package, or in a file.

    Args:
        text: Name of the set, or ``file:`` with a path.
        split: Function from the text of a file to the names in it.

    Raises:
        FieldError: There is no such set, or the file cannot be read.
    """
    if text.startswith("file:"):
        try:
            return split(read_bounded(text.removeprefix("file:"), _LABELS_LIMIT).decode())
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            hint = "name a text file with a label in each line"
            raise FieldError(f"{text!r} cannot be read ({reason})", hint) from None
    return tuple(map(str, read_set("labels", text, "write a list, file:NAMES.txt, or one of these sets")))


def read_set(group: str, text: str, hint: str) -> Any:
    """Return the content of a set that a folder of the configuration holds under this name.

    Raises:
        FieldError: There is no such set.
    """
    sets = sorted(path.name.removesuffix(".yaml") for path in _folder(group).iterdir() if path.name.endswith(".yaml"))
    if text not in sets:
        raise FieldError(f"{text!r} is not a set of {group}{did_you_mean(text, sets)}; sets: {join_sorted(sets)}", hint)
    return yaml.safe_load(_text(group, text))


def _folder(group: str) -> Any:
    return resources.files("bmfgraph.conf").joinpath(group)
