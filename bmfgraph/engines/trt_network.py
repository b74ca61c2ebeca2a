"""Turn an ONNX network and a build job into TensorRT's network, profile and builder settings.

Part of trt_process.py, which any Python from 3.8 on runs without bmfgraph: it imports the standard library only.
``trt`` is the imported TensorRT module in all functions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["BuildError", "add_profile", "configure", "describe_tensors", "keep_sensitive", "parse"]

HEAVY = ("CONVOLUTION", "DECONVOLUTION", "EINSUM", "FULLY_CONNECTED", "LOOP_OUTPUT", "MATRIX_MULTIPLY", "RNN_V2")
"""Types of the layers that end a tail: TensorRT's names of the operators in onnx/sensitive.py."""


class BuildError(Exception):
    """The engine cannot be built; ``hint`` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def parse(trt: Any, network: Any, logger: Any, path: str, library: str) -> Any:
    """Read an ONNX file into a network.

    Args:
        network: An empty ``INetworkDefinition``, which is filled.
        logger: TensorRT's ``ILogger``.
        path: The ONNX file, with its weights inside.
        library: TensorRT's name and version for messages.

    Returns:
        The parser. It owns the weights, so it must live until the engine is built.

    Raises:
        BuildError: TensorRT does not support the network.
    """
    parser = trt.OnnxParser(network, logger)
    data = Path(path).read_bytes()
    if parser.parse(data):
        return parser
    lines = []
    for error in (parser.get_error(index) for index in range(parser.num_errors)):
        line = "{}: {}".format(_describe_node(error, data), " ".join(error.desc().split()))
        if line not in lines:
            lines.append(line)
    text = " ".join(lines).upper()
    if "UINT8" in text:
        hint = "TensorRT has uint8 at inputs and outputs only: export with a Cast to float right behind the input"
    elif "OPSET" in text or "IR VERSION" in text:
        hint = "export with another opset, or build with a newer TensorRT"
    else:
        hint = (
            "export the model without these operators or with another opset, or run it with engine.runtime=onnxruntime"
        )
    raise BuildError("{} cannot read the network: {}".format(library, "\n    ".join(lines)), hint)


def _describe_node(error: Any, data: bytes) -> str:
    """Name the ONNX node of a parser error: its operator, name and index, as far as they are known."""
    index = error.node()
    name = getattr(error, "node_name", lambda: "")()
    operator = getattr(error, "node_operator", lambda: "")()
    if index < 0:
        return "the network"
    place = f"node {index}"
    try:
        import onnx

        node = onnx.load_model_from_string(data).graph.node[index]
        if operator in ("", node.op_type):  # Otherwise the index belongs to a subgraph.
            name, operator, place = node.name, node.op_type, f"{place}, it makes {node.output[0]!r}"
    except Exception:  # The package onnx is optional here, and it only adds detail to the message.
        pass
    return " ".join(part for part in (operator, repr(name) if name else "", f"({place})") if part)


def add_profile(builder: Any, network: Any, config: Any, profiles: dict[str, dict[str, list[int]]]) -> None:
    """Add the optimization profile, after comparing it with the network's inputs.

    Args:
        profiles: For each input name the shapes ``min``, ``opt`` and ``max``, batch included.

    Raises:
        BuildError: A shape does not fit the network, or an input with free dims has no profile.
    """
    profile = builder.create_optimization_profile()
    for tensor in (network.get_input(index) for index in range(network.num_inputs)):
        name, dims = tensor.name, list(tensor.shape)
        shapes = profiles.get(name)
        if shapes is None:
            if -1 in dims:
                raise BuildError(f"input {name!r} has free dims {_shape_text(dims)}, and no profile", "give its shapes")
            continue
        if getattr(tensor, "is_shape_tensor", False):
            raise BuildError(f"input {name!r} says shapes, not data", "export the model with that input made constant")
        smallest, best, largest = shapes["min"], shapes["opt"], shapes["max"]
        for shape in (smallest, best, largest):
            if len(shape) != len(dims) or any(dims[axis] not in (-1, size) for axis, size in enumerate(shape)):
                raise BuildError(
                    f"input {name!r} is {_shape_text(dims)} in the network, and the profile has {_shape_text(shape)}",
                    "correct the shapes, or free the model's dims",
                )
        if any(not smallest[axis] <= best[axis] <= largest[axis] for axis in range(len(dims))):
            raise BuildError(f"the profile of input {name!r} is not min <= opt <= max: {shapes}", "correct the shapes")
        profile.set_shape(name, tuple(smallest), tuple(best), tuple(largest))
    if config.add_optimization_profile(profile) < 0:
        raise BuildError(f"the profile is not accepted: {profiles}", "correct the shapes")


def configure(
    trt: Any, config: Any, precision: str, flags: dict[str, Any], library: str, *, strongly_typed: bool
) -> None:
    """Set the builder's flags.

    Args:
        precision: fp32, tf32, fp16, bf16 or int8.
        flags: ``version_compatible``, ``workspace`` (MiB), ``optimization_level`` and ``tactic_sources``.
        library: TensorRT's name and version for messages.
        strongly_typed: The network's own types carry the precision, so no flag does.

    Raises:
        BuildError: This TensorRT lacks a setting. A setting is never left out silently.
    """
    kinds = trt.BuilderFlag
    config.clear_flag(kinds.TF32)
    if precision == "tf32":
        config.set_flag(kinds.TF32)
    names = {"fp16": ["FP16"], "bf16": ["BF16"], "int8": ["INT8", "FP16"]}.get(precision, [])
    for name in names if not strongly_typed else []:
        if name not in kinds.__members__:
            raise BuildError(f"{library} has no {precision}", "choose another precision: fp16, tf32 or fp32")
        config.set_flag(getattr(kinds, name))
    if flags.get("version_compatible"):
        if "VERSION_COMPATIBLE" not in kinds.__members__:
            raise BuildError(f"{library} has no version_compatible", "set it to false")
        config.set_flag(kinds.VERSION_COMPATIBLE)
    sharing = getattr(getattr(trt, "PreviewFeature", None), "PROFILE_SHARING_0806", None)
    if sharing is not None:
        # TensorRT 8.6 otherwise lets only one execution context use a profile.
        config.set_preview_feature(sharing, True)
    if flags.get("workspace"):
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, int(flags["workspace"]) << 20)
    if flags.get("optimization_level") is not None:
        if not hasattr(config, "builder_optimization_level"):
            raise BuildError(f"{library} has no optimization_level", "set it to null")
        config.builder_optimization_level = int(flags["optimization_level"])
    if flags.get("tactic_sources") is not None:
        members = trt.TacticSource.__members__
        for name in flags["tactic_sources"]:
            if name not in members:
                raise BuildError(
                    f"{library} has no tactic source {name!r}", "it has: {}".format(", ".join(sorted(members)))
                )
        config.set_tactic_sources(sum(1 << int(members[name]) for name in set(flags["tactic_sources"])))


def keep_sensitive(trt: Any, network: Any, config: Any, outputs: list[str]) -> int:
    """Ask for float32 in the tails of some outputs: in all layers behind the last heavy ones.

    Args:
        outputs: Names of the network's outputs whose tails are sensitive to precision.

    Returns:
        The number of layers that stay in float32.
    """
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    producers = {layer.get_output(place).name: layer for layer in layers for place in range(layer.num_outputs)}
    pending, visited, count = list(outputs), set(), 0
    while pending:
        layer = producers.get(pending.pop())
        if layer is None or layer.name in visited or str(layer.type).rsplit(".", 1)[-1] in HEAVY:
            continue
        visited.add(layer.name)
        pending += [tensor.name for tensor in map(layer.get_input, range(layer.num_inputs)) if tensor is not None]
        results = enumerate(map(layer.get_output, range(layer.num_outputs)))
        floats = [place for place, tensor in results if tensor.dtype == trt.float32 and not tensor.is_shape_tensor]
        if floats:
            layer.precision = trt.float32
            count += 1
        for place in floats:
            layer.set_output_type(place, trt.float32)
    if count:
        # PREFER, not OBEY: a layer without a float32 kernel then runs in 16 bits instead of failing the build.
        config.set_flag(trt.BuilderFlag.PREFER_PRECISION_CONSTRAINTS)
    return count


def describe_tensors(network: Any, profiles: dict[str, Any]) -> list[dict[str, Any]]:
    """Describe a network's inputs and outputs.

    Returns:
        For each tensor its ``name``, ``mode`` (input or output), ``dtype`` (TensorRT's name, such as HALF), ``dims``
        (-1 where free) and, where an input has one, its ``profile``.
    """
    inputs = [("input", network.get_input(index)) for index in range(network.num_inputs)]
    outputs = [("output", network.get_output(index)) for index in range(network.num_outputs)]
    tensors = []
    for mode, tensor in inputs + outputs:
        description: dict[str, Any] = {"name": tensor.name, "mode": mode, "dtype": str(tensor.dtype).rsplit(".", 1)[-1]}
        description["dims"] = [int(size) for size in tensor.shape]
        if mode == "input" and tensor.name in profiles:
            description["profile"] = profiles[tensor.name]
        tensors.append(description)
    return tensors


def _shape_text(dims: list[int]) -> str:
    """Write dims such as 1x3x?x?."""
    return "x".join("?" if size == -1 else str(size) for size in dims)
