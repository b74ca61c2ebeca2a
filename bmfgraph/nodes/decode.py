"""Define how the objects that a model detects follow from its outputs."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, Field, field_validator, model_validator

from bmfgraph.errors import FieldError, did_you_mean, join_sorted
from bmfgraph.nodes.base import Frozen
from bmfgraph.system.untrusted import read_bounded

__all__ = ["BoxForm", "CellGrid", "DetectDecode", "or_text", "preset_names", "read_preset"]

BoxForm = Literal["cxcywh", "xyxy", "xywh", "yxyx", "ltrb"]
_LABELS_LIMIT = 1 << 20
"""Bytes of the largest file of labels."""
Score = Annotated[float, Field(ge=0, le=1)]


class CellGrid(Frozen):
    """Cells in which an undecoded head counts its boxes."""

    strides: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        min_length=1, description="Pixels of the model's input per cell, level by level."
    )
    centre: float = Field(default=0.0, ge=0, le=1, description="Origin of a cell: 0 its corner, 0.5 its middle.")
    size: Literal["linear", "exp"] = Field(default="linear", description="exp: width and height are logarithms.")


def or_text(schema: dict[str, Any]) -> None:
    """Allow a text besides what a field's JSON Schema accepts."""
    if "anyOf" not in schema:
        keys = [key for key in schema if key not in ("title", "description", "default")]
        schema["anyOf"] = [{key: schema.pop(key) for key in keys}]
    schema["anyOf"].append({"type": "string"})


def _nothing_required(schema: dict[str, Any]) -> None:
    """Require nothing in the JSON Schema of a model, because a preset may bring it."""
    schema.pop("required", None)


class DetectDecode(Frozen):
    """How to read labelled boxes from the outputs that `model.outputs` describes."""

    model_config = ConfigDict(json_schema_extra=_nothing_required)

    task: Literal["detect"] = Field(default="detect", description="What the model does.")
    preset: str | None = Field(
        default=None, description="A family of models, whose inputs, outputs and decoding are the defaults."
    )
    box: BoxForm = Field(default="cxcywh", description="Numbers of a box; ltrb: distances from the cell's origin.")
    unit: Literal["pixels", "picture", "cells"] = Field(
        default="pixels", description="Pixels of the model's input, 0..1 of it, or cells of the grid."
    )
    grid: CellGrid | None = Field(default=None, description="The cells of an undecoded head.")
    background: Literal["none", "first", "last"] = Field(
        default="none", description="Place of the class in `scores` that stands for no object."
    )
    nms: Literal["per_class", "all", "none"] = Field(
        default="per_class", description="Which overlapping boxes exclude each other; none: the model does it itself."
    )
    iou: Score = Field(default=0.45, description="Boxes that overlap a better one by more are dropped.")
    most: int = Field(default=300, ge=1, le=10_000, description="Largest number of objects in a frame: the best.")
    threshold: Score | dict[str, Score] = Field(
        default=0.25, description="Minimum score of a detection; or one for each label, with `default` for the others."
    )
    classes: tuple[str, ...] | None = Field(default=None, min_length=1, description="Labels to keep; null: all.")
    labels: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="Names of the classes in the order of the scores: a list, a set such as coco80, or file:NAMES.txt.",
        json_schema_extra=or_text,
    )
    first_label: int = Field(default=0, ge=0, description="Number of the first class in a `label` field.")

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, value: Any) -> Any:
        """Fill in what a preset says; its inputs and outputs belong to the model."""
        if not isinstance(value, dict) or not isinstance(value.get("preset"), str):
            return value
        return {
            key: part for key, part in read_preset(value["preset"]).items() if key not in ("inputs", "outputs")
        } | value

    @field_validator("labels", mode="before")
    @classmethod
    def _named_labels(cls, value: Any) -> Any:
        return _label_set(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> DetectDecode:
        if (self.unit == "cells" or self.box == "ltrb") and self.grid is None:
            raise FieldError(
                f"unit {self.unit} and box {self.box} need the grid's strides", "set grid: {strides: [8, 16, 32]}"
            )
        named = {*(self.classes or ()), *(self.threshold if isinstance(self.threshold, dict) else ())} - {"default"}
        for name in sorted(named - set(self.labels)):
            near = did_you_mean(name, self.labels)
            raise FieldError(
                f"{name!r} is not one of the labels{near}; labels: {join_sorted(self.labels)}",
                "correct classes or threshold",
            )
        return self

    def thresholds(self) -> tuple[float, ...]:
        """Return the minimum score of each label; 2 for a label that is not kept."""
        one, many = (self.threshold, {}) if isinstance(self.threshold, float) else (0.25, self.threshold)
        default = many.get("default", one)
        kept = self.classes or self.labels
        return tuple(many.get(label, default) if label in kept else 2.0 for label in self.labels)


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
