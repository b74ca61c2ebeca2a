"""Define the codes of errors about media: what is read and written, and how."""

from __future__ import annotations

from bmfgraph.error_codes.code import Code

__all__ = [
    "EXISTING_OUTPUT",
    "MISSING_DECODER",
    "MISSING_GPU_ENCODER",
    "UNKNOWN_NAME_WORD",
    "UNSUPPORTED_BY_BACKEND",
    "UNSUPPORTED_PASSES",
    "UNSUPPORTED_TUNE",
]

EXISTING_OUTPUT = Code("E220", "A file to write exists.", "Set `overwrite=true`, or write to another file.")
UNKNOWN_NAME_WORD = Code(
    "E221",
    "The name of a file to write has a word that is unknown there, or a brace without its partner.",
    "Use the words that the message lists; `{{` and `}}` stand for braces.",
)
MISSING_DECODER = Code(
    "E222", "FFmpeg has no decoder for the codec of a video.", "Convert the file with a program that reads the codec."
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
