"""Whether all came that the files promised, once BMF says that it is done."""

from __future__ import annotations

from bmfgraph.errors import RunError
from bmfgraph.nodes.decoder import DecoderParams
from bmfgraph.plan.plan import Plan
from bmfgraph.runner.monitor import RunMonitor

__all__ = ["check_complete"]


def check_complete(plan: Plan, watch: RunMonitor) -> list[str]:
    """Warnings of what the user allowed to be missing. Raises RunError for what is missing otherwise.

    A decoder that ends early says nothing: what came is compared with what the file promised.
    """
    for node in plan:
        if node.name in watch.working:
            raise RunError(
                node.name, node.kind, "BMF ended before this node had finished", hint="run it again", code="E801"
            )
    warnings = []
    for node in plan:
        work = node.params
        if not isinstance(work, DecoderParams):
            continue
        meter = watch.meters[node.name]
        if meter.frames == 0 and (work.start or work.end is not None):
            raise RunError(
                node.name,
                node.kind,
                f"no frame lies between start {work.start or 0:g} s and "
                + (f"end {work.end:g} s" if work.end is not None else "the end"),
                hint="set decoder.start and decoder.end further apart, or start earlier",
                code="E410",
            )
        if meter.frames == 0:
            raise RunError(
                node.name, node.kind, "not one frame could be decoded", hint="is the file damaged?", code="E803"
            )
        reached = float(meter.last_time or 0) + float(work.time_grid)
        short = (
            work.frame_count - meter.frames > max(2, work.frame_count // 100)
            if work.exact_count
            else work.duration - reached > max(0.5, work.duration / 50)
        )
        if not short:
            continue
        promised = f"{work.frame_count} frames" if work.exact_count else f"{work.duration:.2f} s"
        came = f"{meter.frames} frames" if work.exact_count else f"{reached:.2f} s"
        text = f"the file promises {promised}, but only {came} could be decoded"
        if not work.allow_truncated:
            raise RunError(
                node.name,
                node.kind,
                text,
                frame=meter.frames,
                time=meter.last_time,
                hint="it is cut off or damaged; set decoder.allow_truncated=true to keep what is there",
                code="E803",
            )
        warnings.append(f"{node.name}: {text}")
    return warnings
