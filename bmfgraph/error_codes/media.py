"""Define the codes of errors about media: what is read and written, and how."""

from __future__ import annotations

from bmfgraph.error_codes.code import Code

__all__ = [
    "MISSING_DECODER",
    "UNSUPPORTED_BY_BACKEND",
    "UNSUPPORTED_MEDIA",
]

UNSUPPORTED_BY_BACKEND = Code(
    "E389",
    "The back end `bmf` does not support an option of the decoder or the encoder.",
    "Leave the option out, or set `backend: pyav`.",
)
UNSUPPORTED_MEDIA = Code(
    "E390",
    "The back end `bmf` would not read or write these frames as they are: FFmpeg 4 or BMF's frames cannot.",
    "Set `backend: pyav`.",
)
MISSING_DECODER = Code(
    "E391",
    "The FFmpeg 4 of the back end `bmf` has no decoder for the codec of the input.",
    "Set `backend: pyav`.",
)
