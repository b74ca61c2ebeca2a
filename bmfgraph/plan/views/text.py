"""Describe nodes, edges and engines in a few words for the views."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.types import (
    RUNTIME_NAMES,
    AudioSpec,
    BundleSpec,
    DetectionsSpec,
    Device,
    FrameSpec,
    PortType,
    TensorSpec,
)
from bmfgraph.system.text import counted

__all__ = [
    "DEVICES",
    "RUNTIMES",
    "bmf_nodes",
    "change_text",
    "node_facts",
    "node_title",
    "shape_text",
    "shapes_text",
    "size_text",
    "summary",
    "type_parts",
    "type_text",
]

DEVICES: dict[Device, str] = {"cpu": "CPU", "cuda": "GPU"}
"""Display names of devices."""
RUNTIMES = RUNTIME_NAMES


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
        names = (" ".join(filter(None, (track.kind, track.codec))) for track in kind.tracks)
        return ", ".join(dict.fromkeys(names)) or ("chapters" if kind.chapters else "metadata"), ""
    if isinstance(kind, DetectionsSpec):
        return (f"{'/'.join(kind.labels)} boxes" if len(kind.labels) < 3 else f"boxes, {len(kind.labels)} labels"), ""
    return kind.noun, ""


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
    """Return the lines of a node's card: at most two short ones."""
    return node.spec.summary(node, tuple(plan.type_of(ref) for ref in node.inputs))


def node_title(plan: Plan, node: PlanNode) -> str:
    """Return all facts of a node in one sentence, for a tooltip and for screen readers."""
    inputs = ", ".join(f"{ref} ({type_text(plan.type_of(ref))})" for ref in node.inputs)
    facts = list(node_facts(plan, node))
    if engine := node.spec.engine_of(node.params):
        path = Path(engine.path)
        # An absolute path means nothing to readers of the page on another machine.
        facts += [path.name if path.is_absolute() else str(path), shapes_text(engine.input_shapes)]
    parts = [
        f"{node.name}: {node.kind} on the {DEVICES[node.device]}",
        *([f"takes {inputs}"] if inputs else []),
        *facts,
    ]
    return "; ".join(parts)


def shapes_text(shapes: Iterable[tuple[str, tuple[int | None, ...]]]) -> str:
    """Return such as ``input 1x3x720x1280, mask 1x1x720x1280``."""
    return ", ".join(f"{name} {shape_text(shape)}" for name, shape in shapes)


def change_text(before: str, after: str) -> str:
    """Return ``before → after``, or ``after`` alone where nothing changes."""
    return f"{before} → {after}" if before and before != after else after


def size_text(kind: PortType | None) -> str:
    """Return width x height of frames, or of the images in a tensor; "" for other types."""
    if isinstance(kind, FrameSpec):
        return f"{kind.width}x{kind.height}"
    if isinstance(kind, TensorSpec) and kind.size_of("width") and kind.size_of("height"):
        return f"{kind.size_of('width')}x{kind.size_of('height')}"
    return ""
