"""Check model files that are damaged or made to do harm: each is an error with a code, and nothing outside is read."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bmfgraph.engines.onnx.cache import cached_model, cached_output_shapes
from bmfgraph.engines.onnx.model import OnnxError
from bmfgraph.engines.onnx.precision import prepare_network
from tests.tools import double_model, tensor_info

Change = Callable[[Any], None]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use an empty cache folder."""
    monkeypatch.setenv("BMFGRAPH_CACHE", str(tmp_path / "cache"))


def changed(path: Path, change: Change) -> Path:
    """Write the model that doubles pixels, after a change."""
    model = onnx.load(str(double_model(path)))
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def apart(model: Any, **entries: str) -> None:
    """Put the model's weight into a file of its own."""
    (weight,) = model.graph.initializer
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "w.bin", **entries}.items():
        weight.external_data.add(key=key, value=value)


def error_of(path: Path) -> OnnxError:
    """Return the error of reading the model, which takes a moment only."""
    began = time.monotonic()
    with pytest.raises(OnnxError) as caught:
        cached_model(path)
    assert time.monotonic() - began < 10
    assert caught.value.hint
    return caught.value


def external(**entries: str) -> Change:
    return lambda model: apart(model, **entries)


def dims(*sizes: int) -> Change:
    def change(model: Any) -> None:
        model.graph.initializer[0].dims[:] = sizes

    return change


def huge(model: Any) -> None:
    apart(model)
    dims(1 << 60)(model)


def constant(location: str, *, inside: bool = False) -> Change:
    """Add a Constant whose values lie in a file; ``inside`` a subgraph."""

    def change(model: Any) -> None:
        value = TensorProto(name="c", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
        value.external_data.add(key="location", value=location)
        node = helper.make_node("Constant", [], ["c"], value=value)
        if inside:
            branch = helper.make_graph([node], "branch", [], [tensor_info("c", "float32", [4])])
            truth = helper.make_node("Constant", [], ["t"], value=numpy_helper.from_array(np.array(True)))
            model.graph.node.append(truth)
            node = helper.make_node("If", ["t"], ["c2"], then_branch=branch, else_branch=branch)
        model.graph.node.append(node)

    return change


def recursive(model: Any) -> None:
    opset = helper.make_opsetid("loc", 1)
    model.opset_import.append(opset)
    call = helper.make_node("Rec", ["x"], ["y"], domain="loc")
    model.functions.append(helper.make_function("loc", "Rec", ["x"], ["y"], [call], [opset]))


def expanding(model: Any) -> None:
    opset = helper.make_opsetid("loc", 1)
    model.opset_import.append(opset)
    for level in range(30):
        kind = f"F{level - 1}" if level else "Relu"
        domain = "loc" if level else ""
        calls = [helper.make_node(kind, [one], [other], domain=domain) for one, other in (("x", "y"), ("y", "z"))]
        opsets = [opset, helper.make_opsetid("", 17)]
        model.functions.append(helper.make_function("loc", f"F{level}", ["x"], ["z"], calls, opsets))


def twice(model: Any) -> None:
    model.graph.node.append(model.graph.node[0])


@pytest.mark.sample(6)
@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        (external(location="../w.bin"), "E503", "it keeps weights in '../w.bin', outside of its folder"),
        (external(location="/proc/kmsg"), "E503", "it keeps weights in '/proc/kmsg', outside of its folder"),
        (external(location="w" * 5000), "E503", "cannot be read (File name too long)"),
        (external(location="gone.bin"), "E503", "keeps weights in 'gone.bin', which is not beside it"),
        (external(location="pipe"), "E503", "keeps weights in 'pipe', which cannot be read"),
        (external(location="zero"), "E503", "keeps weights in 'zero', which cannot be read"),
        (external(location="link"), "E503", "outside of its folder"),
        (external(location="cut.bin"), "E503", "which has 10 bytes of the 16 that the model needs"),
        (external(offset="-4"), "E502", "needs 16 bytes and has 16 at -4 in 'w.bin'"),
        (external(offset="many"), "E502", "has an offset or a length in its file that is not a number"),
        (external(length="12"), "E502", "needs 16 bytes and has 12 at 0 in 'w.bin'"),
        (external(location=""), "E502", "has its values in a file without a valid name"),
        (dims(5), "E502", "its tensor 'scales' of [5] needs 20 bytes and has 16"),
        (dims(1 << 40, 4), "E502", "needs 17,592,186,044,416 bytes and has 16"),
        (dims(-4), "E502", "its tensor 'scales' has the shape [-4]"),
        (huge, "E502", "this machine has"),
        (lambda model: setattr(model.graph.initializer[0], "data_type", 99), "E502", "has the element type 99"),
        (lambda model: setattr(model.graph.initializer[0], "data_type", 8), "E502", "is text, and its values are not"),
        (constant("../w.bin"), "E503", "it keeps weights in '../w.bin', outside of its folder"),
        (constant("../w.bin", inside=True), "E503", "it keeps weights in '../w.bin', outside of its folder"),
        (recursive, "E502", "its function 'Rec' calls itself"),
        (expanding, "E519", "or its functions stand for as many"),
        (twice, "E502", "two of its nodes or tensors make 'output'"),
    ],
)
def test_a_file_that_is_damaged_or_harmful(tmp_path: Path, change: Change, code: str, text: str) -> None:
    (tmp_path / "folder").mkdir()
    folder = tmp_path / "folder"
    os.mkfifo(folder / "pipe")
    (folder / "zero").symlink_to("/dev/zero")
    (tmp_path / "w.bin").write_bytes(bytes(64))
    (folder / "w.bin").write_bytes(bytes(64))
    (folder / "link").symlink_to("../w.bin")
    (folder / "cut.bin").write_bytes(bytes(10))
    error = error_of(changed(folder / "x.onnx", change))
    assert (error.code, text in str(error)) == (code, True), error


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = double_model(tmp_path / "x.onnx")
    path.write_bytes(path.read_bytes().replace(b"output", b"out\xffut"))
    error = error_of(path)
    assert (error.code, "a name in it is not UTF-8" in str(error)) == ("E502", True)


def test_files_larger_than_models(tmp_path: Path) -> None:
    for name, begin, size in (("zeros", b"", 1 << 40), ("model", b"\x08\x08", 1 << 40), ("small", b"\0", 1 << 30)):
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(begin)
        os.truncate(path, size)
        assert error_of(path).code == "E502"


def test_too_many_nodes(tmp_path: Path) -> None:
    def change(model: Any) -> None:
        node = helper.make_node("Relu", ["input"], [""])
        model.graph.node.extend([node] * 260_000)

    assert error_of(changed(tmp_path / "x.onnx", change)).code == "E519"


def test_a_shape_that_doubles_at_each_node(tmp_path: Path) -> None:
    def change(model: Any) -> None:
        nodes = [helper.make_node("Shape", ["input"], ["s0"])]
        nodes += [helper.make_node("Concat", [f"s{step}"] * 2, [f"s{step + 1}"], axis=0) for step in range(40)]
        model.graph.node.extend(nodes)

    model = cached_model(changed(tmp_path / "x.onnx", change))
    with pytest.raises(OnnxError) as caught:
        cached_output_shapes(model, {"input": (1, 3, 4, 4)})
    assert caught.value.code == "E519"
    assert "takes more than" in str(caught.value)


def test_only_the_used_part_of_a_weight_file_is_read(tmp_path: Path) -> None:
    path = changed(tmp_path / "x.onnx", lambda model: apart(model, offset=str(1 << 39)))
    with (tmp_path / "w.bin").open("wb") as file:
        file.seek(1 << 39)
        file.write(np.array([1, 1, 2, 2], np.float32).tobytes())
        file.truncate(1 << 40)
    model = cached_model(path)
    assert [(file.name, file.parts) for file in model.external] == [("w.bin", ((1 << 39, 16),))]
    assert cached_output_shapes(model, {"input": (1, 3, 4, 6)}) == {"output": (1, 3, 8, 12)}


@pytest.mark.parametrize("inside", [False, True])
def test_constants_in_files_belong_to_the_checksum(tmp_path: Path, inside: bool) -> None:
    path = changed(tmp_path / "x.onnx", constant("c.bin", inside=inside))
    (tmp_path / "c.bin").write_bytes(bytes(16))
    first = cached_model(path)
    (tmp_path / "c.bin").write_bytes(bytes(15) + b"\1")
    second = cached_model(path)
    assert [file.name for file in first.external] == ["c.bin"]
    assert first.sha256 != second.sha256
    assert first.external == second.external


@pytest.mark.parametrize("name", ["snapshot/model.onnx", "model.onnx"])
def test_a_cache_of_links(tmp_path: Path, name: str) -> None:
    for folder in ("blobs", "snapshot"):
        (tmp_path / folder).mkdir()
    changed(tmp_path / "blobs" / "aaa", apart)
    (tmp_path / "blobs" / "bbb").write_bytes(np.array([1, 1, 2, 2], np.float32).tobytes())
    (tmp_path / "snapshot" / "model.onnx").symlink_to("../blobs/aaa")
    (tmp_path / "snapshot" / "w.bin").symlink_to("../blobs/bbb")
    (tmp_path / "model.onnx").symlink_to("snapshot/model.onnx")
    model = cached_model(tmp_path / name)
    assert cached_output_shapes(model, {"input": (1, 3, 4, 6)}) == {"output": (1, 3, 8, 12)}
    network = prepare_network(tmp_path / name, {}, "fp32", strongly_typed=False)
    assert len(network.graph.initializer[0].raw_data) == 16
