"""Run a long clip in parts: cut it at exact frames, run the parts, and join what they wrote without coding again.

A part decodes the frames around it that its own results depend on, and writes only its own. Frames keep the numbers and
times that they have in the whole clip. Parts lie beside the output until all are done, so a run that was killed goes on
with those that are missing.
"""

from __future__ import annotations

import glob
import hashlib
import importlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import bmfgraph
from bmfgraph import error_codes as codes
from bmfgraph.compile.part_ends import part_ends
from bmfgraph.config.job import JobSpec
from bmfgraph.config.pipeline import PipelineSpec
from bmfgraph.errors import RunError, first_line
from bmfgraph.media.joining import JoinError, Span
from bmfgraph.media.reading import FileReading
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.runner.cutting import Piece, cut
from bmfgraph.runner.monitor import NodeTimings
from bmfgraph.runner.outputs import temporary_outputs
from bmfgraph.runner.result import RunResult
from bmfgraph.runner.side_by_side import Amount, ClipRun, run_side_by_side
from bmfgraph.system.console import say
from bmfgraph.system.files import make_parent
from bmfgraph.system.progress import Progress, ProgressCallback

__all__ = ["Launch", "run_in_parts"]

Launch = Callable[[Mapping[str, Any], ProgressCallback], RunResult]
"""Runs a configuration, and replaces its outputs."""


def run_in_parts(
    config: Mapping[str, Any],
    spec: JobSpec,
    plan: Plan,
    launch: Launch,
    *,
    overwrite: bool,
    progress: ProgressCallback | None = None,
) -> RunResult:
    """Run one clip in parts, side by side, and join them.

    Args:
        config: The configuration of the whole clip.
        spec: The same, typed: ``segments`` and ``parallel`` count.
        plan: Its plan.
        launch: Runs a part.
        overwrite: Replace outputs that exist.
        progress: Called with the frames of all parts, on this thread.

    Raises:
        PlanError: The pipeline cannot be run in parts.
        RunError: A part failed, or the parts do not fit together.
    """
    began = time.perf_counter()
    ends = part_ends(plan)
    source, sinks = ends.source, ends.sinks
    assert spec.pipeline is not None
    assert spec.segments is not None
    pieces = cut(source.params, ends.context, spec.segments, spec.parallel)
    folder = _folder(plan, source, sinks, len(pieces))
    folder.mkdir(parents=True, exist_ok=True)
    files = [{node.name: folder / f"{number:04}-{node.name}{_suffix(node)}" for node in sinks if node.written}
             for number in range(len(pieces))]  # fmt: skip
    total = sum(len(piece.span.ticks) for piece in pieces)
    results: list[RunResult] = []
    works = [
        (f"part {number + 1}", len(piece.span.ticks), _run_of(config, spec.pipeline, source, sinks, piece, own, launch))
        for number, (piece, own) in enumerate(zip(pieces, files, strict=True))
        if not own or not all(path.exists() for path in own.values())
    ]
    before = total - sum(work[1] for work in works)

    def report(shown: Progress) -> None:
        if progress:
            progress(Progress(plan.name, before + shown.done, total, "frames"))

    amount = Amount(plan.name, len(works), sum(work[1] for work in works))
    try:
        for ended in run_side_by_side(works, amount=amount, parallel=spec.parallel, on_error="stop", progress=report):
            assert ended.result is not None
            results.append(ended.result)
    except BaseException:
        kept = len(pieces) - len(works) + len(results)
        say(f"{plan.name}: {kept} of {len(pieces)} parts are done; the same command makes the others")
        raise
    outputs = _join(plan, sinks, files, [piece.span for piece in pieces], overwrite)
    shutil.rmtree(folder, ignore_errors=True)
    for stale in folder.parent.glob(f"{glob.escape(folder.name.rpartition('-')[0])}-*"):
        shutil.rmtree(stale, ignore_errors=True)
    return _whole(plan, results, outputs, total, time.perf_counter() - began)


# ------------------------------------------------------------------------------------------------- one part


def _run_of(
    config: Mapping[str, Any],
    pipeline: PipelineSpec,
    source: PlanNode,
    sinks: Sequence[PlanNode],
    piece: Piece,
    files: Mapping[str, Path],
    launch: Launch,
) -> ClipRun:
    nodes = dict(pipeline.nodes)
    reader = nodes[source.name]
    nodes[source.name] = reader.model_copy(update=dict(reader.reading_part(piece.fields())))
    for sink in sinks:
        spec = nodes[sink.name]
        changes: dict[str, Any] = {"path": str(files[sink.name])} if sink.name in files else {}
        if "audio" in type(spec).model_fields:
            # The other streams are copied once, when the parts are joined.
            changes |= {"inputs": spec.inputs[:1]}
        elif sink.name in files:
            changes |= {"format": "jsonl", "empty_frames": sink.params.empty_frames}
        nodes[sink.name] = spec.model_copy(update=changes)
    own = {**config, "pipeline": pipeline.model_copy(update={"nodes": nodes})}
    own |= {"segments": None, "report": None, "reference": None, "journal": None}
    return partial(_run_part, launch, own, piece)


def _run_part(launch: Launch, config: Mapping[str, Any], piece: Piece, report: ProgressCallback) -> RunResult:
    result = launch(config, report)
    if result.frames != len(piece.span.ticks):
        raise _misfit(
            f"the part from frame {piece.kept[0]} on has {result.frames} frames instead of {len(piece.span.ticks)}"
        )
    return result


def _suffix(node: PlanNode) -> str:
    return Path(str(node.written)).suffix if hasattr(node.params, "container") else ".jsonl"


def _folder(plan: Plan, source: PlanNode, sinks: Sequence[PlanNode], count: int) -> Path:
    """Return the folder of the parts, beside the first output, with a name that depends on all that the parts do."""
    state = Path(source.params.path).stat()
    facts = [bmfgraph.__version__, plan.as_json(), state.st_size, state.st_mtime_ns, count]
    key = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:12]
    written = next((Path(str(node.written)) for node in sinks if node.written), None)
    if written is None:
        return Path(f".{plan.name}.parts-{key}")
    make_parent(written)
    return written.with_name(f".{written.name}.parts-{key}")


# ----------------------------------------------------------------------------------------------------- join


def _join(
    plan: Plan, sinks: Sequence[PlanNode], files: Sequence[Mapping[str, Path]], spans: Sequence[Span], overwrite: bool
) -> dict[str, Any]:
    """Join the files of each sink, and return its output by node name."""
    with temporary_outputs(plan, overwrite=overwrite) as (working, publish):
        for sink in sinks:
            if not sink.written:
                continue
            module, _, name = sink.spec.joiner.partition(":")
            node = working.node(sink.name)
            try:
                getattr(importlib.import_module(module), name)(
                    node.params, [own[sink.name] for own in files], spans, _tracks(plan, sink)
                )
            except (JoinError, OSError, ValueError) as error:
                raise _misfit(f"{sink.written!r}: {first_line(error)}") from None
        return publish()


def _tracks(plan: Plan, sink: PlanNode) -> FileReading | None:
    """Return the file whose other streams a sink writes."""
    read = (plan.node(ref.node).params for ref in sink.inputs[1:])
    return next((params for params in read if isinstance(params, FileReading)), None)


def _misfit(reason: str) -> RunError:
    return RunError(
        "segments",
        "pipeline",
        f"the parts cannot be joined: {reason}",
        hint="leave segments out; the finished parts lie beside the output",
        path="segments",
        code=codes.JOIN_FAILURE,
    )


def _whole(
    plan: Plan,
    results: Sequence[RunResult],
    outputs: Mapping[str, Any],
    frames: int,
    seconds: float,
) -> RunResult:
    """Return the result of all parts together; those that an earlier run has done count as frames only."""
    timings = {node.name: NodeTimings(node.name, node.kind) for node in plan}
    for result in results:
        for name, own in result.timings.items():
            total = timings.setdefault(name, NodeTimings(name, own.kind))
            total.seconds.extend(own.seconds)
            total.done.extend(own.done)
            total.frames += own.frames
            total.last_done = max(total.last_done, own.last_done)
    for node in plan:
        if not node.outputs:
            timings[node.name].frames = frames
    engines: dict[str, str] = {}
    for result in results:
        engines |= result.engines
    return RunResult(
        plan=plan,
        seconds=seconds,
        frames=frames,
        first_frame_seconds=min((result.first_frame_seconds for result in results), default=seconds),
        steady_fps=sum(result.frames for result in results) / seconds,
        outputs={name: output.path for name, output in outputs.items()},
        sizes={name: output.size for name, output in outputs.items()},
        timings=timings,
        engines=engines,
        ffmpeg=results[0].ffmpeg if results else {},
        warnings=tuple(dict.fromkeys(_each(results, "warnings"))),
        problems=tuple(dict.fromkeys(_each(results, "problems"))),
        losses={name: loss for result in results for name, loss in result.losses.items()},
        peak_rss=max((result.peak_rss for result in results), default=0),
        peak_gpu=max((result.peak_gpu or 0 for result in results), default=0) or None,
    )


def _each(results: Sequence[RunResult], name: str) -> Iterator[Any]:
    for result in results:
        yield from getattr(result, name)
