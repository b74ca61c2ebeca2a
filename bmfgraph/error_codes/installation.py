"""Explain the codes of software that is missing."""

from __future__ import annotations

from bmfgraph.error_codes.code import Code

__all__ = [
    "MISSING_BMF",
    "MISSING_ENCODER",
    "MISSING_FFMPEG",
    "MISSING_HARDWARE_DECODER",
    "MISSING_NODE_PACKAGE",
    "MISSING_ONNXRUNTIME",
    "MISSING_PYNVVIDEOCODEC",
]

MISSING_BMF = Code("E701", "BMF is not installed.", "Run `pip install 'bmfgraph[cpu]'` or `'bmfgraph[gpu]'`.")
MISSING_FFMPEG = Code("E702", "FFmpeg 4 is missing or incomplete.", "Run `pip install decord==0.6.0`.")
MISSING_ENCODER = Code("E703", "The installed FFmpeg does not have the encoder.", "Choose another codec.")
MISSING_HARDWARE_DECODER = Code("E704", "The installed FFmpeg lacks the hardware decoder.", "Set `decoder=nvdec`.")
MISSING_ONNXRUNTIME = Code(
    "E705", "ONNX Runtime or its CUDA provider is not installed.", "Run `pip install onnxruntime`, or onnxruntime-gpu."
)
MISSING_PYNVVIDEOCODEC = Code(
    "E706", "PyNvVideoCodec is missing or cannot be loaded.", "Run `pip install PyNvVideoCodec`."
)
MISSING_NODE_PACKAGE = Code(
    "E707", "A package that a third-party node needs is missing.", "Install it as the message says."
)
