"""Mutate ONNX files: their bytes, and their graphs."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import onnx
from onnx import TensorProto, helper

from tests.hostile.fuzz.configurations import inputs
from tests.hostile.fuzz.trial import Case
from tests.tools import double_model, negate_model, quantised_model

__all__ = ["case"]

_NAMES = ("", "\x1b[31m", "a" * 3000, "input", "é", "a b", "../x", "\u202e")
_LOCATIONS = (
    "../../../etc/passwd",
    "/etc/passwd",
    "/dev/zero",
    "a" * 5000,
    "",
    ".",
    "w.bin",
    "tmp",
    "pipe",
    "model.onnx",
)


def case(random: Random, folder: Path) -> Case:
    """Return a check of a mutated model."""
    (folder / "clip.mp4").write_bytes(inputs()[0])
    data = random.choice(_models())
    if random.random() < 0.3:
        data = _mutated_bytes(random, data)
    else:
        model = onnx.load_model_from_string(data)
        for _ in range(random.randint(1, 2)):
            random.choice(_MUTATIONS)(random, model)
        data = model.SerializeToString()
    (folder / "model.onnx").write_bytes(data)
    (folder / "w.bin").write_bytes(b"x" * random.choice((0, 10, 100_000)))
    own = folder / "my" / "model" / "any.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("name: any\nfile: model.onnx\ninputs: {input: {}}\noutputs: {output: {}}\n")
    words = (
        "check",
        "--config-dir",
        "my",
        "pipeline=super_resolution",
        "model=any",
        "input=clip.mp4",
        "output=out.mp4",
    )
    return Case(folder, words)


@functools.cache
def _models() -> tuple[bytes, ...]:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "model.onnx"
        return tuple(make(path).read_bytes() for make in (double_model, negate_model, quantised_model))


def _mutated_bytes(random: Random, data: bytes) -> bytes:
    content = bytearray(data)
    for _ in range(random.randint(1, 8)):
        place = random.randrange(len(content))
        action = random.choice(("flip", "cut", "insert"))
        if action == "flip":
            content[place] ^= 1 << random.randrange(8)
        elif action == "cut" and len(content) > 20:
            del content[place : place + random.randint(1, 9)]
        else:
            content[place:place] = random.randbytes(random.randint(1, 9))
    return bytes(content)


def _change_dim(random: Random, model: onnx.ModelProto) -> None:
    value = random.choice([*model.graph.input, *model.graph.output])
    dims = value.type.tensor_type.shape.dim
    if dims:
        random.choice(dims).dim_value = random.choice((0, -1, 1, 3, 17, 2**31, 2**62))


def _drop_shape(random: Random, model: onnx.ModelProto) -> None:
    random.choice([*model.graph.input, *model.graph.output]).type.tensor_type.ClearField("shape")


def _change_type(random: Random, model: onnx.ModelProto) -> None:
    value = random.choice([*model.graph.input, *model.graph.output])
    value.type.tensor_type.elem_type = random.choice((0, 1, 2, 7, 8, 9, 10, 16, 99))


def _change_operator(random: Random, model: onnx.ModelProto) -> None:
    node = random.choice(model.graph.node)
    node.op_type = random.choice(
        ("FooBar", "If", "Loop", "Identity", "Conv", "ConstantOfShape", "Reshape", "SpaceToDepth")
    )
    node.domain = random.choice(("", "", "com.microsoft", "trt.plugins", "\x1b[2J"))


def _rename(random: Random, model: onnx.ModelProto) -> None:
    things: list[Any] = [*model.graph.input, *model.graph.output, *model.graph.node, *model.graph.initializer]
    random.choice(things).name = random.choice(_NAMES)


def _shorten_weight(random: Random, model: onnx.ModelProto) -> None:
    if model.graph.initializer:
        weight = random.choice(model.graph.initializer)
        if random.random() < 0.5:
            weight.raw_data = weight.raw_data[: random.randint(0, 3)]
        else:
            weight.dims[:] = [random.choice((2**40, -1, 0, 7))]


def _move_weight(random: Random, model: onnx.ModelProto) -> None:
    if model.graph.initializer:
        weight = random.choice(model.graph.initializer)
        weight.data_location = TensorProto.EXTERNAL
        weight.ClearField("raw_data")
        fields = {"location": random.choice(_LOCATIONS)}
        fields |= random.choice(
            ({}, {"length": "16"}, {"length": "-1"}, {"offset": str(2**62), "length": "16"}, {"length": "x"})
        )
        for key, value in fields.items():
            weight.external_data.add(key=key, value=value)


def _repeat_node(random: Random, model: onnx.ModelProto) -> None:
    node = random.choice(model.graph.node)
    for _ in range(random.choice((1, 2, 2000))):
        model.graph.node.add().CopyFrom(node)


def _nest(random: Random, model: onnx.ModelProto) -> None:
    graph = model.graph
    for depth in range(random.choice((2, 8, 15))):
        inner = onnx.GraphProto()
        inner.CopyFrom(graph)
        node = helper.make_node("If", [f"c{depth}"], [f"o{depth}"], then_branch=inner, else_branch=onnx.GraphProto())
        graph = helper.make_graph([node], "nest", [], [])
    model.graph.node.extend(graph.node)


def _recurse(random: Random, model: onnx.ModelProto) -> None:
    name = random.choice(("Loopy", "Other"))
    call = helper.make_node(name, ["x"], ["y"], domain="own")
    model.functions.append(helper.make_function("own", "Loopy", ["x"], ["y"], [call], [helper.make_opsetid("own", 1)]))
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.graph.node[0].op_type, model.graph.node[0].domain = "Loopy", "own"


def _change_version(random: Random, model: onnx.ModelProto) -> None:
    model.ir_version = random.choice((0, 3, 7, 99))
    model.opset_import[0].version = random.choice((0, 1, 7, 13, 99))


_MUTATIONS: tuple[Callable[[Random, onnx.ModelProto], None], ...] = (
    _change_dim,
    _drop_shape,
    _change_type,
    _change_operator,
    _rename,
    _shorten_weight,
    _move_weight,
    _repeat_node,
    _nest,
    _recurse,
    _change_version,
)
