"""Compute a model's inputs from the clip that calibrates int8."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.engines.spec import EngineSpec
from bmfgraph.errors import EngineError, SourceError
from bmfgraph.media.opening import open_video
from bmfgraph.media.sources import locate_clip
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.types import FrameSpec, TensorSpec

__all__ = ["calibration_inputs"]


def calibration_inputs(plan: Plan, node: PlanNode) -> Iterator[dict[str, Any]]:
    """Yield NumPy arrays by input name, with a batch of 1, for frames from all over the clip.

    Each frame is scaled to the source's size and goes through the same stages as in the pipeline; a window gets
    consecutive frames.

    Raises:
        EngineError: The clip cannot be read.
    """
    engine: EngineSpec = node.spec.engine_of(node.params)
    build = engine.build
    assert build is not None
    assert build.calibration is not None
    try:
        clip = locate_clip(build.calibration)
    except SourceError as error:
        raise EngineError(node.name, f"engine.calibration: {error}", hint=error.hint, code=error.code) from None
    request = node.spec.engine_request(node)
    fed = {feed.name: feed for feed in request.feeds}
    wired = [name for name, _ in engine.input_shapes if name not in fed]
    chains = {name: _chain(plan, ref.node, node.name) for name, ref in zip(wired, node.inputs, strict=True)}
    source = _source(plan, node)
    length = max(_window(chain) for chain in chains.values())
    # A model with a fixed batch gets the same sample for every item of it.
    count = engine.batch if request.fixed_batch else 1
    constants = {name: feed.array(count) for name, feed in fed.items()}
    for frames in _passages(node.name, clip, build.calibration_frames, length, source):
        yield {name: _sample(chain, frames).repeat(count, axis=0) for name, chain in chains.items()} | constants


def _chain(plan: Plan, name: str, consumer: str) -> list[PlanNode]:
    """Return the nodes that make the tensor from frames, in running order."""
    chain: list[PlanNode] = []
    node = plan.node(name)
    while node.outputs and isinstance(node.outputs[0].type, TensorSpec) and len(node.inputs) == 1:
        if not node.spec.transfer:
            chain.insert(0, node)
        node = plan.node(node.inputs[0].node)
    if not chain or any(member.spec.engine_of(member.params) for member in chain):
        raise EngineError(
            consumer,
            f"engine.precision=int8 is calibrated for models that read from a preprocess node, not from {name!r}",
            hint="choose another precision, or quantise the model yourself",
            code=codes.UNUSABLE_CALIBRATION,
        )
    return chain


def _source(plan: Plan, node: PlanNode) -> FrameSpec:
    kind = plan.type_of(node.inputs[0])
    assert isinstance(kind, TensorSpec)
    assert kind.source is not None
    return kind.source


def _window(chain: list[PlanNode]) -> int:
    """Return the number of frames in one sample."""
    last = chain[-1].outputs[0].type
    assert isinstance(last, TensorSpec)
    return last.window.frames


def _passages(node: str, clip: Path, count: int, length: int, source: FrameSpec) -> Iterator[list[Any]]:
    """Yield ``count`` passages of ``length`` frames, uint8 RGB [height, width, 3], from all over the clip."""
    import av
    import torch

    try:
        with open_video(clip) as container:
            if not container.streams.video:
                raise EngineError(
                    node,
                    f"engine.calibration: {str(clip)!r} has no video stream",
                    hint="name another clip",
                    code=codes.UNUSABLE_CALIBRATION,
                )
            total = sum(1 for packet in container.demux(video=0) if packet.pts is not None)
        starts = {round(place * max(0, total - length) / max(1, count - 1)) for place in range(count)}
        passage: list[Any] = []
        with open_video(clip) as container:
            for index, frame in enumerate(container.decode(video=0)):
                if index in starts or passage:
                    image = frame.reformat(width=source.width, height=source.height, format="rgb24")
                    passage.append(torch.from_numpy(image.to_ndarray()))
                if len(passage) == length:
                    yield passage
                    passage = []
        if passage:
            # The clip is shorter than the window; the window stage pads it as in a run.
            yield passage
    except (av.FFmpegError, OSError) as error:
        raise EngineError(
            node,
            f"engine.calibration: {str(clip)!r} cannot be read as video ({error})",
            hint="name another clip",
            code=codes.UNUSABLE_CALIBRATION,
        ) from None


def _sample(chain: list[PlanNode], images: list[Any]) -> Any:
    """Return the first tensor that the stages make of the frames, as a NumPy array."""
    from bmfgraph.runner.graph import make_stage
    from bmfgraph.stages.items import Frame

    items: list[Any] = [Frame(index, image=image) for index, image in enumerate(images)]
    for node in chain:
        stage = make_stage(node)
        try:
            stage.open()
            items = [output for item in items for output in stage.process(item)] + list(stage.finish())
        finally:
            stage.close()
    (tensor,) = items[0].tensors.values()
    # Where the picture is cut to tiles, the middle one stands for it.
    return tensor.numpy()[len(tensor) // 2 :][:1]
