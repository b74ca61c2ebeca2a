"""What makes one engine differ from another, and the name that follows from it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

__all__ = ["SCHEMA", "EngineKey", "Profile"]

SCHEMA = 2
"""Part of every key: raised when engines built before should no longer be found."""

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Profile:
    """The shapes of one input that an engine accepts, and the one that it is tuned for; batch included."""

    min: Shape
    opt: Shape
    max: Shape

    def holds(self, shape: Shape) -> bool:
        """Whether ``shape`` lies between min and max in every dim."""
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
    precision: str
    flags: tuple[tuple[str, Any], ...]
    """Builder settings in the order of their names."""
    calibration: str | None
    """Sha256 of what int8 is calibrated with: the clip, the frames taken and how they are prepared."""
    runtime: str
    version: str
    """Of the runtime's library."""
    gpu: str
    """Name of the GPU that the engine is made for, or `any` for engines that are tuned where they are loaded."""
    compute_capability: str
    """Such as `9.0`, or `any`."""
    schema: int = SCHEMA

    def as_json(self) -> dict[str, Any]:
        """Plain data, as the manifest keeps it."""
        data = dataclasses.asdict(self)
        data["profiles"] = {name: dataclasses.asdict(profile) for name, profile in self.profiles}
        data["dims"], data["flags"] = dict(self.dims), dict(self.flags)
        plain: dict[str, Any] = json.loads(json.dumps(data))
        return plain

    def digest(self) -> str:
        """Sha256 (hex) over the canonical JSON: keys in order, no spaces."""
        text = json.dumps(self.as_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def changes(self, other: Mapping[str, Any]) -> list[str]:
        """Names of the fields in which the key that a manifest keeps differs from this one."""
        mine = self.as_json()
        return sorted(name for name in mine.keys() | other.keys() if mine.get(name) != other.get(name))
