"""What the compiler asks of a runtime."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EngineRequest"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class EngineRequest:
    """All that a runtime needs to load an engine; made by the compiler, injected into the graph."""

    runtime: str
    path: str
    """The model file that the engine runs or is built from."""
    sha256: str
    precision: str
    batch: int
    threads: int | None
    input_shapes: tuple[tuple[str, Shape], ...]
    free_dims: tuple[tuple[str, tuple[int | str, ...]], ...]
    """Inputs whose dims the model's config replaces."""
