"""What an engine's inputs and outputs are, checked against what the model's file and the plan say."""

from __future__ import annotations

from dataclasses import dataclass

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
"""TensorRT's names of element types, and NumPy's and torch's."""
_FLOATS = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Binding:
    """One input or output of an engine; ``dtype`` by TensorRT's name, -1 for dims that are free."""

    name: str
    is_input: bool
    dtype: str
    dims: tuple[int, ...]
    profiles: tuple[Profile, ...] = ()
    """Of an input: the shapes that each optimization profile takes."""

    def __str__(self) -> str:
        dims = "x".join("?" if size < 0 else str(size) for size in self.dims)
        return f"{self.name} {DTYPES.get(self.dtype, self.dtype)}[{dims}]"


def check_bindings(node: str, request: EngineSpec, bindings: list[Binding]) -> int:
    """Refuse an engine that is not made from the model, or not for these shapes; which of its profiles takes them.

    Raises EngineError, which names ``node``.
    """
    dtypes, shapes = dict(request.tensors), dict(request.input_shapes)
    there = {one.name: one for one in bindings}
    for name, dtype in dtypes.items():
        side = "input" if name in shapes else "output"
        found = there.get(name)
        if found is None or found.is_input != (side == "input"):
            names = join_sorted(str(one) for one in bindings if one.is_input == (side == "input"))
            raise _misfit(node, request, f"has no {side} {name}; its {side}s: {names}")
        given = DTYPES.get(found.dtype, found.dtype)
        # Whatever takes an output converts it from any floating point.
        if given != dtype and not (side == "output" and given in _FLOATS and dtype in _FLOATS):
            raise _misfit(node, request, f"has the {side} {found}, and the model's is {dtype}")
    for one in bindings:
        if one.is_input and one.name not in shapes:
            raise _misfit(
                node,
                request,
                f"has the input {one}, for which no shape is given; given: {join_sorted(shapes) or 'none'}",
            )
    return _profile_for(node, request, bindings, shapes)


def _profile_for(node: str, request: EngineSpec, bindings: list[Binding], shapes: dict[str, tuple[int, ...]]) -> int:
    inputs = [one for one in bindings if one.is_input]
    for one in inputs:
        shape = shapes[one.name]
        if len(one.dims) != len(shape):
            raise _misfit(node, request, f"has the input {one}, and the frames make {list(shape)}")
    count = min((len(one.profiles) for one in inputs), default=0)
    for number in range(count):
        if all(one.profiles[number].holds(shapes[one.name]) for one in inputs):
            return number
    for one in inputs:
        shape = shapes[one.name]
        if not any(profile.holds(shape) for profile in one.profiles):
            taken = " or ".join(f"{list(profile.min)} to {list(profile.max)}" for profile in one.profiles)
            raise EngineError(
                node,
                f"engine {request.path!r} takes {one.name} of {taken}, and the frames make {list(shape)}",
                hint="set the preprocess node's `size` or engine.batch within it, or build an engine for this shape",
                code="E612",
            )
    raise _misfit(node, request, f"has no optimization profile for {shapes}")


def _misfit(node: str, request: EngineSpec, what: str) -> EngineError:
    return EngineError(
        node,
        f"engine {request.path!r} {what}",
        hint="name the ONNX file that it was built from as model.file, or build it again",
        code="E612",
    )
