"""Define passes whose conditions are checked while they run, and errors that name the pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bmfgraph.errors import BmfgraphError
from bmfgraph.nodes.transfer import converters
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.types import AudioSpec, device_of

__all__ = ["CONDITIONS", "CompilerPass", "PassError", "compiler_pass", "run_passes"]


class PassError(Exception):
    """A compiler pass is faulty: a condition does not hold, or it raised an unexpected exception."""


def _has_types(plan: Plan, node: PlanNode) -> bool:
    """Every input begins at a typed output of an earlier node."""
    earlier = {other.name: other for other in plan.nodes[: plan.nodes.index(node)]}
    return all(ref.node in earlier and earlier[ref.node].output(ref.port) is not None for ref in node.inputs)


def _has_own_audio(plan: Plan, node: PlanNode) -> bool:
    """Check that audio goes to its own back end, BMF's to one consumer, and that frames on the GPU come without."""
    audio = next((port for port in node.outputs if isinstance(port.type, AudioSpec)), None)
    if audio is None:
        return True
    assert isinstance(audio.type, AudioSpec)
    on_gpu = any(device_of(port.type) == "cuda" for port in node.outputs)
    consumers = [
        other.spec.accepts(index)
        for other, index in plan.consumers(node.name)
        if other.inputs[index].port == audio.name
    ]
    backend = audio.type.backend
    fit = all((accepts.backend if accepts else "pyav") == backend for accepts in consumers)
    return fit and not on_gpu and (backend == "pyav" or len(consumers) <= 1)


def _has_engine(plan: Plan, node: PlanNode) -> bool:
    return node.spec.engine_request(node) is None or node.spec.engine_of(node.params) is not None


def _has_device(plan: Plan, node: PlanNode) -> bool:
    """Check that outputs lie on the device of the node."""
    return all(device_of(port.type) in (None, node.device) for port in node.outputs)


def _is_joined(plan: Plan, node: PlanNode) -> bool:
    """Check that inputs have the node's pixel format and device; a transfer joins two devices itself."""
    accepted = ((plan.type_of(ref), node.spec.accepts(index)) for index, ref in enumerate(node.inputs))
    return node.spec.transfer or not any(converters(kind, accepts, node.device) for kind, accepts in accepted)


def _has_bmf_node(plan: Plan, node: PlanNode) -> bool:
    """Nodes of one BMF node form a chain of stages."""
    members = [other.name for other in plan if other.bmf_node == node.bmf_node]
    index = members.index(node.name)
    return bool(node.bmf_node) and (index == 0 or [ref.node for ref in node.inputs] == [members[index - 1]])


CONDITIONS: dict[str, Callable[[Plan, PlanNode], bool]] = {
    "types": _has_types,
    "own audio": _has_own_audio,
    "engines": _has_engine,
    "devices": _has_device,
    "joined": _is_joined,
    "bmf nodes": _has_bmf_node,
}
"""Name -> predicate that holds for every node of a plan."""


@dataclass(frozen=True)
class CompilerPass:
    """A function ``Plan -> Plan`` with the conditions that hold before and after it."""

    function: Callable[[Plan], Plan]
    requires: tuple[str, ...] = ()
    ensures: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the function."""
        return self.function.__name__

    def __call__(self, plan: Plan) -> Plan:
        """Run the pass.

        Raises:
            PassError: A condition does not hold.
        """
        _check(plan, self.requires, f"{self.name} requires")
        plan = self.function(plan)
        _check(plan, self.ensures, f"{self.name} ensures")
        return plan


def _check(plan: Plan, conditions: Sequence[str], role: str) -> None:
    for condition in conditions:
        for node in plan:
            if not CONDITIONS[condition](plan, node):
                raise PassError(f"{role} {condition!r}, which node {node.name!r} ({node.kind}) does not have")


def compiler_pass(
    *, requires: Sequence[str] = (), ensures: Sequence[str] = ()
) -> Callable[[Callable[[Plan], Plan]], CompilerPass]:
    """Make a pass of a function. ``requires`` and ``ensures`` are names of :data:`CONDITIONS`."""

    def wrap(function: Callable[[Plan], Plan]) -> CompilerPass:
        return CompilerPass(function, tuple(requires), tuple(ensures))

    return wrap


def run_passes(plan: Plan, passes: Sequence[CompilerPass]) -> Plan:
    """Run the passes in order.

    Raises:
        PassError: A pass is faulty; the message names it and the passes before it.
    """
    for index, step in enumerate(passes):
        try:
            plan = step(plan)
        except BmfgraphError:
            raise
        except Exception as error:
            before = ", ".join(earlier.name for earlier in passes[:index]) or "none"
            cause = str(error) if isinstance(error, PassError) else f"{type(error).__name__}: {error}"
            raise PassError(f"compiler pass {step.name} failed (passes before it: {before}): {cause}") from error
    return plan
