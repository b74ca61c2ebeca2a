"""Quantize a network to int8: QuantizeLinear and DequantizeLinear around its heavy nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from bmfgraph import error_codes as codes
from bmfgraph.engines.onnx.graph import default_opset
from bmfgraph.engines.onnx.model import OnnxError
from bmfgraph.engines.onnx.tools import import_tool, tool_errors_as_onnx_errors
from bmfgraph.errors import first_line
from bmfgraph.system.temporary import temporary_folder

__all__ = ["Samples", "quantize"]

Samples = Iterable[Mapping[str, NDArray[Any]]]
"""Inputs of the model by name, with the shapes and dtypes of the model file; one mapping per inference."""

_QUANTIZED = ["Conv", "ConvTranspose", "Gemm", "MatMul"]


def quantize(model: Any, calibration: Samples | None, *, opset: int, kept: Sequence[str] = ()) -> Any:
    """Quantize the inputs and weights of convolutions and matrix products.

    Args:
        model: An ``onnx.ModelProto``, which may be changed.
        calibration: Inputs over which the ranges of activations are measured.
        opset: The operator set to upgrade to, at least 13, because one scale per channel needs it.
        kept: Names of nodes to leave as they are.

    Returns:
        The quantized ``onnx.ModelProto``; a model that is quantized already is only upgraded.

    Raises:
        OnnxError: There is no calibration data, or the model cannot be quantized.
        InstallError: ONNX Runtime is not installed.
    """
    import onnx

    model = _upgrade(model, opset)
    tools = import_tool("quantization", "int8")
    if any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in model.graph.node):
        return model
    samples = iter(calibration or ())
    first = next(samples, None)
    if first is None:
        raise OnnxError(
            "int8 needs frames to measure its ranges over, and there are none",
            "set engine.calibration to a clip like those that will be processed",
            code=codes.NETWORK_PREPARATION_FAILURE,
        )

    class Reader(tools.CalibrationDataReader):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.first: Mapping[str, NDArray[Any]] | None = first

        def get_next(self) -> dict[str, NDArray[Any]] | None:
            sample, self.first = self.first or next(samples, None), None
            return None if sample is None else dict(sample)

    _add_kernel_shapes(model)
    with tool_errors_as_onnx_errors("int8"), temporary_folder() as folder:
        target = folder / "quantized.onnx"
        tools.quantize_static(
            model,
            target,
            Reader(),
            quant_format=tools.QuantFormat.QDQ,
            op_types_to_quantize=_QUANTIZED,
            nodes_to_exclude=list(kept),
            per_channel=True,
            activation_type=tools.QuantType.QInt8,
            weight_type=tools.QuantType.QInt8,
            extra_options={
                # TensorRT supports zero points of 0, float weights with both nodes behind them, and float biases.
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "AddQDQPairToWeight": True,
                "QuantizeBias": False,
                # Outputs are quantized only at the next heavy node, so that TensorRT can fuse the activations between.
                "OpTypesToExcludeOutputQuantization": _QUANTIZED,
            },
        )
        return onnx.load(str(target))


def _add_kernel_shapes(model: Any) -> None:
    """Add the optional attribute kernel_shape to convolutions: TensorRT 8 cannot infer it from quantized weights."""
    import onnx

    shapes = {weight.name: list(weight.dims) for weight in model.graph.initializer}
    for node in model.graph.node:
        present = any(entry.name == "kernel_shape" for entry in node.attribute)
        if node.op_type in ("Conv", "ConvTranspose") and not present and node.input[1] in shapes:
            node.attribute.append(onnx.helper.make_attribute("kernel_shape", shapes[node.input[1]][2:]))


def _upgrade(model: Any, opset: int) -> Any:
    """Convert a model to an operator set, or keep it where it uses a later one."""
    import onnx

    current = default_opset(model)
    if current >= opset:
        return model
    try:
        return onnx.version_converter.convert_version(model, opset)
    except Exception as error:  # The converter raises RuntimeError, and pybind11's own types.
        raise OnnxError(
            f"the network is in ONNX's operator set {current}, and int8 needs {opset}: {first_line(error)}",
            f"export the model with operator set {opset} or later, or take fp16",
            code=codes.NETWORK_PREPARATION_FAILURE,
        ) from None
