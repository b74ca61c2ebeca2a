"""Compare an engine's inputs and outputs with those of the model file and the plan."""

from __future__ import annotations

from dataclasses import dataclass

from bmfgraph import error_codes as codes
from bmfgraph.engines.key import Profile
from bmfgraph.engines.spec import EngineSpec
from bmfgraph.errors import EngineError, join_sorted

__all__ = ["DTYPES", "Binding", "check_bindings"]

DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "BF16": "bfloat16",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}
"""TensorRT's names of element types -> the names that NumPy and torch use."""
_FLOATS = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Binding:
    """One input or output of an engine."""

    name: str
    is_input: bool
    dtype: str
    """TensorRT's name, such as HALF."""
    dims: tuple[int, ...]
    """Sizes, -1 where free."""
    profiles: tuple[Profile, ...] = ()
    """For an input, the shapes of each optimization profile."""

    def __str__(self) -> str:
        dims = "x".join("?" if size < 0 else str(size) for size in self.dims)
        return f"{self.name} {DTYPES.get(self.dtype, self.dtype)}[{dims}]"


def check_bindings(node: str, spec: EngineSpec, bindings: list[Binding]) -> int:
    """Compare the tensors of an engine with the plan.

    Args:
        node: The node that errors name.
        spec: The engine in the plan, with the tensors of the model file and the shapes of the frames.
        bindings: The tensors of the engine file.

    Returns:
        The index of the first optimization profile that holds all input shapes.

    Raises:
        EngineError: The engine was not built from this model, or not for these shapes.
    """
    dtypes, shapes = dict(spec.tensors), dict(spec.input_shapes)
    by_name = {binding.name: binding for binding in bindings}
    for name, dtype in dtypes.items():
        side = "input" if name in shapes else "output"
        binding = by_name.get(name)
        if binding is None or binding.is_input != (side == "input"):
            names = join_sorted(str(other) for other in bindings if other.is_input == (side == "input"))
            raise _mismatch(node, spec, f"has no {side} {name}; its {side}s: {names}")
        engine_dtype = DTYPES.get(binding.dtype, binding.dtype)
        # The stages convert outputs from any floating-point type.
        if engine_dtype != dtype and not (side == "output" and engine_dtype in _FLOATS and dtype in _FLOATS):
            raise _mismatch(node, spec, f"has the {side} {binding}, and the model's is {dtype}")
    inputs = [binding for binding in bindings if binding.is_input]
    for binding in inputs:
        if binding.name not in shapes:
            names = join_sorted(shapes) or "none"
            raise _mismatch(node, spec, f"has the input {binding}, for which no shape is given; given: {names}")
    return _find_profile(node, spec, inputs, shapes)


def _find_profile(node: str, spec: EngineSpec, inputs: list[Binding], shapes: dict[str, tuple[int, ...]]) -> int:
    for binding in inputs:
        shape = shapes[binding.name]
        if len(binding.dims) != len(shape):
            raise _mismatch(node, spec, f"has the input {binding}, and the frames make {list(shape)}")
    for index in range(min((len(binding.profiles) for binding in inputs), default=0)):
        if all(binding.profiles[index].holds(shapes[binding.name]) for binding in inputs):
            return index
    for binding in inputs:
        shape = shapes[binding.name]
        if not any(profile.holds(shape) for profile in binding.profiles):
            ranges = " or ".join(f"{list(profile.min)} to {list(profile.max)}" for profile in binding.profiles)
            raise EngineError(
                node,
                f"engine {spec.path!r} takes {binding.name} of {ranges}, and the frames make {list(shape)}",
                hint="set the preprocess node's `size` or engine.batch within it, or build an engine for this shape",
                code=codes.ENGINE_BINDING_MISMATCH,
            )
    raise _mismatch(node, spec, f"has no optimization profile for {shapes}")


def _mismatch(node: str, spec: EngineSpec, text: str) -> EngineError:
    return EngineError(
        node,
        f"engine {spec.path!r} {text}",
        hint="name the ONNX file that it was built from as model.file, or build it again",
        code=codes.ENGINE_BINDING_MISMATCH,
    )
