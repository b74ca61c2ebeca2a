"""Run ONNX Runtime on the CPU with tiny models."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")

from bmfgraph.engines.onnx.model import read_onnx  # noqa: E402
from bmfgraph.engines.runtimes import load_engine  # noqa: E402
from bmfgraph.engines.runtimes.onnxruntime import OnnxRuntimeEngine  # noqa: E402
from bmfgraph.errors import EngineError  # noqa: E402
from tests.tools import detector_model, double_model, engine_request, mix_model, negate_model  # noqa: E402


@pytest.mark.parametrize("shape", [(1, 3, 4, 6), (5, 3, 1, 1)])
def test_a_uint8_model(tmp_path: Path, shape: tuple[int, ...]) -> None:
    engine = load_engine("net", engine_request(double_model(tmp_path / "x.onnx")))
    given = torch.randint(0, 256, shape, dtype=torch.uint8)
    found = engine.begin({"input": given}).outputs()
    assert list(found) == ["output"]
    assert torch.equal(found["output"], given.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_outputs_are_the_callers(tmp_path: Path) -> None:
    engine = load_engine("net", engine_request(negate_model(tmp_path / "x.onnx")))
    given = torch.rand(1, 3, 2, 2) * 255
    kept = given.clone()
    first = engine.begin({"input": given}).outputs()["output"]
    copy = first.clone()
    first += 1
    assert torch.equal(engine.begin({"input": given}).outputs()["output"], copy)
    assert torch.equal(given, kept)


def test_several_outputs_come_by_name(tmp_path: Path) -> None:
    engine = load_engine("net", engine_request(detector_model(tmp_path / "x.onnx")))
    found = engine.begin({"input": torch.rand(1, 3, 48, 64)}).outputs()
    assert {name: tuple(tensor.shape) for name, tensor in found.items()} == {"scores": (1, 3, 2), "boxes": (1, 3, 4)}


def test_users_of_a_model_share_its_streams(tmp_path: Path) -> None:
    """Clips side by side run no more inferences at once than the CPU has threads for."""
    request = engine_request(double_model(tmp_path / "x.onnx"), threads=2, streams=2)
    one, other = (OnnxRuntimeEngine("net", request) for _ in range(2))
    alone = OnnxRuntimeEngine("net", engine_request(tmp_path / "x.onnx", threads=2))
    running, most, lock = [0], [0], threading.Lock()

    def run(inputs: dict[str, Any]) -> dict[str, Any]:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.02)
        with lock:
            running[0] -= 1
        return inputs

    pending = [engine._parallel.begin(run, {}) for _ in range(6) for engine in (one, other)]
    assert [each.outputs() for each in pending] == [{}] * 12
    assert most == [2]
    assert (one.streams, alone.streams) == (3, 1)


def test_what_is_not_contiguous_is_taken_too(tmp_path: Path) -> None:
    engine = load_engine("net", engine_request(double_model(tmp_path / "x.onnx")))
    given = torch.randint(0, 256, (1, 4, 6, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    assert torch.equal(engine.begin({"input": given}).outputs()["output"][..., ::2, ::2], given)


BOUND: dict[str, Any] = {
    "double": (double_model, {"input": ("uint8", (2, 3, 4, 6))}, {"output": ("uint8", (2, 3, 8, 12))}),
    "detector": (
        detector_model,
        {"input": ("float32", (1, 3, 48, 64))},
        {"scores": ("float32", (1, 3, 2)), "boxes": ("float32", (1, 3, 4))},
    ),
    "mix": (
        mix_model,
        {"a": ("float32", (3, 3, 4, 6)), "b": ("float32", (3, 3, 4, 6))},
        {"output": ("float32", (3, 3, 4, 6))},
    ),
}


@pytest.mark.parametrize("name", BOUND)
def test_tensors_bound_where_they_lie_give_the_same(tmp_path: Path, name: str) -> None:
    """Use on the CPU the memory binding that the CUDA provider needs."""
    make, inputs, outputs = BOUND[name]
    request = engine_request(
        make(tmp_path / "x.onnx"),
        input_shapes=tuple((one, shape) for one, (_, shape) in inputs.items()),
        # As they are promised for the plan's batch; fewer may come.
        output_shapes=tuple((one, (8, *shape[1:])) for one, (_, shape) in outputs.items()),
        tensors=tuple((one, dtype) for one, (dtype, _) in {**inputs, **outputs}.items()),
    )
    engine = OnnxRuntimeEngine("net", request)
    given = {one: (torch.rand(*shape) * 255).to(getattr(torch, dtype)) for one, (dtype, shape) in inputs.items()}
    wanted = engine.begin(given).outputs()
    # Not contiguous, which a pointer alone does not tell.
    turned = {one: tensor.transpose(2, 3).contiguous().transpose(2, 3) for one, tensor in given.items()}
    for tensors in (given, turned):
        found = engine.run_bound(tensors)
        assert {one: (str(made.dtype), tuple(made.shape)) for one, made in found.items()} == {
            one: (f"torch.{dtype}", shape) for one, (dtype, shape) in outputs.items()
        }
        assert all(torch.equal(found[one], wanted[one]) for one in wanted)


def test_an_output_of_unknown_size_cannot_be_bound(tmp_path: Path) -> None:
    request = engine_request(
        negate_model(tmp_path / "x.onnx"),
        output_shapes=(("output", (1, 3, None, 2)),),
        tensors=(("input", "float32"), ("output", "float32")),
    )
    with pytest.raises(ValueError, match=r"output output of \[1, 3, None, 2\]: its size must be known"):
        OnnxRuntimeEngine("net", request).run_bound({"input": torch.rand(1, 3, 2, 2)})


def test_a_fixed_export_runs_at_another_size(tmp_path: Path) -> None:
    path = negate_model(tmp_path / "x.onnx", shape=(10, 3, 32, 32))
    engine = load_engine("net", engine_request(path, dim_overrides=(("input", ("batch", 3, "height", "width")),)))
    given = torch.rand(2, 3, 8, 12)
    assert torch.equal(engine.begin({"input": given}).outputs()["output"], 255 - given)


def test_weights_listed_as_inputs_are_folded(tmp_path: Path) -> None:
    path = negate_model(tmp_path / "x.onnx", weights_as_inputs=True)
    assert read_onnx(path).weights_as_inputs
    given = torch.rand(1, 3, 2, 2)
    assert torch.equal(
        load_engine("net", engine_request(path)).begin({"input": given}).outputs()["output"], 255 - given
    )


def test_the_description_says_what_runs_where(tmp_path: Path) -> None:
    engine = load_engine("net", engine_request(double_model(tmp_path / "x.onnx"), threads=2))
    assert engine.description == f"ONNX Runtime {onnxruntime.__version__} on the CPU, 2 thread(s)"
    default = load_engine("net", engine_request(double_model(tmp_path / "x.onnx"), threads=None)).description
    assert default.endswith(" thread(s)")


def test_a_model_that_cannot_be_loaded_names_its_node(tmp_path: Path) -> None:
    import onnx
    from onnx import helper

    from tests.tools import tensor_info

    graph = helper.make_graph(
        [helper.make_node("Magic", ["input"], ["output"], domain="acme")],
        "x",
        [tensor_info("input", "float32", [1])],
        [tensor_info("output", "float32", [1])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("acme", 1)]
    path = tmp_path / "x.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
    with pytest.raises(EngineError) as caught:
        load_engine("net", engine_request(path))
    assert caught.value.node == "net"
    text = str(caught.value)
    assert text.startswith(f"pipeline.nodes.net: ONNX Runtime {onnxruntime.__version__} cannot load {str(path)!r}: ")
    assert "Magic" in text


def test_the_original_ultraface_gives_what_the_cleaned_one_gives(shared_models: Path) -> None:
    given = torch.rand(1, 3, 480, 640)
    one, other = (
        load_engine("net", engine_request(shared_models / name)).begin({"input": given}).outputs()
        for name in ("ultraface_rfb_640_original.onnx", "ultraface_rfb_640.onnx")
    )
    for name in ("scores", "boxes"):
        assert torch.allclose(one[name], other[name], atol=1e-5)
