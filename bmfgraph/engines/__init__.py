"""Turn ONNX files into engines, keep them in a store, and run them.

How ``engine.precision`` gets from the plan to TensorRT's builder:
    1. spec.py: ``EngineSpec`` in the plan says what runs, its ``BuildSpec`` how it is built, keyed by ``EngineKey``
    2. build.py: ``ensure_engine`` asks store.py's ``EngineStore.ensure``, which calls ``_EngineBuild`` if it has none
    3. onnx/precision.py: ``prepare_network`` rewrites the model: fp16, bf16 or int8 in the network's own types
    4. trt_process.py: a child process reads ``precision`` from JOB.json; trt_network.py's ``configure`` sets its flag
    5. runtimes/: ``load_engine`` loads the file that the store has published, as an ``Engine``

How a model file, which may be damaged or hostile, is checked:
    1. onnx/cache.py: ``cached_model`` answers what is known of a file by its checksum
    2. onnx/untrusted.py: a child process with limits (limited.py) reads the file, or infers shapes, for the first time
    3. onnx/weights.py: each tensor must fit its shape, and each weight file must lie with the model
    4. trial.py: ``try_model`` runs one inference in such a child; refusals.py makes errors from its result
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmfgraph.system.lazy import lazy_names

if TYPE_CHECKING:
    from bmfgraph.engines.build import ensure_engine
    from bmfgraph.engines.check import check_engine
    from bmfgraph.engines.key import EngineKey, Profile
    from bmfgraph.engines.manifest import BuildResult, StoredEngine
    from bmfgraph.engines.runtimes import Engine, Pending, load_engine
    from bmfgraph.engines.spec import BuildSpec, EngineSpec
    from bmfgraph.engines.store import EngineStore, StoreError

__all__ = [
    "BuildResult",
    "BuildSpec",
    "Engine",
    "EngineKey",
    "EngineSpec",
    "EngineStore",
    "Pending",
    "Profile",
    "StoreError",
    "StoredEngine",
    "check_engine",
    "ensure_engine",
    "load_engine",
]

# Imported on use, so that ``check`` stays fast.
__getattr__ = lazy_names(
    __name__,
    {
        "build": ("ensure_engine",),
        "check": ("check_engine",),
        "key": ("EngineKey", "Profile"),
        "manifest": ("BuildResult", "StoredEngine"),
        "runtimes": ("Engine", "Pending", "load_engine"),
        "spec": ("BuildSpec", "EngineSpec"),
        "store": ("EngineStore", "StoreError"),
    },
)
