"""Explain the codes of errors in what a model's file says about the model."""

from __future__ import annotations

from bmfgraph.error_codes.code import Code

__all__ = [
    "DENIED_LICENCE",
    "INVALID_MODEL_METADATA",
    "MISSING_MODEL_METADATA",
    "UNSUPPORTED_MODEL_TASK",
]

INVALID_MODEL_METADATA = Code(
    "E353",
    "What a model's file, or a file beside it, says about the model cannot be read.",
    "Set the value in the model's config; it replaces that of the file.",
)
MISSING_MODEL_METADATA = Code(
    "E354", "The model's file does not hold what the config leaves to it.", "Set the value in the model's config."
)
DENIED_LICENCE = Code(
    "E355", "`policy.deny` forbids the licence of a model.", "Use another model, or change `policy.deny`."
)
UNSUPPORTED_MODEL_TASK = Code(
    "E356",
    "The file names a task of its model that no preset reads.",
    "Describe `model.outputs` and `model.decode`.",
)
