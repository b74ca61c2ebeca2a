"""What a model is fed when its pipeline runs over another clip: int8 is calibrated with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bmfgraph.errors import EngineError, SourceError
from bmfgraph.media.sources import locate
from bmfgraph.nodes.inference import InferenceParams
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.types import FrameSpec, TensorSpec

__all__ = ["calibration_inputs"]


def calibration_inputs(plan: Plan, node: PlanNode) -> Iterator[dict[str, Any]]:
    """For frames from all over the clip: NumPy arrays by input name, with a batch of 1.

    Each frame goes through the same stages as in the pipeline, after it was scaled to the source's size; a window
    gets frames that follow each other. Raises EngineError where the clip cannot be read.
    """
    params: InferenceParams = node.params
    assert params.engine is not None
    assert params.engine.build is not None
    build = params.engine.build
    assert build.calibration is not None
    try:
        clip = locate(build.calibration)
    except SourceError as error:
        raise EngineError(node.name, f"engine.calibration: {error}", hint=error.hint, code=error.code) from None
    chains = {
        name: _chain(plan, ref.node, node.name) for (name, _), ref in zip(params.inputs, node.inputs, strict=True)
    }
    source = _source(plan, node)
    length = max(_window(chain) for chain in chains.values())
    # A model that takes one batch only is shown each sample that many times.
    count = params.batch if params.fixed_batch else 1
    for frames in _passages(node.name, clip, build.calibration_frames, length, source):
        yield {name: _through(chain, frames).repeat(count, axis=0) for name, chain in chains.items()}


def _chain(plan: Plan, name: str, consumer: str) -> list[PlanNode]:
    """The stages that make the tensor, from the first one that takes frames."""
    found: list[PlanNode] = []
    node = plan.node(name)
    while node.outputs and isinstance(node.outputs[0].type, TensorSpec) and len(node.inputs) == 1:
        if node.kind not in ("upload", "download"):
            found.insert(0, node)
        node = plan.node(node.inputs[0].node)
    if not found or any(isinstance(one.params, InferenceParams) for one in found):
        raise EngineError(
            consumer,
            f"engine.precision=int8 is calibrated for models that are fed by a preprocess node, not by {name!r}",
            hint="choose another precision, or quantise the model yourself",
            code="E607",
        )
    return found


def _source(plan: Plan, node: PlanNode) -> FrameSpec:
    kind = plan.type_of(node.inputs[0])
    assert isinstance(kind, TensorSpec)
    assert kind.source is not None
    return kind.source


def _window(chain: list[PlanNode]) -> int:
    """Frames that make one sample."""
    last = chain[-1].outputs[0].type
    assert isinstance(last, TensorSpec)
    return last.window.frames


def _passages(node: str, clip: Path, count: int, length: int, source: FrameSpec) -> Iterator[list[Any]]:
    """``count`` passages of ``length`` frames, uint8 RGB [height, width, 3], from all over the clip."""
    import av
    import torch

    try:
        with av.open(str(clip)) as container:
            if not container.streams.video:
                raise EngineError(
                    node, f"engine.calibration: {str(clip)!r} has no video in it", hint="name another clip", code="E607"
                )
            total = sum(1 for packet in container.demux(video=0) if packet.pts is not None)
        starts = {round(place * max(0, total - length) / max(1, count - 1)) for place in range(count)}
        passage: list[Any] = []
        with av.open(str(clip)) as container:
            for index, frame in enumerate(container.decode(video=0)):
                if index in starts or passage:
                    picture = frame.reformat(width=source.width, height=source.height, format="rgb24")
                    passage.append(torch.from_numpy(picture.to_ndarray()))
                if len(passage) == length:
                    yield passage
                    passage = []
        if passage:
            # The clip is shorter than the window, which then goes beyond its end as in a run.
            yield passage
    except (av.FFmpegError, OSError) as error:
        raise EngineError(
            node,
            f"engine.calibration: {str(clip)!r} is no video that can be read ({error})",
            hint="name another clip",
            code="E607",
        ) from None


def _through(chain: list[PlanNode], pictures: list[Any]) -> Any:
    """The first sample that the stages make of the pictures."""
    import importlib

    from bmfgraph.stages.items import Frame

    items: list[Any] = [Frame(index, None, image=picture) for index, picture in enumerate(pictures)]
    for node in chain:
        module, _, name = node.spec.stage.partition(":")
        stage = getattr(importlib.import_module(module), name)(node.name, node.params)
        stage.open()
        items = [made for item in items for made in stage.process(item)] + list(stage.finish())
        stage.close()
    (tensor,) = items[0].tensors.values()
    return tensor.numpy()
