"""Mark the fields of specs that name files and folders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic.fields import FieldInfo

__all__ = ["PathKind", "path_kind"]


@dataclass(frozen=True)
class PathKind:
    """Metadata of a field: ``Annotated[str, PathKind("file")]``.

    The command line takes the value of such a field literally and completes it with names of files or folders.
    """

    kind: Literal["file", "folder"]


def path_kind(field: FieldInfo) -> Literal["file", "folder"] | None:
    """Return what a field names: a file, a folder, or neither (None)."""
    return next((mark.kind for mark in field.metadata if isinstance(mark, PathKind)), None)
