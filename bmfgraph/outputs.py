"""The files that a run writes: kept under other names until it has succeeded, and checked against what it read."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from bmfgraph.errors import RunError
from bmfgraph.files import publish, reserve
from bmfgraph.nodes.decoder import DecoderWork
from bmfgraph.nodes.modules.watch import Watch
from bmfgraph.plan import Plan, PlanNode

__all__ = ["check_complete", "partial_outputs"]


@contextlib.contextmanager
def partial_outputs(plan: Plan) -> Iterator[tuple[Plan, Callable[[], dict[str, Path]]]]:
    """Every sink writes beside its final name; what it yields renames them, and deletes what is left over."""
    final: dict[str, Path] = {}
    parts: dict[str, Path] = {}
    nodes: list[PlanNode] = []
    try:
        for node in plan:
            if node.outputs or not getattr(node.work, "path", None):
                continue
            path = Path(node.work.path)
            final[node.name], parts[node.name] = path, _reserve(node, path)
            nodes.append(replace(node, work=replace(node.work, path=str(parts[node.name]))))

        def publish_all() -> dict[str, Path]:
            for name, path in final.items():
                try:
                    publish(parts[name], path)
                except OSError as error:
                    raise _unwritable(plan.node(name), path, str(error.strerror)) from None
            return final

        yield plan.replace(*nodes), publish_all
    finally:
        for part in parts.values():
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)


def _reserve(node: PlanNode, path: Path) -> Path:
    """Make an empty file beside ``path``: whoever may not write there learns it before a frame is decoded."""
    # Beside the file that a link leads to, so that the link stays one.
    target = Path(os.path.realpath(path))
    try:
        if target.is_dir():
            raise RunError(node.name, node.kind, f"output {str(path)!r} is a folder", hint=_elsewhere(node))
        if target.exists() and not target.is_file():
            raise RunError(
                node.name,
                node.kind,
                f"output {str(path)!r} is a device or a pipe, no file",
                hint=f"{_elsewhere(node)}; encoder=measure writes nothing",
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, "Permission denied")
        return reserve(path)
    except OSError as error:
        raise _unwritable(node, path, str(error.strerror)) from None


def _unwritable(node: PlanNode, path: Path, why: str) -> RunError:
    return RunError(node.name, node.kind, f"output {str(path)!r} cannot be written ({why})", hint=_elsewhere(node))


def _elsewhere(node: PlanNode) -> str:
    return f"set pipeline.nodes.{node.name}.path to a place where you may write"


def check_complete(plan: Plan, watch: Watch) -> list[str]:
    """A decoder that ends early says nothing: compare what came with what the file promised."""
    for node in plan:
        if node.name in watch.working:
            raise RunError(node.name, node.kind, "BMF ended before this node had finished", hint="run it again")
    warnings = []
    for node in plan:
        work = node.work
        if not isinstance(work, DecoderWork):
            continue
        meter = watch.meters[node.name]
        if meter.frames == 0:
            raise RunError(node.name, node.kind, "not one frame could be decoded", hint="is the file damaged?")
        reached = float(meter.last_time or 0) + float(work.tick)
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
            )
        warnings.append(f"{node.name}: {text}")
    return warnings
