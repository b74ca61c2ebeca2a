"""Explain the codes of engines, runtimes and the installation."""

from __future__ import annotations

from bmfgraph.error_codes.code import Code

__all__ = [
    "CONFLICTING_OPTIMIZATION_PROFILE",
    "DAMAGED_ENGINE",
    "DEVICE_CONFLICT",
    "ENGINE_BINDING_MISMATCH",
    "ENGINE_BUILD_FAILURE",
    "ENGINE_FILE_NOT_FOUND",
    "ENGINE_GPU_MISMATCH",
    "ENGINE_LIBRARY_MISMATCH",
    "ENGINE_LOAD_FAILURE",
    "ENGINE_RUNTIME_CONFLICT",
    "FOREIGN_STORE_FOLDER",
    "MISSING_BMF",
    "MISSING_CLOUD",
    "MISSING_ENCODER",
    "MISSING_FFMPEG",
    "MISSING_GPU",
    "MISSING_HARDWARE_DECODER",
    "MISSING_NODE_PACKAGE",
    "MISSING_ONNXRUNTIME",
    "MISSING_OPENVINO",
    "MISSING_PYNVVIDEOCODEC",
    "MISSING_RAY",
    "MISSING_STORED_ENGINE",
    "MISSING_SUBMITIT",
    "MISSING_TENSORRT",
    "NETWORK_PREPARATION_FAILURE",
    "UNSUPPORTED_PRECISION",
    "UNSUPPORTED_RTX_GPU",
    "UNTRUSTED_HOST_CODE",
    "UNUSABLE_CALIBRATION",
    "UNUSABLE_ENGINE_BUILDER",
    "UNUSABLE_ENGINE_STORE",
]

# Engines and runtimes
DEVICE_CONFLICT = Code("E601", "`device` is cpu, and another setting needs a GPU.", "Leave one of the two out.")
ENGINE_FILE_NOT_FOUND = Code(
    "E602", "The file of `engine.path` does not exist.", "Correct the path, or leave it out to build an engine."
)
ENGINE_RUNTIME_CONFLICT = Code(
    "E603", "ONNX Runtime cannot run an engine of TensorRT.", "Leave `engine.path` or `engine.runtime` out."
)
UNSUPPORTED_PRECISION = Code("E604", "ONNX Runtime does not support the precision.", "Set it to fp32, or use TensorRT.")
MISSING_GPU = Code("E605", "A GPU is required, and the machine has none.", "Use the CPU, or another machine.")
MISSING_TENSORRT = Code("E606", "TensorRT is not installed, or cannot build engines.", "Run `pip install tensorrt`.")
UNUSABLE_CALIBRATION = Code("E607", "int8 cannot be calibrated.", "Set `engine.calibration` to a typical clip.")
CONFLICTING_OPTIMIZATION_PROFILE = Code(
    "E608", "`engine.profiles` contradicts the model or the frames.", "Correct it, or set it to auto."
)
MISSING_STORED_ENGINE = Code(
    "E609", "The store lacks the engine, and `engine.build` is never.", "Set `engine.build=auto`."
)
ENGINE_GPU_MISMATCH = Code("E610", "The engine was built for another GPU.", "Build it on the machine that runs it.")
ENGINE_LIBRARY_MISMATCH = Code(
    "E611", "The engine was built by another library or version.", "Build it again, or with `version_compatible`."
)
ENGINE_BINDING_MISMATCH = Code("E612", "The engine's bindings do not match the model or the shapes.", "Build it again.")
DAMAGED_ENGINE = Code("E613", "The engine file is damaged.", "Build it again.")
UNUSABLE_ENGINE_STORE = Code(
    "E614", "The engine store cannot be read or written.", "Set `engine.store` to a writable folder."
)
UNUSABLE_ENGINE_BUILDER = Code(
    "E615", "`engine.python` or `engine.command` cannot be used.", "Correct it as the message says."
)
ENGINE_BUILD_FAILURE = Code("E616", "TensorRT cannot build the network.", "Read the log that the message names.")
NETWORK_PREPARATION_FAILURE = Code("E617", "The network cannot be prepared.", "Change the model or the precision.")
UNSUPPORTED_RTX_GPU = Code("E618", "TensorRT-RTX does not support this GPU.", "Use TensorRT.")
ENGINE_LOAD_FAILURE = Code("E619", "A runtime cannot load the engine or model.", "Rebuild it, or update the runtime.")
UNTRUSTED_HOST_CODE = Code(
    "E620", "The engine contains CPU code.", "If you trust it, set `engine.allow_host_code=true`."
)
FOREIGN_STORE_FOLDER = Code("E621", "The folder of `--store` is not an engine store.", "Name the folder of a store.")

# Installation
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
MISSING_SUBMITIT = Code("E711", "submitit is not installed.", "`pip install 'bmfgraph[slurm]'`.")
MISSING_RAY = Code("E709", "Ray is not installed.", "`pip install 'bmfgraph[ray]'`.")
MISSING_CLOUD = Code(
    "E710", "The package that reads s3://, gs:// or http:// is not installed.", "`pip install 'bmfgraph[cloud]'`."
)
MISSING_OPENVINO = Code("E708", "OpenVINO is not installed.", "Run `pip install openvino`.")
