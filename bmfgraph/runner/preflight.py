"""Check before a run: output files, the reference, room on the disks, and installed libraries."""

from __future__ import annotations

import importlib.util
import resource
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bmfgraph import error_codes as codes
from bmfgraph.compile.name_outputs import TemplateError, filled, specs_of, words_of
from bmfgraph.config.job import JobSpec
from bmfgraph.engines.builder import UNKNOWN
from bmfgraph.engines.check import check_engine
from bmfgraph.engines.refusals import check_trial, trial_warning
from bmfgraph.errors import BmfgraphError, ConfigError, EngineError, InstallError, Problem, RunError, SourceError
from bmfgraph.media.probe import MediaError, probe
from bmfgraph.media.sources import locate_clip
from bmfgraph.nodes.engine import idle_text, needed_text
from bmfgraph.plan.plan import Plan, PlanNode, files_read, files_written, pipe_errors
from bmfgraph.plan.types import FrameSpec
from bmfgraph.runner.codecs import lacking_codec
from bmfgraph.runner.outputs import write_error
from bmfgraph.runner.resources import resource_errors
from bmfgraph.system import ffmpeg4
from bmfgraph.system.files import make_parent, unwritable
from bmfgraph.system.machine import RTX_CAPABILITIES, runs_rtx
from bmfgraph.system.text import size_text

__all__ = ["Reference", "preflight_errors", "preflight_warnings", "reference_of", "report_path"]

_SURE, _SAFE = 0.2, 1.5
"""Fractions of the estimated size: with less room than the first a run fails, with less than the second it may fail."""


@dataclass(frozen=True)
class Reference:
    """The clip to measure against, and the encoder whose output is measured."""

    path: Path
    node: str


def preflight_errors(
    plan: Plan, job: JobSpec, *, deep: bool = False, overwrite: bool | None = None
) -> list[BmfgraphError]:
    """Find the reasons why a run of a plan, or of its remaining nodes, would fail.

    Args:
        plan: The plan.
        job: Its configuration. If it has a ``target``, the libraries of this machine do not count.
        deep: All folders above the outputs will be created, also outside the current folder.
        overwrite: Whether outputs may exist; None: as the key of that name says.
    """
    overwrite = bool(job.overwrite) if overwrite is None else overwrite
    errors: list[BmfgraphError] = [*_unrunnable(plan)]
    if job.isolated:
        errors += pipe_errors(plan, "a child process cannot have what was read of it here")
    if job.target is None:
        errors += _not_installed(plan)
    if not plan.errors:
        errors += [error for node in plan for error in node.spec.faults(node, plan)]
    errors += [error for node in plan if (error := write_error(node, deep=deep, overwrite=overwrite)) is not None]
    try:
        report_path(job.report, plan, overwrite=overwrite)
        if not plan.errors:
            reference_of(job.reference, plan)
    except ConfigError as error:
        errors.append(error)
    if job.target is None:
        errors += resource_errors(plan)
    if not errors:
        errors += [
            RunError(short.node.name, short.node.kind, short.message, hint=short.hint, code=codes.DISK_FULL)
            for short in _short_of_room(plan)
            if short.sure
        ]
    for node, engine in plan.engines():
        errors += check_engine(node.name, engine, plan.machine)
        if not plan.errors:
            request = node.spec.engine_request(node)
            errors += check_trial(node.name, request.model, engine, request.trial())
    return errors


def _unrunnable(plan: Plan) -> list[EngineError]:
    """Find engines and sources that need a GPU which the plan's machine does not have."""
    errors: list[EngineError] = []
    gpu = plan.machine.gpu
    for node in plan:
        engine = node.spec.engine_of(node.params)
        # The compiler put the nodes around an engine on the GPU because of the engine.
        if engine is None and node.inputs:
            continue
        if node.device == "cuda" and gpu is None:
            subject, change = f"kind {node.kind!r}", node.spec.cpu_hint
            if engine:
                subject, change = f"engine.runtime={engine.runtime}", "leave engine.runtime out"
                if engine.build is None:
                    subject, change = f"engine.path {engine.path!r}, an engine of TensorRT,", "leave engine.path out"
            errors.append(
                EngineError(
                    node.name,
                    f"{subject} runs on an NVIDIA GPU, and {plan.machine.no_gpu}",
                    hint="run it on a machine with a GPU" + (f", or {change} to use the CPU" if change else ""),
                    code=codes.MISSING_GPU,
                )
            )
        rtx = engine is not None and engine.runtime == "tensorrt_rtx"
        if rtx and gpu is not None and not runs_rtx(gpu):
            errors.append(
                EngineError(
                    node.name,
                    f"engine.runtime=tensorrt_rtx does not run on {gpu}, but on compute capability "
                    f"{', '.join(RTX_CAPABILITIES)}",
                    hint="set engine.runtime=tensorrt (pip install tensorrt); its engines can be built here for "
                    "elsewhere",
                    code=codes.UNSUPPORTED_RTX_GPU,
                )
            )
    return errors


def preflight_warnings(plan: Plan) -> list[Problem]:
    """Return problems that do not stop a run, but can surprise its user."""
    warnings = [
        Problem(f"pipeline.nodes.{short.node.name}", short.message, codes.LOW_DISK_SPACE, short.hint)
        for short in _short_of_room(plan)
        if not short.sure
    ]
    warnings += _shrunk(plan)
    warnings += [problem for node in plan for problem in node.spec.warnings(node, plan)]
    for node, engine in plan.engines():
        path, request = f"pipeline.nodes.{node.name}", node.spec.engine_request(node)
        if not plan.errors:
            warnings += trial_warning(node.name, engine, request.trial())
        if request.own and request.onnx.weights_as_inputs:
            warnings.append(
                Problem(
                    path,
                    f"model {request.model!r} lists its weights as inputs; they are taken as constants",
                    codes.WEIGHTS_AS_INPUTS,
                    "export it again with a newer exporter, because other programs run such a file slowly",
                )
            )
        if engine.build and engine.build.python and engine.build.key.version == UNKNOWN:
            warnings.append(
                Problem(
                    path,
                    f"engine.python {engine.build.python!r} would have to run to tell its TensorRT, and check and plan "
                    "run no program: the engine's key and path in the plan are preliminary",
                    codes.UNKNOWN_BUILDER_VERSION,
                    "name the interpreter of the environment that holds TensorRT; build and run ask it in any case",
                )
            )
        wanted, (cause, install) = engine.reason.precision, idle_text(engine.reason)
        needs = needed_text(wanted, plan.machine)
        if plan.machine.gpu is not None and engine.device == "cpu" and plan.device == "auto":
            hints = (install, "set device=cpu to confirm it, or device=cuda to make it an error")
            warnings.append(
                Problem(path, f"runs on the CPU: {cause}", codes.CPU_FALLBACK, "; ".join(filter(None, hints)))
            )
        if engine.precision != wanted:
            warnings.append(
                Problem(
                    path,
                    f"computes in {engine.precision}, not in {wanted}: {cause}",
                    codes.PRECISION_FALLBACK,
                    f"set engine.precision={engine.precision} to confirm it; {wanted} needs {needs}",
                )
            )
    return warnings


def _shrunk(plan: Plan) -> Iterator[Problem]:
    """Warn of clips that are smaller than their source because a model on the way takes one size only."""
    for node in plan:
        frames = plan.type_of(node.inputs[0]) if node.files.video else None
        if not isinstance(frames, FrameSpec):
            continue
        way, refs = list[PlanNode](), list(node.inputs)
        while refs:
            way.append(plan.node(refs.pop().node))
            refs += way[-1].inputs
        sources = [port.type for step in way if not step.inputs for port in step.outputs]
        source = next((kind for kind in sources if isinstance(kind, FrameSpec)), frames)
        requests = [request for step in way if (request := step.spec.engine_request(step)) and request.fixed_size]
        if requests and frames.width * frames.height < source.width * source.height:
            yield Problem(
                f"pipeline.nodes.{node.name}",
                f"the output is {frames.width}x{frames.height}, smaller than its source of {source.width}x"
                f"{source.height}: model {requests[0].model!r} has a fixed size",
                codes.SHRUNK_OUTPUT,
                "export the model with free height and width, or name them in model.inputs.NAME.dims if only its file "
                "fixes them",
            )


def report_path(value: str | None, plan: Plan, *, overwrite: bool, make: bool = False) -> Path | None:
    """Return the file of the report.

    Args:
        value: The key ``report``, with the words that an output's name may have; None for no report.
        plan: The plan, whose files must not be overwritten.
        overwrite: Whether the file may exist.
        make: Create the folder.

    Raises:
        ConfigError: The file exists or cannot be written, the run reads or writes it, or its name has an unknown word.
    """
    if value is None:
        return None
    specs = specs_of(plan)
    try:
        path = Path(filled(value, words_of(specs, specs, plan.name)))
    except TemplateError as error:
        raise ConfigError(f"{value!r}: {error}", path="report", hint=error.hint, code=error.code) from None
    used = files_read(plan) | files_written(plan)
    if path.resolve() in used:
        raise ConfigError(
            f"{str(path)!r} is a file of node {used[path.resolve()]!r}",
            path="report",
            hint="name another file",
            code=codes.UNUSABLE_REPORT_PATH,
        )
    if not overwrite and path.is_file():
        raise ConfigError(
            f"{str(path)!r} exists",
            path="report",
            hint="set overwrite=true to replace it, or name another file",
            code=codes.EXISTING_OUTPUT,
        )
    obstacle = unwritable(path)
    if make and not obstacle:
        try:
            make_parent(path)
        except OSError as error:
            obstacle = error.strerror or str(error)
    if obstacle:
        raise ConfigError(
            f"{str(path)!r} cannot be written ({obstacle})",
            path="report",
            hint="name a file in a folder of yours",
            code=codes.UNUSABLE_REPORT_PATH,
        )
    return path


def reference_of(value: str | None, plan: Plan) -> Reference | None:
    """Return the reference of the run's output.

    Args:
        value: The key ``reference``, a clip; None for no measurement.
        plan: The plan. It must write exactly one clip.

    Raises:
        ConfigError: The reference cannot be read, or does not fit the output.
    """
    if value is None:
        return None
    writers = [node for node in plan if node.files.video]
    if len(writers) != 1:
        subject = f"{len(writers)} clips, and one is measured" if writers else "no clip that could be measured"
        remedy = "or the other encoders" if writers else "or choose another encoder"
        raise _reference_error(f"the pipeline writes {subject}", f"leave the reference out, {remedy}")
    try:
        path = locate_clip(value)
        frames = probe(path, audio=None).frames
    except (SourceError, MediaError) as error:
        raise _reference_error(str(error), error.hint) from None
    if path.resolve() in files_written(plan):
        raise _reference_error(f"{str(path)!r} is written by the run", "write to another file")
    output = plan.type_of(writers[0].inputs[0])
    if isinstance(output, FrameSpec) and (output.width, output.height) != (frames.width, frames.height):
        raise _reference_error(
            f"{str(path)!r} is {frames.width}x{frames.height}, but the output is {output.width}x{output.height}",
            "give a reference of the output's size",
        )
    return Reference(path, writers[0].name)


def _reference_error(message: str, hint: str) -> ConfigError:
    return ConfigError(message, path="reference", hint=hint, code=codes.UNUSABLE_REFERENCE)


def _not_installed(plan: Plan) -> list[BmfgraphError]:
    errors: list[BmfgraphError] = []
    try:
        # BMF itself needs FFmpeg 4, whatever decodes and encodes.
        ffmpeg4.encoders(())
    except InstallError as error:
        return [error]
    for node in plan:
        need = node.spec.needs(node.params)
        # Nodes that need a missing GPU have an error already.
        packages = () if node.device == "cuda" and plan.machine.gpu is None else need.packages
        errors += [
            InstallError(
                f"{package.title} is not installed",
                path=f"pipeline.nodes.{node.name}",
                hint=f"pip install {package.install}",
                code=package.code,
            )
            for package in packages
            if importlib.util.find_spec(package.module) is None
        ]
        if (fault := lacking_codec(node)) is not None:
            errors.append(fault)
    return errors


@dataclass(frozen=True)
class _Shortage:
    """A file that may not fit on its disk; ``sure``: it does not fit."""

    node: PlanNode
    message: str
    hint: str
    sure: bool


def _short_of_room(plan: Plan) -> Iterator[_Shortage]:
    """List the files on each disk that has too little free room for all of them."""
    seconds = max((info.duration for _, info in plan.sources()), default=0.0)
    sizes: dict[Path, dict[str, float]] = {}
    for node in plan:
        frames = plan.type_of(node.inputs[0]) if node.written and node.inputs else None
        size = node.spec.written_bytes(node.params, frames, seconds) if isinstance(frames, FrameSpec) else 0.0
        if node.written and size:
            folder = next((parent for parent in Path(node.written).absolute().parents if parent.is_dir()), Path("/"))
            sizes.setdefault(folder, {})[node.name] = size
    for folder, by_node in sizes.items():
        try:
            total, _, free = shutil.disk_usage(folder)
        except OSError:
            continue
        if not total:  # Not a disk, such as /proc.
            continue
        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        free = free if limit == resource.RLIM_INFINITY else min(free, limit)
        need = sum(by_node.values())
        for name in by_node if free < need * _SAFE else ():
            yield _Shortage(
                plan.node(name),
                f"about {size_text(need)} will be written into {str(folder)!r}, and {size_text(free)} are free",
                f"make room, or set pipeline.nodes.{name}.path to a larger disk",
                sure=free < need * _SURE,
            )
