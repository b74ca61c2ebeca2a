"""Mark the fields of specs that name files and folders."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ValidatorFunctionWrapHandler, WrapValidator
from pydantic.fields import FieldInfo

__all__ = ["FilePath", "FolderPath", "OutputPath", "PathKind", "output_fields", "path_fields", "path_kind"]


@dataclass(frozen=True)
class PathKind:
    """Metadata of a field that names a file or a folder.

    The command line takes the value of such a field literally and completes it with names of files or folders.
    """

    kind: Literal["file", "folder"]
    written: bool = False
    """Whether the file is written, so that its name may be a template such as ``{stem}.mp4``."""


def _any_bytes(value: Any, checked: ValidatorFunctionWrapHandler) -> Any:
    """Accept names that are not UTF-8, in which Python escapes bytes as surrogates; pydantic accepts none."""
    return (
        value if isinstance(value, str) and any("\udc80" <= letter <= "\udcff" for letter in value) else checked(value)
    )


FilePath = Annotated[str, PathKind("file"), WrapValidator(_any_bytes)]
"""Type of a field that names a file."""
OutputPath = Annotated[str, PathKind("file", written=True), WrapValidator(_any_bytes)]
"""Type of a field that names a file to write."""
FolderPath = Annotated[str, PathKind("folder"), WrapValidator(_any_bytes)]
"""Type of a field that names a folder."""


def path_kind(field: FieldInfo) -> Literal["file", "folder"] | None:
    """Return ``file`` or ``folder`` for a field that names one; None for other fields."""
    mark = _mark(field)
    return mark.kind if mark else None


@lru_cache(maxsize=256)
def path_fields(spec: type[BaseModel]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the fields that name a file to write, and of those that name one to read."""
    marks = [(name, mark) for name, field in spec.model_fields.items() if (mark := _mark(field)) is not None]
    written = tuple(name for name, mark in marks if mark.written)
    return written, tuple(name for name, mark in marks if mark.kind == "file" and not mark.written)


def output_fields(spec: type[BaseModel]) -> tuple[str, ...]:
    """Return the names of the fields that name a file to write."""
    return path_fields(spec)[0]


def _mark(field: FieldInfo) -> PathKind | None:
    members = (field.annotation, *typing.get_args(field.annotation))
    marks: list[Any] = [*field.metadata, *(mark for member in members for mark in getattr(member, "__metadata__", ()))]
    return next((mark for mark in marks if isinstance(mark, PathKind)), None)
