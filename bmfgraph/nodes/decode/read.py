"""Define how a line of text follows from a model's output."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bmfgraph.nodes.decode.base import Decode, Labels, Score

__all__ = ["ReadDecode"]


class ReadDecode(Decode):
    """How to read text from scores of characters in the order of time (CTC: Graves et al., 2006)."""

    task: Literal["read"] = Field(default="read", description="What the model does.")
    blank: Literal["first", "last"] = Field(default="first", description="Place of the score for no character.")
    charset: Labels | None = Field(
        default=None,
        description="Characters in the order of the scores: a list, a set, or file:CHARACTERS.txt with one in each "
        "line; null: those in the model's file.",
    )
    threshold: Score = Field(default=0.0, description="Minimum mean score of a text.")
