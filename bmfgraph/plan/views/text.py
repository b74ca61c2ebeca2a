"""Describe nodes, edges and engines in a few words for the views."""

from __future__ import annotations

from pathlib import Path

from bmfgraph.engines.spec import EngineSpec
from bmfgraph.nodes.audio import AudioParams
from bmfgraph.nodes.convert import ConvertParams
from bmfgraph.nodes.decoder import DecoderParams
from bmfgraph.nodes.detections import DetectionsParams
from bmfgraph.nodes.encoder import EncoderParams
from bmfgraph.nodes.frames import FramesParams
from bmfgraph.nodes.inference import InferenceParams
from bmfgraph.nodes.overlay import OverlayParams
from bmfgraph.nodes.preprocess import Transform
from bmfgraph.nodes.records import RecordsParams
from bmfgraph.nodes.transfer import DownloadParams, UploadParams
from bmfgraph.nodes.window import WindowParams
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.types import AudioSpec, BundleSpec, Device, FrameSpec, PortType, TensorSpec
from bmfgraph.system.text import counted, shortened

__all__ = [
    "DEVICES",
    "RUNTIMES",
    "bmf_nodes",
    "node_facts",
    "node_title",
    "shape_text",
    "summary",
    "type_parts",
    "type_text",
]

DEVICES: dict[Device, str] = {"cpu": "CPU", "cuda": "GPU"}
"""Display names of devices."""
RUNTIMES = {"onnxruntime": "ONNX Runtime", "tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
"""Display names of runtimes."""


def shape_text(shape: tuple[int | None, ...]) -> str:
    """Return a shape as text: ``1x3x720x1280``, with ``?`` for a free dimension."""
    return "x".join("?" if size is None else str(size) for size in shape)


def type_parts(kind: PortType) -> tuple[str, str]:
    """Describe an edge's type in two short parts: ``1280x720`` and ``yuv420p``. The second may be empty."""
    if isinstance(kind, FrameSpec):
        return f"{kind.width}x{kind.height}", kind.pixel_format
    if isinstance(kind, TensorSpec):
        return kind.dtype, "x".join(map(str, kind.dims))
    if isinstance(kind, BundleSpec):
        return f"{len(kind.tensors)} tensors", "/".join(dict.fromkeys(tensor.dtype for tensor in kind.tensors))
    if isinstance(kind, AudioSpec):
        return f"audio {kind.codec}", ""
    return (f"{'/'.join(kind.labels)} boxes" if len(kind.labels) < 3 else f"boxes, {len(kind.labels)} labels"), ""


def type_text(kind: PortType) -> str:
    """Describe an edge's type in a few words: ``1280x720 yuv420p``."""
    return " ".join(part for part in type_parts(kind) if part)


def bmf_nodes(plan: Plan) -> dict[str, list[PlanNode]]:
    """Return the plan's BMF nodes in running order, each with the nodes that run in it."""
    groups: dict[str, list[PlanNode]] = {}
    for node in plan:
        groups.setdefault(node.bmf_node or node.name, []).append(node)
    return groups


def summary(plan: Plan) -> str:
    """Return the number of nodes and of the BMF nodes that they run in: ``9 nodes in 7 BMF nodes``."""
    return f"{counted(len(plan.nodes), 'node')} in {counted(len(bmf_nodes(plan)), 'BMF node')}"


def node_facts(plan: Plan, node: PlanNode) -> tuple[str, ...]:
    """What is worth knowing of a node at a glance: at most two short lines."""
    work = node.params
    given = plan.type_of(node.inputs[0]) if node.inputs else None
    made = node.outputs[0].type if node.outputs else None
    match work:
        case DecoderParams() | AudioParams():
            return Path(work.path).name, *_span(work)
        case ConvertParams():
            before = given.pixel_format if isinstance(given, FrameSpec) else ""
            return (_step(before, work.pixel_format),)
        case UploadParams():
            return ("CPU → GPU", *([f"as {made.pixel_format}"] if isinstance(made, FrameSpec) else []))
        case DownloadParams():
            return ("GPU → CPU", *([f"as {work.pixel_format}"] if work.pixel_format else []))
        case Transform():
            return _step(_size(given), _size(made)), *([str(work.meaning)] if work.meaning.normalised else [])
        case WindowParams():
            return (f"{work.window.frames} frames, step {work.window.step}",)
        case InferenceParams():
            return shortened(work.model, 30), *([_engine(work.engine)] if work.engine else [])
        case FramesParams():
            each = [f"{work.pictures} frames a tensor"] if work.pictures > 1 else []
            return _step(_size(given), _size(made)), *each
        case DetectionsParams():
            return f"threshold {work.threshold:g}", f"overlap {work.iou:g}"
        case OverlayParams():
            return (f"{work.thickness} px boxes{', labels' if work.label else ''}",)
        case RecordsParams():
            return (Path(work.path).name,)
        case EncoderParams():
            return Path(work.path).name if work.path else "nothing written", f"{work.codec} · {work.container}"
    return (_step(_size(given), _size(made)),) if _size(given) != _size(made) else ()


def node_title(plan: Plan, node: PlanNode) -> str:
    """All of it in one sentence, for a tooltip and for screen readers."""
    taken = ", ".join(f"{ref} ({type_text(plan.type_of(ref))})" for ref in node.inputs)
    facts = list(node_facts(plan, node))
    if isinstance(node.params, InferenceParams) and node.params.engine:
        shapes = ", ".join(f"{name} {shape_text(shape)}" for name, shape in node.params.engine.input_shapes)
        path = Path(node.params.engine.path)
        # Where a file lies on one machine is nothing for a page that others read.
        facts += [path.name if path.is_absolute() else str(path), shapes]
    parts = [f"{node.name}: {node.kind} on the {DEVICES[node.device]}", *([f"takes {taken}"] if taken else []), *facts]
    return "; ".join(parts)


def _step(before: str, after: str) -> str:
    return f"{before} → {after}" if before and before != after else after


def _span(params: DecoderParams | AudioParams) -> list[str]:
    begin = [f"from {params.start:g} s"] if params.start is not None else []
    end = [f"to {params.end:g} s"] if params.end is not None else []
    return [" ".join(begin + end)] if begin or end else []


def _size(kind: PortType | None) -> str:
    """Width x height of frames, or of the pictures in a tensor."""
    if isinstance(kind, FrameSpec):
        return f"{kind.width}x{kind.height}"
    if isinstance(kind, TensorSpec) and kind.size_of("width") and kind.size_of("height"):
        return f"{kind.size_of('width')}x{kind.size_of('height')}"
    return ""


def _engine(engine: EngineSpec) -> str:
    batch = f" · batch {engine.batch}" if engine.batch > 1 else ""
    return f"{RUNTIMES.get(engine.runtime, engine.runtime)} · {engine.precision}{batch}"
