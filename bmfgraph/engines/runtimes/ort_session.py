"""Open sessions of ONNX Runtime; without torch, so that a child process can do it quickly."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bmfgraph.engines.onnx.model import with_free_dims
from bmfgraph.engines.onnx.weights import model_beside

__all__ = ["open_session"]


def open_session(
    path: Path,
    dim_overrides: Mapping[str, tuple[int | str, ...]],
    weight_files: Sequence[str],
    *,
    weights_as_inputs: bool,
    threads: int | None = None,
    providers: Sequence[Any] = ("CPUExecutionProvider",),
) -> Any:
    """Load a model into an ``onnxruntime.InferenceSession``.

    Weights that the file lists as inputs become constants, so that ONNX Runtime can fold them.

    Args:
        path: The model file.
        dim_overrides: By input name, the dims that replace those of the file.
        weight_files: Names of its weight files.
        weights_as_inputs: Whether the file lists its weights as inputs.
        threads: CPU threads; None: one for each core.
        providers: As in ONNX Runtime.

    Raises:
        ImportError: ONNX Runtime is not installed.
        Exception: ONNX Runtime refuses the model; it has many types of exceptions.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Threads that spin between two frames take the cores from decoder and encoder.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    home = model_beside(path, weight_files)
    model: str | bytes = str(home)
    if dim_overrides or weights_as_inputs:
        model = with_free_dims(path, dim_overrides).SerializeToString()
        # A model in memory has no folder, so ONNX Runtime needs the folder of its weight files.
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(home.parent.absolute())
        )
    return onnxruntime.InferenceSession(model, options, providers=list(providers))
