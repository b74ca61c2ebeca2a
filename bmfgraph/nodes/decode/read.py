"""Define how a line of text follows from a model's output."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from bmfgraph.nodes.decode.base import Decode, Score, named_set, or_text

__all__ = ["Characters", "ReadDecode", "characters_of"]


def characters_of(text: str) -> tuple[str, ...]:
    """Return the characters in a text that has one in each line, as PaddleOCR's dictionaries and metadata do.

    A line may hold a space, so nothing is stripped. Only line feeds separate lines, because other separators are
    characters themselves.

    Args:
        text: The text; a carriage return before a line feed does not count.
    """
    return tuple(text.removesuffix("\n").replace("\r\n", "\n").removesuffix("\r").split("\n"))


def _named_characters(value: Any) -> Any:
    return named_set(value, characters_of) if isinstance(value, str) else value


Characters = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    Field(min_length=1, json_schema_extra=or_text),
    BeforeValidator(_named_characters),
]
"""Characters in the order of their scores: a list, the name of a set, or ``file:`` with a path."""


class ReadDecode(Decode):
    """How to read text from scores of characters in the order of time (CTC: Graves et al., 2006)."""

    task: Literal["read"] = Field(default="read", description="What the model does.")
    blank: Literal["first", "last"] = Field(default="first", description="Place of the score for no character.")
    charset: Characters | None = Field(
        default=None,
        description="Characters in the order of the scores: a list, a set, file:CHARACTERS.txt with one in each line, "
        "or metadata:KEY; null: those in the model's file.",
    )
    space: bool = Field(
        default=False,
        description="A space follows the characters of `charset`, which does not list it (PaddleOCR's use_space_char).",
    )
    threshold: Score = Field(default=0.0, description="Minimum mean score of a text.")

    def characters(self) -> tuple[str, ...]:
        """Return the characters in the order of the scores, without the blank."""
        return (*(self.charset or ()), *([" "] if self.space else []))
