"""Compare a model's config, its file and the tensors that feed it."""

from __future__ import annotations

from bmfgraph import error_codes as codes
from bmfgraph.engines.onnx.model import OnnxModel, OnnxTensor
from bmfgraph.errors import PlanError, did_you_mean, join_sorted
from bmfgraph.nodes.facts import CompletedModel
from bmfgraph.nodes.model import ModelSpec
from bmfgraph.plan.types import TensorSpec

__all__ = ["check_dims", "check_input", "check_layout", "check_tensor_names"]


def check_tensor_names(name: str, spec: ModelSpec, onnx: OnnxModel) -> None:
    """Refuse names of tensors in the config that the file does not have.

    Args:
        name: Name of the node.
        spec: The model's config.
        onnx: The model's file.

    Raises:
        PlanError: A name is wrong.
    """
    for side, described, tensors in (
        ("inputs", spec.inputs, onnx.inputs),
        ("outputs", spec.outputs, onnx.outputs),
    ):
        names = [tensor.name for tensor in tensors]
        for key in described:
            if key not in names:
                raise PlanError(
                    name,
                    f"model.{side}.{key}: {onnx.path.name} has no such tensor{did_you_mean(key, names)}; "
                    f"it has: {join_sorted(names)}",
                    hint=f"correct the names under model.{side}",
                    code=codes.UNKNOWN_MODEL_TENSOR,
                )


def check_dims(name: str, model: CompletedModel) -> None:
    """Refuse ``dims`` of another length than those of the file's input.

    Args:
        name: Name of the node.
        model: The model.

    Raises:
        PlanError: The lengths differ.
    """
    for tensor in model.onnx.inputs:
        dims = model.spec.inputs[tensor.name].dims
        if dims is not None and len(dims) != len(tensor.dims):
            raise PlanError(
                name,
                f"model.inputs.{tensor.name}.dims has {len(dims)} entries, but the file's input {tensor} "
                f"has {len(tensor.dims)}",
                hint="give a size or a name for each dimension of the file's input",
                code=codes.WRONG_DIMS_LENGTH,
            )


def check_layout(name: str, model: CompletedModel, tensor: OnnxTensor) -> None:
    """Refuse a model whose channels differ from its config in place or number.

    Args:
        name: Name of the node.
        model: The model.
        tensor: One of its inputs, with 4 dims.

    Raises:
        PlanError: They differ.
    """
    meaning, dims, frames = model.meaning(tensor), model.dims(tensor), model.spec.window.frames
    count = meaning.count * frames
    axis = meaning.dims.index("channels")
    other, layout = (3, "NHWC") if axis == 1 else (1, "NCHW")
    config = f"model.inputs.{tensor.name}: layout {meaning.layout} and channels {meaning.channels}"
    if dims[other] == count and dims[axis] != count:
        raise PlanError(
            name,
            f"{config} put {count} channels in dim {axis}, but {tensor} has them in dim {other}",
            hint=f"set model.inputs.{tensor.name}.layout={layout}",
            code=codes.TENSOR_MEANING_MISMATCH,
        )
    if isinstance(dims[axis], int) and dims[axis] != count:
        window = f" in a window of {frames}" if frames > 1 else ""
        raise PlanError(
            name,
            f"{config}{window} make {count} channels, but {tensor} has {dims[axis]} in dim {axis}",
            hint=f"correct model.inputs.{tensor.name}" + (" or model.window" if dims[axis] != 1 else ".channels"),
            code=codes.TENSOR_MEANING_MISMATCH,
        )


def check_input(name: str, model: CompletedModel, source: TensorSpec, tensor: OnnxTensor) -> None:
    """Refuse a tensor that is not what an input needs.

    Args:
        name: Name of the node.
        model: The model.
        source: Type of the edge that feeds the input.
        tensor: The input.

    Raises:
        PlanError: They differ in window, dtype, meaning or size.
    """
    meaning = model.meaning(tensor)
    window = model.spec.window.window()
    if source.window != window:
        raise PlanError(
            name,
            f"model {model.spec.name!r} works on a {window}, but its input is a {source.window}",
            hint="put a node {kind: window} between preprocess and inference"
            if source.pictures == 1
            else "leave the window node's own `window` out, so that it follows the model",
            code=codes.WINDOW_MISMATCH,
        )
    if source.dtype != tensor.dtype:
        normalised_twice = source.meaning is not None and source.meaning.normalised and not meaning.normalised
        raise PlanError(
            name,
            f"input {tensor} expects {tensor.dtype}, but its source has dtype {source.dtype}"
            + (f" of normalised values, {source.meaning}" if normalised_twice else ""),
            hint="leave dtype, mean and std of the preprocess node out: the model reads levels 0..255"
            if normalised_twice
            else f"set dtype: {tensor.dtype} on the preprocess node, or leave it out",
            code=codes.TENSOR_DTYPE_MISMATCH,
        )
    if source.meaning != meaning:
        raise PlanError(
            name,
            f"input {tensor.name} expects {meaning}, "
            f"but its source is {source.meaning or 'a tensor of unknown meaning'}",
            hint="leave layout, channels, mean and std of the preprocess node out, so that they follow the model"
            if source.meaning
            else "describe the tensor under `outputs` in the config of the model that produces it",
            code=codes.TENSOR_MEANING_MISMATCH,
        )
    dims = model.dims(tensor)
    if len(source.shape) != len(dims) or any(
        isinstance(dim, int) and size != dim for size, dim in zip(source.shape[1:], dims[1:], strict=True)
    ):
        raise PlanError(
            name,
            f"input {OnnxTensor(tensor.name, tensor.dtype, dims)} does not fit the size of {source}",
            hint="set the preprocess node's `size` and `fit`, or choose another model",
            code=codes.TENSOR_SIZE_MISMATCH,
        )
