"""What can be known before a run besides its plan: where it writes, what it measures against, room, and libraries."""

from __future__ import annotations

import errno
import importlib.util
import math
import os
import resource
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bmfgraph.config.job import JobSpec
from bmfgraph.engines.check import check_engine
from bmfgraph.errors import BmfgraphError, ConfigError, EngineError, InstallError, Problem, RunError, SourceError
from bmfgraph.media.probe import MediaError, probe
from bmfgraph.media.sources import locate
from bmfgraph.nodes.decoder import DecoderParams
from bmfgraph.nodes.encoder import CODECS, EncoderParams
from bmfgraph.nodes.inference import InferenceParams
from bmfgraph.nodes.nvdec import NvdecParams
from bmfgraph.plan.plan import Plan, PlanNode, files_read, files_written
from bmfgraph.plan.types import FrameSpec
from bmfgraph.runner.outputs import write_error
from bmfgraph.system import ffmpeg4
from bmfgraph.system.files import unwritable
from bmfgraph.system.machine import RTX_CAPABILITIES, runs_rtx
from bmfgraph.system.text import size_text

__all__ = ["Reference", "preflight_errors", "preflight_warnings", "reference_of", "report_path"]

# Bits a pixel at that crf, on average; half as much for every 6 more. Of ordinary film, give or take a factor of 3.
_BITS = {"libx264": (0.12, 18.0), "libx265": (0.08, 20.0), "h264_nvenc": (0.14, 19.0), "libvpx-vp9": (0.08, 24.0)}
_SURE, _SAFE = 0.2, 1.5
"""With less than the first part of the estimate a run cannot end well; with less than the second it may not."""


@dataclass(frozen=True)
class Reference:
    """The clip to measure against, and the encoder whose output is measured."""

    path: Path
    node: str


def preflight_errors(plan: Plan, job: JobSpec) -> list[BmfgraphError]:
    """Find why a run of a plan, or of what is left of it, could not end well.

    Args:
        plan: The plan.
        job: Its configuration. If it has a ``target``, the libraries of this machine do not count.
    """
    found: list[BmfgraphError] = [*_unrunnable(plan)]
    if job.target is None:
        found += _not_installed(plan)
    found += [refused for node in plan if (refused := write_error(node)) is not None]
    try:
        report_path(job.report, plan)
        if not plan.errors:
            reference_of(job.reference, plan)
    except ConfigError as error:
        found.append(error)
    if not found:
        found += [full for problem in _room(plan) if (full := _as_error(problem))]
    told = {problem.code for error in found for problem in error.problems}
    for node in plan:
        if isinstance(node.params, InferenceParams) and node.params.engine:
            found += check_engine(node.name, node.params.engine, plan.machine, known=told)
    return found


def _unrunnable(plan: Plan) -> list[EngineError]:
    """Why a plan cannot run on the machine it was made for: what its nodes need a GPU for where there is none."""
    found: list[EngineError] = []
    for node in plan:
        # The compiler put the nodes around an engine on the GPU for the engine's sake.
        own = isinstance(node.params, InferenceParams) or not node.inputs
        if not own:
            continue
        if node.device == "cuda" and plan.machine.gpu is None:
            engine = getattr(node.params, "engine", None)
            wish, out = f"kind {node.kind!r}", "set decoder=ffmpeg"
            if engine:
                wish, out = f"engine.runtime={engine.runtime}", "leave engine.runtime out"
                if engine.build is None:
                    wish, out = f"engine.path {engine.path!r}, an engine of TensorRT,", "leave engine.path out"
            found.append(
                EngineError(
                    node.name,
                    f"{wish} runs on an NVIDIA GPU, and {plan.machine.no_gpu}",
                    hint=f"run it on a machine with a GPU, or {out} to use the CPU",
                    code="E605",
                )
            )
        gpu = plan.machine.gpu
        rtx = (
            isinstance(node.params, InferenceParams)
            and node.params.engine
            and node.params.engine.runtime == "tensorrt_rtx"
        )
        if rtx and gpu is not None and not runs_rtx(gpu):
            found.append(
                EngineError(
                    node.name,
                    f"engine.runtime=tensorrt_rtx does not run on {gpu}, but on compute capability "
                    f"{', '.join(RTX_CAPABILITIES)}",
                    hint="set engine.runtime=tensorrt (pip install tensorrt); its engines can be built here for "
                    "elsewhere",
                    code="E618",
                )
            )
    return found


def preflight_warnings(plan: Plan) -> list[Problem]:
    """What a run can do with, and its user may not want."""
    found = [problem for problem in _room(plan) if problem.severity == "warning"]
    for node in plan:
        work = node.params
        if not isinstance(work, InferenceParams) or work.engine is None:
            continue
        path, request = f"pipeline.nodes.{node.name}", work.engine
        if node.metadata.weights_as_inputs:
            found.append(
                Problem(
                    path,
                    f"model {work.model!r} lists its weights as inputs, which keeps runtimes from folding them: it may "
                    "take twice as long",
                    "W101",
                    "export it again with a newer exporter, which leaves them out of the inputs",
                )
            )
        wanted = node.spec.engine.precision  # type: ignore[attr-defined]
        why = request.why.removesuffix(f"; in {request.precision} instead of {wanted}")
        why, _, cure = why.partition("; pip ")
        meant = "device=cpu says that this is meant, device=cuda makes it an error"
        if plan.machine.gpu is not None and request.device == "cpu" and plan.device == "auto":
            hint = f"pip {cure}; {meant}" if cure else meant
            found.append(Problem(path, f"runs on the CPU: {why}", "W102", hint))
        if request.precision != wanted:
            found.append(
                Problem(
                    path,
                    f"computes in {request.precision}, not in {wanted}: {why}",
                    "W103",
                    f"engine.precision={request.precision} says that this is meant; {wanted} takes TensorRT and a GPU",
                )
            )
    return found


def report_path(value: str | None, plan: Plan, *, make: bool = False) -> Path | None:
    """Where the report goes; ``make``: in a folder that is made. Raises ConfigError if it cannot be written there, or
    is a file of the run's.
    """
    if value is None:
        return None
    path = Path(value)
    used = files_read(plan) | files_written(plan)
    if path.resolve() in used:
        raise ConfigError(
            f"{str(path)!r} is a file of node {used[path.resolve()]!r}",
            path="report",
            hint="name another file",
            code="E111",
        )
    number = errno.EISDIR if path.is_dir() else unwritable(path)
    if make and not number:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            number = error.errno or errno.EIO
    if number:
        raise ConfigError(
            f"{str(path)!r} cannot be written ({os.strerror(number)})",
            path="report",
            hint="name a file in a folder of yours",
            code="E111",
        )
    return path


def reference_of(value: str | None, plan: Plan) -> Reference | None:
    """What to measure, and with what. Raises ConfigError where it cannot be."""
    if value is None:
        return None
    writers = [node for node in plan if node.kind == "encoder" and node.params.path]
    if len(writers) != 1:
        what = f"{len(writers)} clips, and one is measured" if writers else "no clip that could be measured"
        out = "or the other encoders" if writers else "or choose another encoder"
        raise _reference_error(f"the pipeline writes {what}", f"leave the reference out, {out}")
    try:
        path = locate(value)
        found = probe(path, audio=None).frames
    except (SourceError, MediaError) as error:
        raise _reference_error(str(error), error.hint) from None
    if path.resolve() in files_written(plan):
        raise _reference_error(f"{str(path)!r} is what the run writes", "write to another file")
    made = plan.type_of(writers[0].inputs[0])
    if isinstance(made, FrameSpec) and (made.width, made.height) != (found.width, found.height):
        raise _reference_error(
            f"{str(path)!r} is {found.width}x{found.height}, but the output is {made.width}x{made.height}",
            "give a reference of the output's size",
        )
    return Reference(path, writers[0].name)


def _reference_error(message: str, hint: str) -> ConfigError:
    return ConfigError(message, path="reference", hint=hint, code="E112")


def _not_installed(plan: Plan) -> list[BmfgraphError]:
    found: list[BmfgraphError] = []
    wanted = {node.params.codec for node in plan if isinstance(node.params, EncoderParams) and node.params.path}
    try:
        has = ffmpeg4.encoders(wanted)
        if wanted - set(has):
            has = ffmpeg4.encoders(CODECS.values())
    except InstallError as error:
        return [error]
    for node in plan:
        work = node.params
        if isinstance(work, InferenceParams) and work.engine and work.engine.runtime == "onnxruntime":
            if importlib.util.find_spec("onnxruntime") is None:
                found.append(
                    InstallError(
                        "ONNX Runtime is not installed",
                        path=f"pipeline.nodes.{node.name}",
                        hint="pip install onnxruntime",
                        code="E705",
                    )
                )
        elif isinstance(work, NvdecParams) and plan.machine.gpu and importlib.util.find_spec("PyNvVideoCodec") is None:
            found.append(
                InstallError(
                    "PyNvVideoCodec is not installed",
                    path=f"pipeline.nodes.{node.name}",
                    hint="pip install PyNvVideoCodec",
                    code="E706",
                )
            )
        elif isinstance(work, EncoderParams) and work.path and work.codec not in has:
            found.append(ffmpeg4.no_encoder(node.name, node.kind, work.codec, has))
        elif isinstance(work, DecoderParams) and work.hwaccel != "none" and not ffmpeg4.has_hwaccel(work.hwaccel):
            found.append(ffmpeg4.no_hwaccel(node.name, node.kind, work.hwaccel))
    return found


def _room(plan: Plan) -> Iterator[Problem]:
    """Files that will be larger than what their disks have free."""
    wanted: dict[Path, list[PlanNode]] = {}
    for node in plan:
        if node.written:
            folder = next((parent for parent in Path(node.written).absolute().parents if parent.is_dir()), Path("/"))
            wanted.setdefault(folder, []).append(node)
    for folder, nodes in wanted.items():
        try:
            total, _, free = shutil.disk_usage(folder)
        except OSError:
            continue
        if not total:  # No disk at all, such as /proc.
            continue
        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        free = free if limit == resource.RLIM_INFINITY else min(free, limit)
        need = sum(_bytes(plan, node) for node in nodes)
        if free < need * _SAFE:
            name, short = nodes[0].name, free < need * _SURE
            yield Problem(
                f"pipeline.nodes.{name}",
                f"about {size_text(need)} will be written into {str(folder)!r}, and {size_text(free)} are free",
                "E412" if short else "W104",
                f"make room, or set pipeline.nodes.{name}.path to a larger disk",
            )


def _bytes(plan: Plan, node: PlanNode) -> float:
    """About how large the file that a node writes will be."""
    seconds = max((other.params.duration for other in plan if isinstance(other.params, DecoderParams)), default=0.0)
    work, frames = node.params, plan.type_of(node.inputs[0])
    if not isinstance(work, EncoderParams) or not isinstance(frames, FrameSpec):
        return 0.0
    if work.bit_rate:
        return seconds * work.bit_rate / 8
    bits, at = _BITS.get(work.codec, (0.12, 18.0))
    halvings = (at if work.crf is None else work.crf) - at
    pixels: float = seconds * float(frames.rate) * frames.width * frames.height
    return pixels * bits / 8 / math.pow(2, halvings / 6)


def _as_error(problem: Problem) -> BmfgraphError | None:
    if problem.severity != "error":
        return None
    return RunError(problem.path.rpartition(".")[2], "encoder", problem.message, hint=problem.hint, code=problem.code)
