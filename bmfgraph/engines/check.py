"""Engines looked at without loading them: by their manifests, which no GPU is needed to read."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from bmfgraph.engines.build import find_built
from bmfgraph.engines.external import command_words
from bmfgraph.engines.key import Profile
from bmfgraph.engines.manifest import ENGINE, MANIFEST, StoredEngine, read_entry
from bmfgraph.engines.runtimes.bindings import Binding, check_bindings
from bmfgraph.engines.spec import BuildSpec, EngineSpec
from bmfgraph.engines.store import EngineStore, StoreError
from bmfgraph.errors import EngineError
from bmfgraph.system.machine import Machine

__all__ = ["check_engine"]

_BUILD = "build it again on this machine, or leave engine.path out to have it built"


def check_engine(node: str, request: EngineSpec, machine: Machine, *, known: Collection[str] = ()) -> list[EngineError]:
    """Why the engine that a plan names would be refused on that machine.

    An engine of the store must be there if none may be built; one that the user names must fit the model and the
    machine, as far as the manifest beside it says. ``known``: codes of what was told already.
    """
    if request.build is not None:
        return [] if "E605" in known else _unstored(node, request.build)
    path = Path(request.path)
    if request.runtime == "onnxruntime":
        return []
    if path.suffix.lower() == ".onnx":
        text = f"engine.path {request.path!r} is a model, from which engines are built"
        hint = f"set model.file={request.path} instead, and leave engine.path out"
        return [EngineError(node, text, hint=hint, code="E619")]
    if path.name != ENGINE or not (path.parent / MANIFEST).is_file():
        return []
    entry = read_entry(path.parent)
    if entry.fault:
        return [EngineError(node, f"engine.path {request.path!r}: {entry.fault}", hint=_BUILD, code="E613")]
    # On a machine without a GPU nothing else about its origin matters.
    origin = [] if "E605" in known else _elsewhere(node, request, entry.manifest["key"], machine)
    return [*origin, *_misfits(node, request, entry)]


def _unstored(node: str, build: BuildSpec) -> list[EngineError]:
    """The store lacks the engine, and none may be built, or not so; or it is no store."""
    store = EngineStore(Path(build.store))
    try:
        if build.policy == "never":
            find_built(node, build, store)
        elif not store.find(build.model, build.key) and build.command:
            command_words(node, build.command, build.key, Path("network.onnx"), Path(ENGINE))
    except EngineError as error:
        return [error]
    except StoreError as error:
        return [EngineError(node, str(error), hint="set engine.store to a folder of yours", code="E614")]
    return []


def _elsewhere(node: str, request: EngineSpec, key: dict[str, Any], machine: Machine) -> list[EngineError]:
    """Built for another GPU or by another library than the machine has."""
    found = []
    where = f"engine.path {request.path!r}"
    gpu = machine.gpu
    if key["gpu"] != "any" and (gpu is None or gpu.compute_capability != key["compute_capability"]):
        here = f"{gpu} is here" if gpu else f"here {machine.no_gpu}"
        built = f"was built for {key['gpu']} (compute capability {key['compute_capability']})"
        found.append(EngineError(node, f"{where} {built}, and {here}", hint=_BUILD, code="E610"))
    flavour, compatible = key["runtime"], bool(key["flags"].get("version_compatible"))
    libraries = [library for library in machine.libraries if library.flavour == flavour]
    if flavour != request.runtime:
        text = f"{where} was built by {flavour} {key['version']}, and {request.runtime} would run it"
        found.append(EngineError(node, text, hint=f"set engine.runtime={flavour}", code="E611"))
    elif not libraries:
        text = f"{where} was built by {flavour} {key['version']}, and no {flavour} is installed"
        found.append(EngineError(node, text, hint=f"pip install {flavour}=={key['version']}", code="E611"))
    elif not compatible and all(library.version != key["version"] for library in libraries):
        here = ", ".join(f"{one.module} {one.version}" for one in libraries)
        hint = f"{_BUILD}; engines built with engine.version_compatible=true run in later versions"
        found.append(
            EngineError(
                node, f"{where} was built by {flavour} {key['version']}, and {here} is here", hint=hint, code="E611"
            )
        )
    if compatible and not request.allow_host_code:
        hint = "if you trust where it comes from, set engine.allow_host_code=true"
        found.append(EngineError(node, f"{where} brings CPU code of its own", hint=hint, code="E620"))
    return found


def _misfits(node: str, request: EngineSpec, entry: StoredEngine) -> list[EngineError]:
    """Damaged, or not made from the model, or not for the shapes of the frames."""
    if damage := entry.damage():
        return [EngineError(node, f"engine.path {request.path!r} is damaged: {damage}", hint=_BUILD, code="E613")]
    bindings = [
        Binding(
            one["name"],
            one["mode"] == "input",
            one["dtype"],
            tuple(one["dims"]),
            (Profile(*(tuple(one["profile"][part]) for part in ("min", "opt", "max"))),) if "profile" in one else (),
        )
        for one in entry.tensors
    ]
    try:
        check_bindings(node, request, bindings)
    except EngineError as error:
        return [error]
    return []
