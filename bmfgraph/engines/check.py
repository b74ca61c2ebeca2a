"""Check a plan's engine by its manifest alone, without loading it: no GPU is needed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.engines.build import find_engine
from bmfgraph.engines.builder import UNKNOWN
from bmfgraph.engines.external import command_line
from bmfgraph.engines.key import Profile
from bmfgraph.engines.manifest import ENGINE, MANIFEST, TENSORS, StoredEngine, read_entry
from bmfgraph.engines.runtimes.bindings import Binding, check_bindings
from bmfgraph.engines.spec import BuildSpec, EngineSpec
from bmfgraph.engines.store import EngineStore, StoreError
from bmfgraph.errors import EngineError
from bmfgraph.system.machine import Machine
from bmfgraph.system.untrusted import has_form

__all__ = ["check_engine"]

_REBUILD = "build it again on this machine, or leave engine.path out to have it built"


def check_engine(node: str, spec: EngineSpec, machine: Machine) -> list[EngineError]:
    """Return the reasons why a machine would refuse an engine.

    An engine of the store must exist if none may be built. An engine that the user names must fit the model and the
    machine, as far as the manifest next to it tells.

    Args:
        node: The node that the errors name.
        spec: The engine in the plan.
        machine: The machine that will run it.
    """
    if spec.build is not None:
        runnable = machine.gpu is not None or spec.device == "cpu"
        return _store_errors(node, spec.build) if runnable else []
    path = Path(spec.path)
    if spec.runtime in ("onnxruntime", "openvino"):
        return []
    if path.suffix.lower() == ".onnx":
        text = f"engine.path {spec.path!r} is a model, from which engines are built"
        hint = f"set model.file={spec.path} instead, and leave engine.path out"
        return [EngineError(node, text, hint=hint, code=codes.ENGINE_LOAD_FAILURE)]
    # The user may name a link; the manifest lies beside the file itself.
    file = Path(os.path.realpath(path))
    if file.name != ENGINE or not os.path.lexists(file.with_name(MANIFEST)):
        return []
    entry = read_entry(file.parent)
    if entry.manifest_error:
        text = f"engine.path {spec.path!r}: {entry.manifest_error}"
        return [EngineError(node, text, hint=_REBUILD, code=codes.DAMAGED_ENGINE)]
    # Without a GPU the engine's GPU and library do not matter.
    origin = [] if machine.gpu is None else _origin_errors(node, spec, entry.manifest["key"], machine)
    return [*origin, *_content_errors(node, spec, entry)]


def _store_errors(node: str, build: BuildSpec) -> list[EngineError]:
    """Check that the store holds the engine, or that it can be built."""
    store = EngineStore(Path(build.store))
    try:
        if build.policy == "never" and not _may_be_stored(store, build):
            find_engine(node, build, store)
        elif not store.find(build.model, build.key) and build.command:
            command_line(node, build.command, build.key, Path("network.onnx"), Path(ENGINE))
    except EngineError as error:
        return [error]
    except StoreError as error:
        return [
            EngineError(
                node, str(error), hint="set engine.store to a folder of yours", code=codes.UNUSABLE_ENGINE_STORE
            )
        ]
    return []


def _may_be_stored(store: EngineStore, build: BuildSpec) -> bool:
    """Return whether only the version of the builder, which is unknown, decides which stored engine is meant."""
    nearest = store.nearest(build.model, build.key) if build.key.version == UNKNOWN and build.python else None
    return nearest is not None and nearest[1] in ([], ["version"])


def _origin_errors(node: str, spec: EngineSpec, key: dict[str, Any], machine: Machine) -> list[EngineError]:
    """Compare the GPU and the library that built the engine with those of the machine."""
    errors = []
    engine, runtime = f"engine.path {spec.path!r}", key["runtime"]
    built_by = f"{engine} was built by {runtime} {key['version']}"
    gpu = machine.gpu
    if key["gpu"] != "any" and (gpu is None or gpu.compute_capability != key["compute_capability"]):
        here = f"{gpu} is here" if gpu else f"here {machine.no_gpu}"
        text = f"{engine} was built for {key['gpu']} (compute capability {key['compute_capability']}), and {here}"
        errors.append(EngineError(node, text, hint=_REBUILD, code=codes.ENGINE_GPU_MISMATCH))
    compatible = bool(key["flags"].get("version_compatible"))
    libraries = [library for library in machine.libraries if library.flavour == runtime]
    if runtime != spec.runtime:
        text = f"{built_by}, and {spec.runtime} would run it"
        errors.append(EngineError(node, text, hint=f"set engine.runtime={runtime}", code=codes.ENGINE_LIBRARY_MISMATCH))
    elif not libraries:
        text = f"{built_by}, and no {runtime} is installed"
        errors.append(
            EngineError(node, text, hint=f"pip install {runtime}=={key['version']}", code=codes.ENGINE_LIBRARY_MISMATCH)
        )
    elif not compatible and all(library.version != key["version"] for library in libraries):
        here = ", ".join(f"{library.module} {library.version}" for library in libraries)
        hint = f"{_REBUILD}; engines built with engine.version_compatible=true run in later versions"
        errors.append(
            EngineError(node, f"{built_by}, and {here} is here", hint=hint, code=codes.ENGINE_LIBRARY_MISMATCH)
        )
    if compatible and not spec.allow_host_code:
        hint = "if you trust where it comes from, set engine.allow_host_code=true"
        errors.append(
            EngineError(node, f"{engine} brings CPU code of its own", hint=hint, code=codes.UNTRUSTED_HOST_CODE)
        )
    return errors


def _content_errors(node: str, spec: EngineSpec, entry: StoredEngine) -> list[EngineError]:
    """Check the file's checksum, and compare its tensors with the model and the shapes of the frames."""
    if damage := entry.damage():
        return [
            EngineError(
                node, f"engine.path {spec.path!r} is damaged: {damage}", hint=_REBUILD, code=codes.DAMAGED_ENGINE
            )
        ]
    if not has_form(entry.tensors, TENSORS):
        text = f"engine.path {spec.path!r}: 'tensors' of {MANIFEST} has another form"
        return [EngineError(node, text, hint=_REBUILD, code=codes.DAMAGED_ENGINE)]
    try:
        check_bindings(node, spec, [_binding(tensor) for tensor in entry.tensors])
    except EngineError as error:
        return [error]
    return []


def _binding(tensor: dict[str, Any]) -> Binding:
    """Convert a tensor of the manifest."""
    profiles = []
    if shapes := tensor.get("profile"):
        profiles.append(Profile(tuple(shapes["min"]), tuple(shapes["opt"]), tuple(shapes["max"])))
    return Binding(tensor["name"], tensor["mode"] == "input", tensor["dtype"], tuple(tensor["dims"]), tuple(profiles))
