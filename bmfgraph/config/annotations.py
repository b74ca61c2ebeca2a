"""Take the type annotations of specs apart."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

__all__ = ["nested_models", "union_members"]


def union_members(annotation: Any) -> Iterator[Any]:
    """List the types of which a value may have one: the members of a union, or the annotation itself."""
    if get_origin(annotation) is Annotated:
        yield from union_members(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for member in get_args(annotation):
            yield from union_members(member)
    else:
        yield annotation


def nested_models(annotation: Any) -> list[type[BaseModel]]:
    """List the models of which a value may be one."""
    members = union_members(annotation)
    return [member for member in members if isinstance(member, type) and issubclass(member, BaseModel)]
