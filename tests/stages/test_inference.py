"""Test that batches are joined, run by a real engine, and split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from bmfgraph.errors import EngineError
from bmfgraph.nodes.inference import InferenceParams
from bmfgraph.stages.inference import Infer
from bmfgraph.stages.items import Frame, Sample
from tests.tools import engine_request, negate_model, save_model, tensor_info

pytest.importorskip("onnxruntime")


def stage(path: Path, batch: int, *, fixed: bool = False, outputs: tuple[str, ...] = ("output",)) -> Infer:
    shape = (batch, 3, 4, 6)
    params = InferenceParams("m", (("input", shape),), tuple((name, shape) for name in outputs), batch, fixed)
    infer = Infer("net", replace(params, engine=engine_request(path, batch=batch)))
    infer.open()
    return infer


def sample(index: int) -> Sample:
    return Sample({"input": torch.full((1, 3, 4, 6), float(index))}, (Frame(index),))


def run(infer: Infer, count: int) -> list[list[Any]]:
    """Return the items after each sample, and after the last."""
    steps = [list(infer.process(sample(index))) for index in range(count)]
    steps.append(list(infer.finish()))
    infer.close()
    return steps


@pytest.mark.parametrize("fixed", [False, True], ids=["free batch", "fixed batch"])
@pytest.mark.parametrize("batch", [1, 2, 4])
@pytest.mark.parametrize("count", [1, 3, 4, 5, 8])
def test_each_sample_gets_its_own_answer(tmp_path: Path, count: int, batch: int, fixed: bool) -> None:
    shape = (batch, 3, 4, 6) if fixed else ("N", 3, "H", "W")
    steps = run(stage(negate_model(tmp_path / "x.onnx", shape=shape), batch, fixed=fixed), count)
    out = [one for step in steps for one in step]
    assert [one.index for one in out] == list(range(count))
    for one in out:
        assert one.tensors["output"].shape == (1, 3, 4, 6)
        assert (one.tensors["output"] == 255 - one.index).all()
    # Full batches come at once, the rest at the end.
    assert [len(step) for step in steps] == [batch if (at + 1) % batch == 0 else 0 for at in range(count)] + [
        count % batch
    ]


def test_a_clip_without_frames_runs_nothing(tmp_path: Path) -> None:
    assert run(stage(negate_model(tmp_path / "x.onnx"), 4), 0) == [[]]


def test_several_outputs_are_taken_apart_alike(tmp_path: Path) -> None:
    path = save_model(
        tmp_path / "x.onnx",
        [
            helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Add", ["input", "one"], ["more"]),
        ],
        [tensor_info("input", "float32", ["N", 3, "H", "W"])],
        [tensor_info("mean", "float32", ["N"]), tensor_info("more", "float32", ["N", 3, "H", "W"])],
        {"one": np.array(1, np.float32)},
    )
    out = [one for step in run(stage(path, 3, outputs=("mean", "more")), 5) for one in step]
    for index, one in enumerate(out):
        assert one.tensors["mean"].tolist() == [index]
        assert (one.tensors["more"] == index + 1).all()


def test_the_stage_says_what_runs_it_and_lets_go_of_it(tmp_path: Path) -> None:
    infer = stage(negate_model(tmp_path / "x.onnx"), 1)
    assert infer.engine_description.startswith("ONNX Runtime ")
    infer.close()
    infer.close()
    assert not hasattr(infer, "_engine")


def test_an_engine_that_cannot_be_loaded(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Magic", ["input"], ["output"], domain="acme")],
        "x",
        [tensor_info("input", "float32", [1])],
        [tensor_info("output", "float32", [1])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("acme", 1)]
    path = tmp_path / "x.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
    with pytest.raises(EngineError, match=r"^pipeline\.nodes\.net: ONNX Runtime .* cannot load "):
        stage(path, 1)


def rows(index: int, count: int) -> Sample:
    """Return a sample with that many rows, all different."""
    return Sample({"input": (100 * index + torch.arange(count)).float().view(-1, 1, 1, 1).expand(-1, 3, 4, 6)},
                  (Frame(index),))  # fmt: skip


@pytest.mark.parametrize("fixed", [False, True], ids=["free batch", "fixed batch"])
def test_batches_are_filled_across_rows_and_samples(tmp_path: Path, fixed: bool) -> None:
    shape = (4, 3, 4, 6) if fixed else ("N", 3, "H", "W")
    infer = stage(negate_model(tmp_path / "x.onnx", shape=shape), 4, fixed=fixed)
    sizes: list[int] = []
    begin = infer._engine.begin
    infer._engine.begin = lambda inputs: sizes.append(len(inputs["input"])) or begin(inputs)  # type: ignore[method-assign, func-returns-value]
    counts = [15, 1, 15, 2, 1]
    steps = [list(infer.process(rows(index, count))) for index, count in enumerate(counts)]
    steps.append(list(infer.finish()))
    assert sizes == [4] * 8 + [4 if fixed else 2]
    # The 15 rows of the first sample end with the row of the second in a batch.
    assert [[one.index for one in step] for step in steps] == [[], [0, 1], [], [2], [], [3, 4]]
    out = [one for step in steps for one in step]
    for index, (one, count) in enumerate(zip(out, counts, strict=True)):
        assert one.tensors["output"].shape == (count, 3, 4, 6)
        assert one.tensors["output"][:, 0, 0, 0].tolist() == [255 - 100 * index - row for row in range(count)]


@pytest.mark.sample(3)
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("streams", [2, 3, None])
def test_inferences_side_by_side_come_in_order(tmp_path: Path, streams: int | None, runtime: Any) -> None:
    pytest.importorskip(runtime)
    path, shape = negate_model(tmp_path / "x.onnx"), (1, 3, 4, 6)
    params = InferenceParams("m", (("input", shape),), (("output", shape),), 1, fixed_batch=False)
    tensors = (("input", "float32"), ("output", "float32"))
    shapes = {"input_shapes": params.inputs, "output_shapes": params.output_shapes, "tensors": tensors}
    request = engine_request(path, runtime=runtime, streams=streams, threads=3, **shapes)
    infer = Infer("net", replace(params, engine=request))
    infer.open()
    engine = infer._engine
    steps = run(infer, 40)
    out = [one for step in steps for one in step]
    assert [one.index for one in out] == list(range(40))
    for one in out:
        assert (one.tensors["output"] == 255 - one.index).all()
    if streams:
        # As many run as there are streams; the oldest is waited for when one more has begun.
        assert [len(step) for step in steps] == [0] * streams + [1] * (40 - streams) + [streams]
    else:
        # Inferences as short as these go one by one.
        assert engine.streams == 1


def test_a_failure_beside_other_inferences_names_its_own_frame(tmp_path: Path) -> None:
    shape = (1, 3, 4, 6)
    params = InferenceParams("m", (("input", shape),), (("output", shape),), 1, fixed_batch=False)
    request = engine_request(negate_model(tmp_path / "x.onnx"), streams=2, threads=2)
    infer = Infer("net", replace(params, engine=request))
    infer.open()
    odd = Sample({"input": torch.zeros(1, 5)}, (Frame(1),))
    assert not [*infer.process(sample(0)), *infer.process(odd)]
    assert [one.index for one in infer.process(sample(2))] == [0]
    with pytest.raises(Exception, match="Invalid rank") as caught:
        list(infer.process(sample(3)))
    assert caught.value.item.index == 1  # type: ignore[attr-defined]
    infer.close()
