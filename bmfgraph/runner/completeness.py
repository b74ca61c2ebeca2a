"""Check that every frame arrived that the sources promised, and at every node, once BMF reports that it is done."""

from __future__ import annotations

from bmfgraph import error_codes as codes
from bmfgraph.errors import RunError
from bmfgraph.media.ledger import Loss
from bmfgraph.media.opening import format_of, open_video
from bmfgraph.media.structure import file_damage
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.types import AudioSpec
from bmfgraph.runner.monitor import RunMonitor

__all__ = ["check_complete"]


def check_complete(plan: Plan, monitor: RunMonitor) -> list[str]:
    """Return warnings about missing frames that the options allow to be missing.

    A decoder reports no error when its file ends early, so the frames are compared with those that the file promised.

    Raises:
        RunError: A node did not finish, or frames are missing that the options do not allow to be missing.
    """
    for node in plan:
        if node.name in monitor.working:
            raise RunError(
                node.name,
                node.kind,
                "BMF ended before this node had finished",
                hint="run it again",
                code=codes.NODE_FAILURE,
            )
    _check_edges(plan, monitor)
    warnings = []
    for node, info in plan.sources():
        timings = monitor.timings[node.name]
        if timings.frames == 0 and (info.start or info.end is not None):
            end = f"end {info.end:g} s" if info.end is not None else "the end"
            raise RunError(
                node.name,
                node.kind,
                f"no frame lies between start {info.start or 0:g} s and {end}",
                hint="set decoder.start and decoder.end further apart, or start earlier",
                code=codes.EMPTY_TIME_RANGE,
            )
        if timings.frames == 0:
            raise RunError(
                node.name,
                node.kind,
                "not one frame could be decoded",
                hint="is the file damaged?",
                code=codes.MISSING_FRAMES,
            )
        if info.accounted:
            continue
        reached = float(timings.last_time or 0) + float(info.time_grid)
        short = (
            info.frames - timings.frames > max(2, info.frames // 100)
            if info.exact
            else info.duration - reached > max(0.5, info.duration / 50)
        )
        few = info.exact and timings.frames < info.frames
        damage = _damage(node) if info.may_be_short else ""
        if damage:
            warnings.append(f"{node.name}: the file is cut off or damaged: {damage}")
            monitor.losses[node.name] = Loss(reasons=(damage,))
        if not short and not few:
            continue
        promised = f"{info.frames} frames" if info.exact else f"{info.duration:.2f} s"
        decoded = f"{timings.frames} frames" if info.exact else f"{reached:.2f} s"
        text = f"the file promises {promised}, but only {decoded} could be decoded"
        if short and not info.may_be_short:
            raise RunError(
                node.name,
                node.kind,
                text,
                frame=timings.frames,
                time=timings.last_time,
                hint=info.short_hint or "is the source cut off or damaged?",
                code=codes.MISSING_FRAMES,
            )
        warnings.append(f"{node.name}: {text}")
        if info.may_be_short:
            missing = info.frames - timings.frames if few else 0
            monitor.losses[node.name] = Loss(frames=missing, reasons=(text, damage) if damage else (text,))
    return warnings


def _damage(node: PlanNode) -> str:
    """Describe what is missing of a source's files by their structure; "" if nothing is."""
    for path in node.files.reads:
        with open_video(path) as container:
            if damage := file_damage(path, format_of(container)):
                return damage
    return ""


def _check_edges(plan: Plan, monitor: RunMonitor) -> None:
    """Check that each node has taken what the nodes before it have sent."""
    for node in plan:
        timings = monitor.timings_of(node.name, node.kind)
        taken = timings.frames + timings.left_out
        for ref in node.inputs:
            source = monitor.timings.get(ref.node)
            if source is None or source.sent is None or isinstance(plan.type_of(ref), AudioSpec):
                continue
            if taken != source.sent:
                raise RunError(
                    node.name,
                    node.kind,
                    f"it took {taken:,} of the {source.sent:,} frames of {ref.node!r}",
                    frame=taken,
                    hint="run it again, and report it",
                    code=codes.LOST_FRAMES,
                )
