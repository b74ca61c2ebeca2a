"""Engines built by a program that the user names, such as trtexec: its words, and what is known of the engine."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bmfgraph.engines.key import EngineKey
from bmfgraph.errors import EngineError

__all__ = ["command_words", "strongly_typed", "tensors_of"]

# Of trtexec, which computes fp32 in TF32 unless told otherwise.
_PRECISION_FLAGS = {"fp32": "--noTF32", "fp16": "--fp16", "bf16": "--bf16", "int8": "--int8"}
_SHAPES = ("min_shapes", "opt_shapes", "max_shapes")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_PLACEHOLDERS = ("onnx", "plan", "precision", *_SHAPES, "shapes", "precision_flag", "workspace")


def command_words(node: str, command: Sequence[str], key: EngineKey, onnx: Path, plan: Path) -> list[str]:
    """The words of the program with their placeholders filled in; a word with an empty one in it is left out."""
    values = {
        "onnx": str(onnx),
        "plan": str(plan),
        "precision": key.precision,
        "precision_flag": "" if strongly_typed(key) else _PRECISION_FLAGS.get(key.precision, ""),
        "workspace": str(dict(key.flags).get("workspace") or ""),
    }
    for part in ("min", "opt", "max"):
        shapes = ((name, _by_x(getattr(profile, part))) for name, profile in key.profiles)
        values[f"{part}_shapes"] = ",".join(f"{_quoted(name)}:{shape}" for name, shape in shapes)
    words: list[str] = []
    program = shutil.which(command[0])
    for word in command:
        names = _PLACEHOLDER.findall(word)
        if unknown := [name for name in names if name not in _PLACEHOLDERS]:
            allowed = ", ".join(f"{{{name}}}" for name in _PLACEHOLDERS)
            raise EngineError(
                node, f"engine.command has {{{unknown[0]}}} in {word!r}", hint=f"allowed: {allowed}", code="E615"
            )
        if word == "{shapes}":
            for name, profile in key.profiles:
                words += ["--shape", name, _by_x(profile.min), _by_x(profile.opt), _by_x(profile.max)]
        elif "shapes" in names:
            raise EngineError(
                node,
                f"engine.command has {{shapes}} inside {word!r}",
                hint="it stands for several words: write it alone",
                code="E615",
            )
        elif all(values[name] for name in names):
            words.append(_PLACEHOLDER.sub(lambda match: values[match[1]], word))
    if program is None:
        raise EngineError(
            node,
            f"engine.command names {command[0]!r}, which is no program here",
            hint="install it, or write its path",
            code="E615",
        )
    return [program, *words[1:]]


def strongly_typed(key: EngineKey) -> bool:
    """Whether that runtime's builders take precision from the network, told from its version alone."""
    return key.runtime == "tensorrt_rtx" or int(re.match(r"\d*", key.version)[0] or 0) >= 11  # type: ignore[index]


def _by_x(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _quoted(name: str) -> str:
    """A tensor's name as trtexec wants it: in quotes where it holds what separates names and shapes."""
    return f"'{name}'" if re.search(r"[:,]", name) else name


def tensors_of(model: Any, key: EngineKey) -> list[dict[str, Any]]:
    """Inputs and outputs of a network as the manifest keeps them."""
    from onnx import helper

    profiles = key.as_json()["profiles"]
    found = []
    for mode, values in (("input", model.graph.input), ("output", model.graph.output)):
        for value in values:
            tensor = value.type.tensor_type
            dims = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
            dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
            one = {"name": value.name, "mode": mode, "dtype": dtype, "dims": dims}
            found.append(
                one | ({"profile": profiles[value.name]} if mode == "input" and value.name in profiles else {})
            )
    return found
