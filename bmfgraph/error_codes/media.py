"""Define the codes of errors about media: what is read and written, and how."""

from __future__ import annotations

from bmfgraph.error_codes.code import Code

__all__ = [
    "HDR_REFUSED",
    "UNSUPPORTED_BY_BACKEND",
]

HDR_REFUSED = Code(
    "E383", "The input is HDR video, and the decoder refuses it.", "Set `hdr: tonemap` or `hdr: keep` of the decoder."
)
UNSUPPORTED_BY_BACKEND = Code(
    "E389",
    "The back end `bmf` does not support an option of the decoder or the encoder.",
    "Leave the option out, or set `backend: pyav`.",
)
