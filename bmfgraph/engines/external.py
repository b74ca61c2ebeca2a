"""Build engines with a program that the user names, such as trtexec."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.engines.key import EngineKey
from bmfgraph.errors import EngineError

__all__ = ["command_line", "describe_tensors", "strongly_typed"]

# Flags of trtexec, which computes fp32 in TF32 by default.
_PRECISION_FLAGS = {"fp32": "--noTF32", "fp16": "--fp16", "bf16": "--bf16", "int8": "--int8"}
_SHAPES = ("min_shapes", "opt_shapes", "max_shapes")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_PLACEHOLDERS = ("onnx", "plan", "precision", *_SHAPES, "shapes", "precision_flag", "workspace")


def command_line(node: str, command: Sequence[str], key: EngineKey, onnx: Path, plan: Path) -> list[str]:
    """Fill in the placeholders of ``engine.command``.

    Args:
        node: The node that errors name.
        command: The program and its arguments. An argument is left out where a placeholder in it has no value.
        onnx: The network that the program reads.
        plan: The engine file that it writes.

    Returns:
        The command line, with the program's full path.

    Raises:
        EngineError: A placeholder is unknown, or the program is not installed.
    """
    values = {
        "onnx": str(onnx),
        "plan": str(plan),
        "precision": key.precision,
        "precision_flag": "" if strongly_typed(key) else _PRECISION_FLAGS.get(key.precision, ""),
        "workspace": str(dict(key.flags).get("workspace") or ""),
    }
    for part in ("min", "opt", "max"):
        shapes = ((name, _shape_text(getattr(profile, part))) for name, profile in key.profiles)
        values[f"{part}_shapes"] = ",".join(f"{_quoted(name)}:{shape}" for name, shape in shapes)
    arguments: list[str] = []
    program = shutil.which(command[0])
    for argument in command:
        names = _PLACEHOLDER.findall(argument)
        if unknown := [name for name in names if name not in _PLACEHOLDERS]:
            allowed = ", ".join(f"{{{name}}}" for name in _PLACEHOLDERS)
            raise EngineError(
                node,
                f"engine.command has {{{unknown[0]}}} in {argument!r}",
                hint=f"allowed: {allowed}",
                code=codes.UNUSABLE_ENGINE_BUILDER,
            )
        if argument == "{shapes}":
            for name, profile in key.profiles:
                arguments += ["--shape", name, *map(_shape_text, (profile.min, profile.opt, profile.max))]
        elif "shapes" in names:
            raise EngineError(
                node,
                f"engine.command has {{shapes}} inside {argument!r}",
                hint="it stands for several arguments: write it alone",
                code=codes.UNUSABLE_ENGINE_BUILDER,
            )
        elif all(values[name] for name in names):
            arguments.append(_PLACEHOLDER.sub(lambda match: values[match[1]], argument))
    if program is None:
        raise EngineError(
            node,
            f"engine.command names {command[0]!r}, which is not a program on this machine",
            hint="install it, or write its path",
            code=codes.UNUSABLE_ENGINE_BUILDER,
        )
    return [program, *arguments[1:]]


def strongly_typed(key: EngineKey) -> bool:
    """Return whether this version of the runtime takes the precision from the network's own types."""
    return key.runtime == "tensorrt_rtx" or int(re.match(r"\d*", key.version)[0] or 0) >= 11  # type: ignore[index]


def _shape_text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _quoted(name: str) -> str:
    """Quote a tensor's name for trtexec where it holds the separators of names and shapes."""
    return f"'{name}'" if re.search(r"[:,]", name) else name


def describe_tensors(model: Any, key: EngineKey) -> list[dict[str, Any]]:
    """Describe the inputs and outputs of an ``onnx.ModelProto`` in the form of ``BuildResult.tensors``."""
    from onnx import helper

    profiles = key.as_json()["profiles"]
    tensors = []
    for mode, values in (("input", model.graph.input), ("output", model.graph.output)):
        for value in values:
            kind = value.type.tensor_type
            dims = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in kind.shape.dim]
            dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type).name
            tensor = {"name": value.name, "mode": mode, "dtype": dtype, "dims": dims}
            if mode == "input" and value.name in profiles:
                tensor["profile"] = profiles[value.name]
            tensors.append(tensor)
    return tensors
