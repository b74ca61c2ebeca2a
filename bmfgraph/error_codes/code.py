"""Define the code of an error or warning."""

from __future__ import annotations

from typing import Final

__all__ = ["Code"]


class Code(str):
    """Hold a code such as E203, its meaning and what to do; elsewhere it acts as plain text."""

    def __new__(cls, code: str, meaning: str, fix: str) -> Code:
        return super().__new__(cls, code)

    def __init__(self, code: str, meaning: str, fix: str) -> None:
        self.meaning: Final = meaning
        self.fix: Final = fix

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        # Copies and other processes get plain text.
        return str, (str(self),)
