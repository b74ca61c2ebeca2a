"""Define how a line of text follows from a model's output."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bmfgraph.nodes.decode.base import Decode, Labels, Score

__all__ = ["ReadDecode", "characters_of"]


class ReadDecode(Decode):
    """How to read text from scores of characters in the order of time (CTC: Graves et al., 2006)."""

    task: Literal["read"] = Field(default="read", description="What the model does.")
    blank: Literal["first", "last"] = Field(default="first", description="Place of the score for no character.")
    charset: Labels | None = Field(
        default=None,
        description="Characters in the order of the scores: a list, a set, file:CHARACTERS.txt with one in each line, "
        "or metadata:KEY; null: those in the model's file.",
    )
    threshold: Score = Field(default=0.0, description="Minimum mean score of a text.")


def characters_of(text: str) -> tuple[str, ...]:
    """Return the characters that PaddleOCR notes in its files, one in a line.

    Args:
        text: The value of the metadata key ``character``.

    Returns:
        The characters in the order of the scores, without the blank; PaddleOCR appends a space.
    """
    lines = text.removesuffix("\n").split("\n")
    return (*(line.removesuffix("\r") for line in lines), " ")
