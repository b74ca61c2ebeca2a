"""Name the libraries that read and write media, and refuse options that one of them lacks."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from bmfgraph import error_codes as codes
from bmfgraph.errors import PlanError
from bmfgraph.nodes.base import NodeSpec

__all__ = ["Backend", "check_backend"]

Backend = Literal["pyav", "bmf"]
"""PyAV with the FFmpeg of its wheel, or BMF's own modules with FFmpeg 4."""


def check_backend(name: str, spec: NodeSpec, native: Collection[str]) -> None:
    """Refuse options that BMF's own module does not have.

    Args:
        name: Name of the node.
        spec: Its options, with ``backend: bmf``.
        native: The fields that BMF's module supports; all others must have their defaults.

    Raises:
        PlanError: Another field is set.
    """
    for field, info in type(spec).model_fields.items():
        value = getattr(spec, field)
        if field not in native and value != info.get_default(call_default_factory=True):
            raise PlanError(
                name,
                f"{field} {value!r}: the back end bmf does not support it",
                hint=f"leave {field} out, or set pipeline.nodes.{name}.backend=pyav",
                code=codes.UNSUPPORTED_BY_BACKEND,
            )
