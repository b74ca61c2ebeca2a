"""Define the codes of errors about media: what is read and written, and how."""

from __future__ import annotations

from bmfgraph.error_codes.code import Code

__all__ = [
    "FRAME_SIZE_CHANGE",
    "INVALID_CROP",
    "UNSUPPORTED_BY_BACKEND",
]

UNSUPPORTED_BY_BACKEND = Code(
    "E389",
    "The back end `bmf` does not support an option of the decoder or the encoder.",
    "Leave the option out, or set `backend: pyav`.",
)
FRAME_SIZE_CHANGE = Code(
    "E440",
    "The frames of a clip change their size.",
    "Set `decoder.end` to stop before, or `decoder.size_change: letterbox`.",
)
INVALID_CROP = Code(
    "E441",
    "`crop` reaches beyond the frames, or begins between two chroma samples.",
    "Keep it inside the frames; use even numbers for left and top.",
)
