"""Bind engines: choose runtime, file and input shapes of every model."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.compile.map_nodes import map_nodes
from bmfgraph.compile.passes import compiler_pass
from bmfgraph.compile.select_runtime import RuntimeChoice, select_runtime
from bmfgraph.engines.builder import UNKNOWN, installed_version
from bmfgraph.engines.key import EngineKey, Profile
from bmfgraph.engines.manifest import ENGINE
from bmfgraph.engines.spec import BuildSpec, EngineSpec
from bmfgraph.engines.speeds import Speeds, measured_speeds
from bmfgraph.engines.store import EngineStore, StoreError
from bmfgraph.engines.trial import runtime_version
from bmfgraph.errors import EngineError, PlanError, SourceError, did_you_mean, join_sorted
from bmfgraph.media.sources import clip_sha256
from bmfgraph.nodes.engine import EngineOptions, EngineRequest, fits_dims
from bmfgraph.plan.plan import Plan, PlanNode, json_ready
from bmfgraph.plan.types import Runtime

__all__ = ["bind_engines"]

Profiles = tuple[tuple[str, Profile], ...]
_BUILT: tuple[Runtime, ...] = ("tensorrt", "tensorrt_rtx")
"""Runtimes that run engines, not models."""


@compiler_pass(requires=("types",), ensures=("types", "engines"))
def bind_engines(plan: Plan) -> Plan:
    """Put the engine into the params of every node that needs one.

    An engine that the store does not hold gets the path that it will have.
    """
    return map_nodes(plan, _bound)


def _bound(plan: Plan, node: PlanNode) -> PlanNode:
    request: EngineRequest | None = node.spec.engine_request(node)
    if request is None:
        return node
    options, model = request.options, request.onnx
    choice = select_runtime(plan, node.name, options, lambda measure: _speeds(plan, request, measure=measure))
    dims = {tensor.name: tensor.dims for tensor in model.inputs}
    if request.rows and choice.device == "cuda":
        raise PlanError(
            node.name,
            f"output {request.rows[0]} counts its detections in the first dim, and a GPU needs outputs of fixed sizes",
            hint="set device=cpu, or export the model without its suppression",
            code=codes.DYNAMIC_OUTPUT_DIMENSION,
        )
    on_gpu = (options.streams or 1) if choice.runtime in _BUILT else 1
    engine = EngineSpec(
        runtime=choice.runtime,
        device=choice.device,
        path=str(model.path),
        onnx=str(model.path),
        sha256=model.sha256,
        precision=choice.precision,
        batch=options.batch,
        threads=options.threads if choice.device == "cpu" else None,
        input_shapes=request.input_shapes,
        output_shapes=request.output_shapes,
        unbatched=tuple(feed.name for feed in request.feeds if not feed.batched),
        tensors=tuple((tensor.name, tensor.dtype) for tensor in (*model.inputs, *model.outputs)),
        dim_overrides=tuple((name, override) for name, override in request.dims if override != dims[name]),
        allow_host_code=options.allow_host_code,
        cuda_graph=options.cuda_graph and choice.runtime in _BUILT,
        streams=_streams(plan, options) if choice.device == "cpu" else on_gpu,
        reason=choice.reason,
    )
    # Profiles are checked for every runtime: one that the frames do not fit is an error on any machine.
    profiles = _profiles(node.name, request)
    quantized = choice.runtime == "openvino" and choice.precision == "int8" and not model.quantized
    if choice.runtime in _BUILT or quantized:
        engine = _with_file(plan, node, request, choice, engine, profiles)
    return replace(node, params=node.spec.with_engine(node.params, engine))


def _streams(plan: Plan, options: EngineOptions) -> int | None:
    """Return the inferences that run side by side on a CPU: a result that waits for the next frame is late."""
    return options.streams or (None if plan.latency is None else 1)


def _speeds(plan: Plan, request: EngineRequest, *, measure: bool) -> Speeds:
    """Return the speeds of the CPU's runtimes with a model; unknown for another machine."""
    here = runtime_version() and plan.machine.openvino == runtime_version("openvino")
    if not here:
        return Speeds()
    return measured_speeds(request.trial(), streams=_streams(plan, request.options), measure=measure)


def _with_file(
    plan: Plan,
    node: PlanNode,
    request: EngineRequest,
    choice: RuntimeChoice,
    engine: EngineSpec,
    profiles: Profiles,
) -> EngineSpec:
    options = request.options
    if options.path is not None:
        if not Path(options.path).is_file():
            raise EngineError(
                node.name,
                f"engine.path {options.path!r} {'is a folder' if Path(options.path).is_dir() else 'does not exist'}",
                hint="check the path, which is relative to the current folder, or leave engine.path out to build one",
                code=codes.ENGINE_FILE_NOT_FOUND,
            )
        return replace(engine, path=options.path)
    build = BuildSpec(
        model=request.model,
        key=_key(plan, node, request, choice, engine, profiles),
        store=options.store,
        policy=options.build,
        python=options.python,
        command=options.command,
        timing_cache=options.timing_cache,
        calibration=options.calibration if choice.precision == "int8" else None,
        calibration_frames=options.calibration_frames,
    )
    path = EngineStore(Path(options.store)).folder(build.model, build.key) / ENGINE
    return replace(engine, path=str(path), build=build)


def _key(
    plan: Plan,
    node: PlanNode,
    request: EngineRequest,
    choice: RuntimeChoice,
    engine: EngineSpec,
    profiles: Profiles,
) -> EngineKey:
    options = request.options
    portable = choice.runtime != "tensorrt"
    gpu = plan.machine.gpu
    if gpu is None and not portable:
        raise EngineError(
            node.name,
            f"TensorRT's engines are built for one GPU, and {plan.machine.no_gpu}",
            hint="build on the machine that will run it; leave engine.runtime, engine.python and engine.command out to "
            "run on the CPU",
            code=codes.MISSING_GPU,
        )
    flags = {
        "optimization_level": options.optimization_level,
        "tactic_sources": options.tactic_sources,
        "version_compatible": options.version_compatible,
        "workspace": options.workspace,
    }
    if options.command:
        flags["command"] = options.command
    key = EngineKey(
        onnx=engine.sha256,
        dims=engine.dim_overrides,
        profiles=profiles,
        precision=engine.precision,
        flags=tuple(sorted(flags.items())),
        calibration=_calibration(plan, node, request) if engine.precision == "int8" else None,
        runtime=choice.runtime,
        version="",
        gpu="any" if portable or gpu is None else gpu.name,
        compute_capability="any" if portable or gpu is None else gpu.compute_capability,
    )
    return replace(key, version=_version(plan, node.name, request, choice, key))


def _version(plan: Plan, node: str, request: EngineRequest, choice: RuntimeChoice, key: EngineKey) -> str:
    """Return the version of the library that builds the engine, or that built an engine in the store.

    Compiling runs no program that a configuration names.
    """
    options = request.options
    if choice.runtime == "openvino":
        # Its tools quantize the model.
        return f"onnxruntime {runtime_version()}"
    assert choice.runtime != "onnxruntime"
    if options.command:
        return options.version or UNKNOWN
    if options.python:
        return installed_version(options.python, choice.runtime, node)
    library = plan.machine.library(choice.runtime, builds=True)
    if library is None:
        runner = plan.machine.library(choice.runtime)
        if runner and (stored := _stored_version(node, request.model, options, key, runner.version)):
            return stored
        if runner and options.build == "never":
            return runner.version
        runs_only = f"only {runner.module} {runner.version} is installed, which cannot build engines" if runner else ""
        raise EngineError(
            node,
            f"engine.runtime={choice.runtime}: {runs_only or 'it is not installed'}",
            hint="pip install tensorrt"
            if choice.runtime == "tensorrt"
            else "pip install tensorrt_rtx_cu13_libs tensorrt_rtx_cu13_bindings",
            code=codes.MISSING_TENSORRT,
        )
    return library.version


def _stored_version(node: str, model: str, options: EngineOptions, key: EngineKey, installed: str) -> str | None:
    """Return the version that built a stored engine which the ``installed`` version can run."""
    try:
        stored = EngineStore(Path(options.store)).entries(model)
    except StoreError as error:
        raise EngineError(
            node, str(error), hint="set engine.store to a folder that you may read", code=codes.UNUSABLE_ENGINE_STORE
        ) from None
    keys = [entry.manifest["key"] for entry in stored if not entry.manifest_error]
    versions = [str(other["version"]) for other in keys if key.changes(other) == ["version"]]
    if installed in versions:
        return installed
    # Engines of other versions run only if they were built to; the version of an external builder is unknown.
    movable = options.version_compatible or options.command
    return max(versions, key=_numbers) if versions and movable else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _profiles(node: str, request: EngineRequest) -> Profiles:
    """Return the shapes that the engine is built for, by input; the shape of the frames must lie within them."""
    options, shapes, dims = request.options, dict(request.input_shapes), dict(request.dims)
    if options.profiles == "auto":
        fixed = request.fixed_batch or options.input_shapes is not None
        whole = {feed.name for feed in request.feeds if not feed.batched}
        return tuple(
            (name, Profile(shape if fixed or name in whole else (1, *shape[1:]), shape, shape))
            for name, shape in shapes.items()
        )
    for name in options.profiles:
        if name not in shapes:
            raise PlanError(
                node,
                f"engine.profiles.{name}: the model has no such input{did_you_mean(name, shapes)}; "
                f"it has: {join_sorted(shapes)}",
                hint="correct the name under engine.profiles",
                code=codes.CONFLICTING_OPTIMIZATION_PROFILE,
            )
    profiles: list[tuple[str, Profile]] = []
    for name, shape in shapes.items():
        profile_options = options.profiles.get(name)
        if profile_options is None:
            raise PlanError(
                node,
                f"engine.profiles has no {name}; the model has the inputs {join_sorted(shapes)}",
                hint=f"add engine.profiles.{name}.min, .opt and .max, or set engine.profiles=auto",
                code=codes.CONFLICTING_OPTIMIZATION_PROFILE,
            )
        profile = profile_options.profile()
        _check_profile(node, name, profile, dims[name])
        if not profile.holds(shape):
            raise PlanError(
                node,
                f"input {name} has the shape {list(shape)}, outside of engine.profiles.{name}: "
                f"min {list(profile.min)}, max {list(profile.max)}",
                hint="widen the profile, or set the preprocess node's `size` or engine.batch",
                code=codes.CONFLICTING_OPTIMIZATION_PROFILE,
            )
        profiles.append((name, profile))
    return tuple(profiles)


def _check_profile(node: str, name: str, profile: Profile, dims: tuple[int | str, ...]) -> None:
    for bound, shape in (("min", profile.min), ("opt", profile.opt), ("max", profile.max)):
        if not fits_dims(shape, dims):
            raise PlanError(
                node,
                f"engine.profiles.{name}.{bound}={list(shape)}: the model accepts [{', '.join(map(str, dims))}]",
                hint="correct it, or set engine.profiles=auto",
                code=codes.CONFLICTING_OPTIMIZATION_PROFILE,
            )


def _calibration(plan: Plan, node: PlanNode, request: EngineRequest) -> str | None:
    """Return a hash of everything that the calibration depends on; None if the model is quantised already."""
    options = request.options
    if request.onnx.quantized:
        return None
    if options.calibration is None:
        raise PlanError(
            node.name,
            f"engine.precision=int8: model {request.model!r} is not quantised, and there is no clip to calibrate it",
            hint="set engine.calibration=CLIP to one like those you will process, or choose engine=fp16",
            code=codes.UNUSABLE_CALIBRATION,
        )
    try:
        clip = clip_sha256(options.calibration)
    except (SourceError, OSError) as error:
        raise PlanError(
            node.name,
            f"engine.calibration: {error}",
            hint=getattr(error, "hint", "") or "name a clip",
            code=codes.UNUSABLE_CALIBRATION,
        ) from None
    # Params of the nodes between the source and the model.
    steps: list[Any] = []
    for ref in node.inputs:
        while plan.node(ref.node).inputs:
            steps.append(json_ready(plan.node(ref.node).params))
            ref = plan.node(ref.node).inputs[0]
    return hashlib.sha256(repr((clip, options.calibration_frames, steps)).encode()).hexdigest()
