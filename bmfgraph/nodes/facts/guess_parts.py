"""Define a guess of a model's config, and the tensors that it is made from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bmfgraph.engines.onnx.model import OnnxTensor
from bmfgraph.system.text import counted

__all__ = ["Guess", "Output", "Picture", "Sizes", "sizes_text"]

_COCO = 80
Sizes = tuple[int | None, ...]


@dataclass
class Guess:
    """A model's config as data, with a note for each uncertain value, and what only the model's author knows."""

    config: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    """By the dotted path of the value."""
    unknown: list[str] = field(default_factory=list)

    def set(self, path: Sequence[str], value: Any, note: str = "") -> None:
        """Set a value, with a note that says how certain it is."""
        place = self.config
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = value
        if note:
            self.notes[".".join(path)] = note

    def preset(self, name: str, reason: str, classes: int | None = None) -> None:
        """Choose a preset, and labels for as many classes."""
        self.set(["decode", "preset"], name, f"guessed: {reason}")
        self.unknown.append(f"whether the model was trained as preset {name} says: mean and std, RGB or BGR, fit")
        if classes is not None:
            self.labels(classes)

    def labels(self, count: int) -> None:
        """Fill in labels of which only the number is known."""
        if count == _COCO:
            self.set(["decode", "labels"], "coco80", "guessed: 80 labels needed, as COCO has")
        else:
            labels = [f"class_{index}" for index in range(count)]
            self.set(
                ["decode", "labels"], labels, f"unknown: {counted(count, 'label')} needed, in the order of the scores"
            )
        self.unknown.append("the names of the classes")

    def task(self, output: str, dims: Sequence[str], decode: dict[str, Any], reason: str) -> None:
        """Describe an output that holds one result a frame."""
        self.set(["outputs", output, "dims"], list(dims), f"guessed: {reason}")
        for key, value in decode.items():
            self.set(["decode", key], value)


@dataclass(frozen=True)
class Output:
    name: str
    sizes: Sizes
    """With the batch dim; None: free."""


@dataclass(frozen=True)
class Picture:
    """The input."""

    tensor: OnnxTensor
    nhwc: bool
    height: int
    width: int
    channels: int

    def cells(self, *strides: int) -> int:
        """Return how many cells the grids of these strides have."""
        return sum(math.ceil(self.height / stride) * math.ceil(self.width / stride) for stride in strides)

    def grid(self, count: int | None) -> tuple[int, ...]:
        """Return the strides whose cells are as many; () for none."""
        grids = ((8, 16, 32), (8, 16, 32, 64))
        return next((strides for strides in grids if count == self.cells(*strides)), ())


def sizes_text(sizes: Sizes) -> str:
    """Return sizes as text, with ``?`` for a free one."""
    return f"[{', '.join('?' if size is None else str(size) for size in sizes)}]"
