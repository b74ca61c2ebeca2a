"""Test that the work of a batch, recorded as one CUDA graph, gives what the CPU gives for each frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bmfgraph.errors import Problem
from bmfgraph.stages.detections import Detect
from bmfgraph.stages.items import Frame, Sample
from bmfgraph.stages.recording import Recording, TensorStage
from bmfgraph.stages.results import Detections
from tests.stages.detectors import bundle, params
from tests.stages.object_detectors import FAMILIES
from tests.stages.test_presets import PLACES
from tests.tools import opened

pytestmark = pytest.mark.gpu
BATCH = 4


def on_gpu(stage: TensorStage) -> TensorStage:
    stage.device, stage.batch = "cuda", BATCH
    return opened(stage)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_batch_is_decoded_like_its_frames(name: str, place: str) -> None:
    family, placement = FAMILIES[name], PLACES[place]
    outputs = [
        family.outputs(np.random.default_rng(seed), placement.width, placement.height) for seed in range(2 * BATCH + 2)
    ]
    shapes = {key: value.shape for key, value in outputs[0].items()}
    work = params(bundle(name, shapes, placement, labels=family.labels))
    alone, steps = opened(Detect("faces", work)), Recording([on_gpu(Detect("faces", work))])
    samples = [
        Sample({key: torch.from_numpy(value) for key, value in tensors.items()}, (Frame(index),))
        for index, tensors in enumerate(outputs)
    ]
    rows = [
        (Sample({key: tensor.cuda() for key, tensor in sample.tensors.items()}, sample.frames),) for sample in samples
    ]
    results: list[Detections] = []
    for start in range(0, len(rows), BATCH):
        results += steps.process_batch(rows[start : start + BATCH])
    results += steps.finish()
    assert [result.index for result in results] == list(range(len(rows)))
    for sample, result in zip(samples, results, strict=True):
        (expected,) = alone.process(sample)
        assert [box.label for box in result.boxes] == [box.label for box in expected.boxes]
        assert np.allclose(result.corners, expected.corners, atol=0.05)
        assert np.allclose(result.scores, expected.scores, atol=1e-4)


class Peek(TensorStage):
    """Reads a value on the CPU, which no graph can record."""

    def compute(self, tensors: dict[str, torch.Tensor], count: int) -> dict[str, torch.Tensor]:
        return {"x": tensors["x"] + tensors["x"].max().item()}


def test_what_cannot_be_recorded_is_launched_as_it_is() -> None:
    warnings: list[Problem] = []
    stage = on_gpu(Peek("peek", None))
    stage.receive_warning = warnings.append
    steps = Recording([stage])
    for _ in range(3):
        tensors = [torch.full((1, 2), float(index), device="cuda") for index in range(BATCH)]
        rows = [(Sample({"x": tensor}, (Frame(index),)),) for index, tensor in enumerate(tensors)]
        values = [sample.tensors["x"][0, 0].item() for sample in steps.process_batch(rows)]
        assert values == [index + BATCH - 1 for index in range(BATCH)]
    assert [warning.code for warning in warnings] == ["W133"]
    # Other work is recorded as before.
    from bmfgraph.stages.cuda import GraphedFunction

    double = GraphedFunction(lambda x: 2 * x)
    assert [double(torch.full((3,), float(value), device="cuda"))[0].item() for value in (1, 2)] == [2, 4]


@pytest.mark.parametrize("latency", ["null", "0", "0.1"])
def test_the_length_of_a_batch_changes_no_result(
    compiled: Callable[..., Any], faces: list[str], kit: Path, tmp_path: Path, latency: str
) -> None:
    from bmfgraph.runner.run import run_plan

    texts = []
    for name, options in (("this", [f"latency={latency}"]), ("plain", ["engine.cuda_graph=false"])):
        words = [*faces, *options, f"input={kit}/carphone_pristine.mp4", "decoder=nvdec", "encoder=measure"]
        plan = compiled(*words, f"records={tmp_path}/{name}.jsonl")
        assert run_plan(plan).frames == 120
        texts.append((tmp_path / f"{name}.jsonl").read_text())
    assert texts[0] == texts[1]
