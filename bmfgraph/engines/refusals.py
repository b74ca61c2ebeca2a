"""Say why a runtime of the CPU would not run a model as it is, from a trial inference."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from bmfgraph import error_codes as codes
from bmfgraph.engines.spec import EngineSpec
from bmfgraph.engines.trial import Trial, TrialRequest, runtime_version, try_model
from bmfgraph.errors import BmfgraphError, EngineError, PlanError, Problem
from bmfgraph.plan.types import RUNTIME_NAMES

__all__ = ["check_trial", "trial_warning", "tried_shapes"]

_OPERATOR = re.compile(
    r"(?P<name>[\w.:]+)\(-?\d+\) is not a registered function/op"
    r"|No Op registered for (?P<other>\w+)"
    r"|Could not find an implementation for (?P<third>[\w.:]+)\("
    r"|No conversion rule found for operations: (?:[\w.]+\.)?(?P<fourth>\w+)"
)
"""The words of ONNX Runtime and OpenVINO for an operator that they do not have."""
_NOISE = (
    (re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : "), ""),
    (re.compile(r"Non-zero status code returned while running (\w+) node\. Name:'[^']*' Status Message: "), r"\1: "),
    (re.compile(r"Load model from .* failed:\s*(?:This is an invalid model\. )?"), ""),
    (re.compile(r"\S+\.(?:h|cc):\d+ [^)]*\) "), ""),
)


def check_trial(node: str, model: str, spec: EngineSpec, request: TrialRequest) -> list[BmfgraphError]:
    """Return the reason why the CPU's runtime would not run a model as it is, if a trial inference finds one.

    Args:
        node: The node that the error names.
        model: The model's name.
        spec: The engine in the plan.
        request: The model and the shapes to try.
    """
    request, trial = _trial(spec, request)
    error = trial and _refusal(node, model, request, trial)
    return [error] if error else []


def trial_warning(node: str, spec: EngineSpec, request: TrialRequest) -> list[Problem]:
    """Return a warning if the trial inference could not be finished, so that the run may fail or be slow."""
    request, trial = _trial(spec, request)
    if trial is None or trial.problem != "unfinished":
        return []
    text = f"{RUNTIME_NAMES[request.runtime]}'s trial inference was not finished: {trial.reason}"
    hint = "the run may fail or be slow; make room in memory, or take a smaller model or size"
    return [Problem(f"pipeline.nodes.{node}", text, codes.UNFINISHED_TRIAL, hint)]


def _trial(spec: EngineSpec, request: TrialRequest) -> tuple[TrialRequest, Trial | None]:
    """Return the request for the engine's runtime, and its result.

    It is None where this machine lacks the runtime, or where another file or a GPU is used.
    """
    if spec.build or spec.device != "cpu" or spec.runtime not in ("onnxruntime", "openvino"):
        return request, None
    request = replace(request, runtime=spec.runtime, precision=spec.precision)
    return request, try_model(request) if runtime_version(request.runtime) else None


def tried_shapes(
    node: str, model: str, operators: Sequence[str], request: TrialRequest
) -> dict[str, tuple[int | None, ...]]:
    """Return the output shapes of a model with operators that ONNX does not define, from a trial in its runtime.

    Args:
        node: The node that errors name.
        model: The model's name.
        operators: Those operators.
        request: The model and the shapes of its inputs.

    Raises:
        BmfgraphError: ONNX Runtime is not installed, or refuses the model.
    """
    trial = try_model(request) if runtime_version() else Trial("unfinished", "ONNX Runtime is not installed")
    if error := _refusal(node, model, request, trial):
        raise error
    if trial.outputs is None:
        raise EngineError(
            node,
            f"model {model!r}: its output sizes are unknown, because ONNX does not define its operator(s) "
            f"{', '.join(operators)}, and the trial inference did not find them: {trial.reason}",
            hint="export the model with fixed sizes, or with ONNX's own operators",
            code=codes.UNSUPPORTED_OPERATOR,
        )
    return dict(trial.outputs)


def _refusal(node: str, model: str, request: TrialRequest, trial: Trial) -> BmfgraphError | None:
    """Return the error that a trial's result is; None if it is none.

    Args:
        node: The node that the error names.
        model: The model's name.
        request: The model and the shapes.
        trial: The result.
    """
    title, package = RUNTIME_NAMES[request.runtime], request.runtime
    subject, runtime = f"model {model!r}: ", f"{title} {runtime_version(package)}"
    reason = _plain(trial.reason)
    if trial.problem in ("", "unfinished"):
        return None
    if trial.problem in ("crash", "endless"):
        how = f"crashes {runtime}: the process {reason}" if trial.problem == "crash" else f"{runtime}: {reason}"
        hint = "the file is damaged or malicious, or the runtime has a bug; export it again, or update the runtime"
        return EngineError(node, subject + how, hint=hint, code=codes.CRASHING_MODEL)
    if match := _OPERATOR.search(reason):
        operator = next(filter(None, match.groups())).rpartition(":")[2]
        text = f"{subject}{runtime} does not have its operator {operator}"
        hint = f"export the model with ONNX's own operators; a newer version (pip install -U {package}) may have it"
        if operator.endswith("_TRT"):
            hint = "it is a plugin of TensorRT: export the model without it, or build an engine with TensorRT's tools"
        return EngineError(node, text, hint=hint, code=codes.UNSUPPORTED_OPERATOR)
    free = [(name, shape) for name, _, shape in request.inputs if dict(request.sides).get(name)]
    if trial.problem == "load" or not free or "to allocate" in reason:
        verb = "load" if trial.problem == "load" else "run"
        text = f"{subject}{runtime} cannot {verb} {request.path!r}: {reason}"
        hint = f"the file is damaged, or newer than this {title}: export it again, or pip install -U {package}"
        return EngineError(node, text, hint=hint, code=codes.REFUSED_MODEL)
    shapes = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in free)
    name, shape = free[0]
    hint = "choose another `size` or `multiple` of the preprocess node, or export the model for this size"
    if trial.multiple:
        hint = f"its sides must be multiples of {trial.multiple}: set model.inputs.{name}.multiple={trial.multiple}"
    elif trial.side:
        axes = dict(request.sides)[name]
        text = ",".join(str(trial.side if axis in axes else size) for axis, size in enumerate(shape))
        hint = f"it takes {trial.side}x{trial.side} only: set 'model.inputs.{name}.dims=[{text}]'"
    text = f"{subject}the network does not take {shapes}: {reason}"
    return PlanError(node, text, hint=hint, code=codes.UNSUPPORTED_INPUT_SIZE)


def _plain(reason: str) -> str:
    """Return a runtime's message without its codes and the places in its source."""
    for noise, rest in _NOISE:
        reason = noise.sub(rest, reason)
    return reason if len(reason) <= 300 else f"{reason[:297]}..."
