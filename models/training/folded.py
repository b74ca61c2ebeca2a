"""A trained network as plain convolution weights, the form that is exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from .resample import FloatArray

KINDS = ("fast", "quality", "x4", "temporal")
"""The architectures."""


@dataclass(frozen=True)
class FoldedNetwork:
    """A network after every branch has been folded into one convolution.

    Attributes:
        kind: one of ``KINDS``.
        taps: after how many residual blocks features are taken out to be joined; empty for "fast".
        tensors: float32 weights ``<layer>.w`` of shape (out, in, k, k), biases ``<layer>.b`` of shape (out,),
            and ``skip`` (3 * scale^2, 3, 5, 5).  They work on pictures in 0..1.
    """

    kind: str
    taps: tuple[int, ...]
    tensors: Mapping[str, FloatArray]

    def __post_init__(self) -> None:
        """Checks the kind.

        Raises:
            ValueError: ``kind`` is not one of ``KINDS``.
        """
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of network {self.kind!r}; expected one of {', '.join(KINDS)}")

    @property
    def parameters(self) -> int:
        """How many weights and biases there are."""
        return sum(tensor.size for tensor in self.tensors.values())

    @property
    def scale(self) -> int:
        """By which the picture grows."""
        return 4 if self.kind == "x4" else 2

    def count(self, layers: str) -> int:
        """How many layers a numbered series such as "convs" has."""
        return sum(name.startswith(f"{layers}.") and name.endswith(".w") for name in self.tensors)


def mean_of(first: FoldedNetwork, second: FoldedNetwork) -> FoldedNetwork:
    """The network half-way between another one and what it became when it was trained on.

    It keeps more of what the first one knew than the second does (M. Wortsman et al., Robust fine-tuning of zero-shot
    models, CVPR 2022).

    Raises:
        ValueError: the networks differ in kind or size.
    """
    shapes, others = ({name: tensor.shape for name, tensor in one.tensors.items()} for one in (first, second))
    if (first.kind, first.taps, shapes) != (second.kind, second.taps, others):
        raise ValueError("the networks are of different kinds or sizes")
    means = {name: np.float32(0.5) * (tensor + second.tensors[name]) for name, tensor in first.tensors.items()}
    return replace(first, tensors=MappingProxyType(means))
