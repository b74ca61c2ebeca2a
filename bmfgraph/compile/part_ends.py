"""Tell whether a pipeline can run a clip in parts, and which frames around a part its results depend on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bmfgraph import error_codes as codes
from bmfgraph.errors import PlanError
from bmfgraph.media.reading import VideoReading
from bmfgraph.nodes.containers import JOINED, STANDARD_OUTPUT
from bmfgraph.plan.description import Context
from bmfgraph.plan.plan import Plan, PlanNode

__all__ = ["PartEnds", "part_ends"]


@dataclass(frozen=True)
class PartEnds:
    """Where a part begins and ends in a pipeline."""

    source: PlanNode
    sinks: tuple[PlanNode, ...]
    context: Context
    """The frames around a part that are read with it, in frames that the source passes on."""


def part_ends(plan: Plan) -> PartEnds:
    """Return the source and the sinks of a part, and the context of all nodes together.

    Raises:
        PlanError: A node depends on all earlier frames, or writes a file that cannot be joined.
    """
    sources = [node for node, _ in plan.sources()]
    if len(sources) != 1:
        names = ", ".join(node.name for node in sources)
        raise _inseparable(plan.nodes[0], f"the pipeline reads {len(sources)} clips ({names}), and one can be cut")
    before = after = 0
    step = 1
    for node in plan:
        context = node.spec.context(node.params)
        if context is None or (node is sources[0] and not isinstance(node.params, VideoReading)):
            raise _inseparable(node, "its results depend on all earlier frames, or its input is no file")
        if not node.spec.stage and node.inputs and node.outputs:
            raise _inseparable(node, "a module of BMF numbers its frames anew")
        if node is sources[0]:
            # The decoder's own context counts frames of the file.
            before, after = before - -context.before // context.step, after - -context.after // context.step
        else:
            before, after, step = before + context.before, after + context.after, math.lcm(step, context.step)
    sinks = tuple(node for node in plan if not node.outputs)
    for node in sinks:
        container = getattr(node.params, "container", None)
        if node.written and (not node.spec.joiner or node.files.several or (container or JOINED[0]) not in JOINED):
            kept = f"allowed: {', '.join(JOINED)}" if container else "it has no joiner"
            raise _inseparable(node, f"the parts of {node.written!r} cannot be joined ({kept})")
        if getattr(node.params, "backend", "pyav") == "bmf" or getattr(node.params, "path", "") == STANDARD_OUTPUT:
            raise _inseparable(node, "neither the back end bmf nor standard output takes parts")
    return PartEnds(sources[0], sinks, Context(before, after, step))


def _inseparable(node: PlanNode, reason: str) -> PlanError:
    return PlanError(node.name, f"segments: {reason}", hint="leave segments out", code=codes.INSEPARABLE_CLIP)
