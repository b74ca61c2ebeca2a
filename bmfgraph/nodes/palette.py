"""Define the colours of classes."""

from __future__ import annotations

__all__ = ["color_of"]

# Twenty colours that stay apart for most eyes: bright ones first, then darker and paler ones.
_PALETTE = bytes.fromhex(
    "e6194b 3cb44b ffe119 4363d8 f58231 911eb4 42d4f4 f032e6 bfef45 fabed4"
    "469990 dcbeff 9a6324 fffac8 800000 aaffc3 808000 ffd8b1 000075 a9a9a9"
)


def color_of(number: int) -> tuple[int, int, int]:
    """Return the RGB colour of a class, 0..255; the colours repeat after twenty classes."""
    start = 3 * number % len(_PALETTE)
    red, green, blue = _PALETTE[start : start + 3]
    return red, green, blue
