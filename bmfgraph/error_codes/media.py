"""Define the codes of errors about media: what is read and written, and how."""

from __future__ import annotations

from bmfgraph.error_codes.code import Code

__all__ = [
    "HDR_REFUSED",
    "MISSING_GPU_ENCODER",
    "UNSUPPORTED_BY_BACKEND",
    "UNSUPPORTED_PASSES",
    "UNSUPPORTED_TUNE",
]

HDR_REFUSED = Code(
    "E383", "The input is HDR video, and the decoder refuses it.", "Set `hdr: tonemap` or `hdr: keep` of the decoder."
)
UNSUPPORTED_BY_BACKEND = Code(
    "E389",
    "The back end `bmf` does not support an option of the decoder or the encoder.",
    "Leave the option out, or set `backend: pyav`.",
)
UNSUPPORTED_TUNE = Code(
    "E363", "The codec does not have the `tune`.", "Leave it out, or use one that the message lists."
)
UNSUPPORTED_PASSES = Code(
    "E364", "The codec cannot make two passes, or they lack a bit rate.", "Set `passes: 1`, or `bit_rate`."
)
MISSING_GPU_ENCODER = Code(
    "E365", "The machine has no NVENC, which the codec needs.", "Choose another codec, such as `encoder=x264`."
)
