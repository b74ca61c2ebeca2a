"""Identify an engine by everything that it depends on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

__all__ = ["SCHEMA", "EngineKey", "Profile"]

SCHEMA = 2
"""Part of every key. A higher number makes all existing engines invalid."""

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Profile:
    """The shapes of one input that an engine accepts, and the shape that it is tuned for; batch included."""

    min: Shape
    opt: Shape
    max: Shape

    def holds(self, shape: Shape) -> bool:
        """Return whether ``shape`` lies between min and max in every dim."""
        return len(shape) == len(self.min) and all(
            low <= size <= high for low, size, high in zip(self.min, shape, self.max, strict=True)
        )


@dataclasses.dataclass(frozen=True)
class EngineKey:
    """Everything that an engine file depends on, and nothing else."""

    onnx: str
    """Sha256 of the model's bytes, external data included."""
    dims: tuple[tuple[str, tuple[int | str, ...]], ...]
    """Inputs whose dims replace those of the file."""
    profiles: tuple[tuple[str, Profile], ...]
    """Optimization profile of every input."""
    precision: str
    flags: tuple[tuple[str, Any], ...]
    """Builder settings, sorted by name."""
    calibration: str | None
    """Sha256 of the int8 calibration data: the clip, the number of frames and their preprocessing."""
    runtime: str
    version: str
    """Version of the library that builds the engine."""
    gpu: str
    """Name of the GPU that the engine is built for, or `any` for engines that are tuned where they are loaded."""
    compute_capability: str
    """Such as `9.0`, or `any`."""
    schema: int = SCHEMA

    def as_json(self) -> dict[str, Any]:
        """Return the key as plain data, in the form that the manifest stores."""
        data = dataclasses.asdict(self)
        data["profiles"] = {name: dataclasses.asdict(profile) for name, profile in self.profiles}
        data["dims"], data["flags"] = dict(self.dims), dict(self.flags)
        plain: dict[str, Any] = json.loads(json.dumps(data))
        return plain

    def digest(self) -> str:
        """Return the sha256 (hex) of the canonical JSON: sorted keys, no spaces."""
        text = json.dumps(self.as_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def changes(self, other: Mapping[str, Any]) -> list[str]:
        """Return the names of the fields in which this key differs from ``other``, the key in a manifest."""
        own = self.as_json()
        return sorted(name for name in own.keys() | other.keys() if own.get(name) != other.get(name))
