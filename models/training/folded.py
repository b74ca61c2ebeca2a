"""A trained network as plain convolution weights, the form that is stored and exported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .arrays import save_arrays
from .resample import FloatArray

KINDS = ("fast", "quality", "temporal")
"""The three architectures."""


@dataclass(frozen=True)
class FoldedNetwork:
    """A network after every branch has been folded into one convolution.

    Attributes:
        kind: "fast", "quality" or "temporal".
        taps: after how many residual blocks features are taken out to be joined; empty for "fast".
        tensors: float32 weights ``<layer>.w`` of shape (out, in, k, k), biases ``<layer>.b`` of shape (out,),
            and ``skip`` (12, 3, 5, 5).  They work on pictures in 0..1.
    """

    kind: str
    taps: tuple[int, ...]
    tensors: Mapping[str, FloatArray]

    def __post_init__(self) -> None:
        """Checks the kind.

        Raises:
            ValueError: ``kind`` is not one of the three.
        """
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of network {self.kind!r}; expected one of {', '.join(KINDS)}")

    @property
    def parameters(self) -> int:
        """How many weights and biases there are."""
        return sum(tensor.size for tensor in self.tensors.values())

    def count(self, layers: str) -> int:
        """How many layers a numbered series such as "convs" has."""
        return sum(name.startswith(f"{layers}.") and name.endswith(".w") for name in self.tensors)

    def save(self, path: Path) -> None:
        """Writes an ``.npz`` file: the tensors, and ``cfg`` with kind and taps as JSON in bytes."""
        config = json.dumps({"kind": self.kind, "taps": list(self.taps)}).encode()
        save_arrays(path, {"cfg": np.frombuffer(config, np.uint8), **self.tensors})

    @classmethod
    def load(cls, path: Path) -> FoldedNetwork:
        """Reads what ``save`` wrote.

        Raises:
            KeyError: the file lacks the configuration.
            ValueError: the configuration names an unknown kind.
        """
        with np.load(path) as archive:
            config = json.loads(archive["cfg"].tobytes())
            tensors = {name: archive[name] for name in archive.files if name != "cfg"}
        return cls(config["kind"], tuple(config.get("taps", ())), tensors)
