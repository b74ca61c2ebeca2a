"""Warn where an encoder writes less than the source holds: fewer bits of a sample, or HDR without its metadata."""

from __future__ import annotations

from collections.abc import Iterator

from bmfgraph import error_codes as codes
from bmfgraph.errors import Problem
from bmfgraph.media.hdr import hdr_options
from bmfgraph.nodes.convert import ConvertSpec
from bmfgraph.nodes.tonemap import TonemapSpec
from bmfgraph.nodes.transfer import DownloadSpec
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.types import BundleSpec, FrameSpec, PortType, TensorSpec, bits_of

__all__ = ["depth_warnings"]


def depth_warnings(node: PlanNode, plan: Plan, *, chosen: bool) -> Iterator[Problem]:
    """Yield the warnings about an encoder.

    Args:
        node: The encoder.
        plan: The plan.
        chosen: Whether the user has set its pixel format, so that fewer bits are meant.
    """
    params = node.params
    frames = plan.type_of(node.inputs[0])
    assert isinstance(frames, FrameSpec)
    path, eight = f"pipeline.nodes.{node.name}", bits_of(params.pixel_format) == 8
    if not chosen and eight and (loss := _loss(node, plan)) is not None:
        place, depth = loss
        if place is node:
            text = f"codec {params.codec} stores 8 bits of the source's {depth}"
            hint = f"choose another, such as encoder=x265, or set {path}.pixel_format=yuv420p to confirm it"
        else:
            text = f"node {place.name!r} ({place.kind}) makes 8 bits of the source's {depth}"
            hint = f"use a model with float tensors to keep them, or set {path}.pixel_format=yuv420p to confirm it"
        yield Problem(path, text, codes.DEPTH_REDUCED, hint)
    if not frames.is_hdr:
        return
    if eight:
        yield Problem(
            path,
            f"HDR video in 8 bits ({params.pixel_format}) shows bands",
            codes.HDR_REDUCED,
            "write 10 bits, such as encoder=x265, or set decoder.hdr=tonemap for ordinary video",
        )
    elif frames.hdr is not None and not (params.backend == "pyav" and hdr_options(params.codec, frames.hdr)):
        yield Problem(
            path,
            f"codec {params.codec} does not store the mastering display and content light of the HDR source",
            codes.HDR_REDUCED,
            "choose encoder=x265 to keep them, or set decoder.hdr=tonemap for ordinary video",
        )


def _loss(node: PlanNode, plan: Plan) -> tuple[PlanNode, int] | None:
    """Return the first node after the source that works in 8 bits, and the bits that come to it; None for none."""
    loss = None
    after, kind = node, plan.type_of(node.inputs[0])
    while True:
        producer = plan.node(after.inputs[0].node)
        if not producer.inputs:
            return loss
        if isinstance(producer.spec, TonemapSpec):
            # It makes ordinary video of 8 bits on purpose.
            return loss
        before = plan.type_of(producer.inputs[0])
        joins = isinstance(producer.spec, (ConvertSpec, DownloadSpec))
        if _depth(before) > 8 >= _depth(kind):
            loss = (after if joins else producer, _depth(before))
        after, kind = producer, before


def _depth(kind: PortType) -> int:
    """Return the bits that frames or tensors have; 8 for tensors of integers."""
    if isinstance(kind, FrameSpec):
        return kind.depth
    tensors = kind.tensors if isinstance(kind, BundleSpec) else (kind,) if isinstance(kind, TensorSpec) else ()
    depths = (tensor.source.depth for tensor in tensors if tensor.source and "int" not in tensor.dtype)
    return max(depths, default=8)
