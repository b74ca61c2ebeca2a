"""Bind engines: runtime, file and input shapes go into every inference node."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from bmfgraph.compile.map_nodes import map_nodes
from bmfgraph.compile.select_runtime import RuntimeChoice, select_runtime
from bmfgraph.engines.build import builder_version
from bmfgraph.engines.key import EngineKey, Profile
from bmfgraph.engines.manifest import ENGINE
from bmfgraph.engines.spec import BuildSpec, EngineSpec
from bmfgraph.engines.store import EngineStore, StoreError
from bmfgraph.errors import EngineError, PlanError, SourceError, did_you_mean, join_sorted
from bmfgraph.media.sources import locate
from bmfgraph.nodes.engine import EngineOptions
from bmfgraph.nodes.inference import InferenceParams, InferenceSpec
from bmfgraph.plan.plan import Plan, PlanNode, json_ready
from bmfgraph.system.files import file_sha256

__all__ = ["bind_engines"]

Profiles = tuple[tuple[str, Profile], ...]


def bind_engines(plan: Plan) -> Plan:
    """Requires: types. Ensures: ``work.engine`` of every inference node.

    An engine that the store does not hold gets the path that it will have.
    """
    return map_nodes(plan, lambda plan, node: _bound(plan, node) if isinstance(node.spec, InferenceSpec) else node)


def _bound(plan: Plan, node: PlanNode) -> PlanNode:
    assert isinstance(node.spec, InferenceSpec)
    params: InferenceParams = node.params
    options = node.spec.engine
    choice = select_runtime(plan, node.name, options)
    request = EngineSpec(
        runtime=choice.runtime,
        device=choice.device,
        path=str(node.metadata.path),
        onnx=str(node.metadata.path),
        sha256=node.metadata.sha256,
        precision=choice.precision,
        batch=options.batch,
        threads=options.threads if choice.device == "cpu" else None,
        input_shapes=params.inputs,
        output_shapes=params.output_shapes,
        tensors=tuple((one.name, one.dtype) for one in (*node.metadata.inputs, *node.metadata.outputs)),
        dim_overrides=node.spec.dim_overrides(node),
        allow_host_code=options.allow_host_code,
        cuda_graph=options.cuda_graph and choice.runtime != "onnxruntime",
        streams=options.streams if choice.runtime != "onnxruntime" else 1,
        why=choice.why,
    )
    # Checked for every runtime: a profile that the frames do not fit is a mistake on any machine.
    profiles = _profiles(node, options, request)
    if choice.runtime != "onnxruntime":
        request = _with_engine(plan, node, options, choice, request, profiles)
    # A recorded inference has one shape only.
    return replace(node, params=replace(params, fixed_batch=params.fixed_batch or request.cuda_graph, engine=request))


def _with_engine(
    plan: Plan,
    node: PlanNode,
    options: EngineOptions,
    choice: RuntimeChoice,
    request: EngineSpec,
    profiles: Profiles,
) -> EngineSpec:
    if options.path is not None:
        if not Path(options.path).is_file():
            raise EngineError(
                node.name,
                f"engine.path {options.path!r} {'is a folder' if Path(options.path).is_dir() else 'does not exist'}",
                hint="check the path, which is relative to the current folder, or leave engine.path out to build one",
                code="E602",
            )
        return replace(request, path=options.path)
    build = BuildSpec(
        model=node.params.model,
        key=_key(plan, node, options, choice, request, profiles),
        store=options.store,
        policy=options.build,
        python=options.python,
        command=options.command,
        timing_cache=options.timing_cache,
        calibration=options.calibration if choice.precision == "int8" else None,
        calibration_frames=options.calibration_frames,
    )
    path = EngineStore(Path(options.store)).folder(build.model, build.key) / ENGINE
    return replace(request, path=str(path), build=build)


def _key(
    plan: Plan,
    node: PlanNode,
    options: EngineOptions,
    choice: RuntimeChoice,
    request: EngineSpec,
    profiles: Profiles,
) -> EngineKey:
    portable = choice.runtime == "tensorrt_rtx"
    gpu = plan.machine.gpu
    if gpu is None and not portable:
        raise EngineError(
            node.name,
            f"TensorRT's engines are built for one GPU, and {plan.machine.no_gpu}",
            hint="build on the machine that will run it; leave engine.runtime, engine.python and engine.command out to "
            "run on the CPU",
            code="E605",
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
        onnx=request.sha256,
        dims=request.dim_overrides,
        profiles=profiles,
        precision=request.precision,
        flags=tuple(sorted(flags.items())),
        calibration=_calibration(plan, node, options) if request.precision == "int8" else None,
        runtime=choice.runtime,
        version="",
        gpu="any" if portable or gpu is None else gpu.name,
        compute_capability="any" if portable or gpu is None else gpu.compute_capability,
    )
    return replace(key, version=_version(plan, node, options, choice, key))


def _version(plan: Plan, node: PlanNode, options: EngineOptions, choice: RuntimeChoice, key: EngineKey) -> str:
    """Of the library that builds the engine; where none is here, of the one that built an engine in the store."""
    assert choice.runtime != "onnxruntime"
    if options.command:
        return options.version or "unknown"
    if options.python:
        return builder_version(options.python, choice.runtime, node.name).version
    library = plan.machine.library(choice.runtime, builds=True)
    if library is None:
        here = plan.machine.library(choice.runtime)
        if here and (stored := _stored_version(node, options, key, here.version)):
            return stored
        if here and options.build == "never":
            return here.version
        there = f"only {here.module} {here.version} is here, which runs engines and does not build them" if here else ""
        raise EngineError(
            node.name,
            f"engine.runtime={choice.runtime}: {there or 'it is not installed'}",
            hint="pip install tensorrt"
            if choice.runtime == "tensorrt"
            else "pip install tensorrt_rtx_cu13_libs tensorrt_rtx_cu13_bindings",
            code="E606",
        )
    return library.version


def _stored_version(node: PlanNode, options: EngineOptions, key: EngineKey, here: str) -> str | None:
    """Version of the builder of an engine in the store that the library of version ``here`` runs."""
    try:
        stored = EngineStore(Path(options.store)).entries(node.params.model)
    except StoreError as error:
        raise EngineError(
            node.name, str(error), hint="set engine.store to a folder that you may read", code="E614"
        ) from None
    keys = [entry.manifest["key"] for entry in stored if not entry.manifest_error]
    versions = [str(one["version"]) for one in keys if key.changes(one) == ["version"]]
    if here in versions:
        return here
    # Others run here only if they were built for it; what a program built with, nobody knows.
    movable = options.version_compatible or options.command
    return max(versions, key=_numbers) if versions and movable else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _profiles(node: PlanNode, options: EngineOptions, request: EngineSpec) -> Profiles:
    """For every input: the shapes that the engine is built for; refused where the frames lie outside."""
    assert isinstance(node.spec, InferenceSpec)
    shapes = dict(request.input_shapes)
    if options.profiles == "auto":
        fixed = node.params.fixed_batch or options.input_shapes is not None or options.cuda_graph
        return tuple(
            (name, Profile(shape if fixed else (1, *shape[1:]), shape, shape)) for name, shape in shapes.items()
        )
    for name in options.profiles:
        if name not in shapes:
            raise PlanError(
                node.name,
                f"engine.profiles.{name}: the model has no such input{did_you_mean(name, shapes)}; "
                f"it has: {join_sorted(shapes)}",
                hint="correct the name under engine.profiles",
                code="E608",
            )
    found = []
    for name, shape in shapes.items():
        given = options.profiles.get(name)
        if given is None:
            raise PlanError(
                node.name,
                f"engine.profiles has no {name}; the model has the inputs {join_sorted(shapes)}",
                hint=f"add engine.profiles.{name}.min, .opt and .max, or set engine.profiles=auto",
                code="E608",
            )
        profile = given.profile()
        node.spec.check_profile(node, name, profile)
        if not profile.holds(shape):
            raise PlanError(
                node.name,
                f"input {name} has the shape {list(shape)}, outside of engine.profiles.{name}: "
                f"min {list(profile.min)}, max {list(profile.max)}",
                hint="widen the profile, or set the preprocess node's `size` or engine.batch",
                code="E608",
            )
        found.append((name, profile))
    return tuple(found)


def _calibration(plan: Plan, node: PlanNode, options: EngineOptions) -> str | None:
    """Stands for everything that the calibration depends on; None where the model is quantised already."""
    if node.metadata.quantized:
        return None
    if options.calibration is None:
        raise PlanError(
            node.name,
            f"engine.precision=int8: model {node.params.model!r} is not quantised, "
            "and no clip to calibrate it is given",
            hint="set engine.calibration=CLIP to one like those you will process, or choose engine=fp16",
            code="E607",
        )
    try:
        clip = file_sha256(locate(options.calibration))
    except (SourceError, OSError) as error:
        raise PlanError(
            node.name, f"engine.calibration: {error}", hint=getattr(error, "hint", "") or "name a clip", code="E607"
        ) from None
    # What frames go through before they are tensors.
    works: list[Any] = []
    for ref in node.inputs:
        while plan.node(ref.node).inputs:
            works.append(json_ready(plan.node(ref.node).params))
            ref = plan.node(ref.node).inputs[0]
    return hashlib.sha256(repr((clip, options.calibration_frames, works)).encode()).hexdigest()
