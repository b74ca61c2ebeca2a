"""Examine the installed packages: BMF, both FFmpegs, ONNX Runtime, torch, bmfgraph's dependencies, node packs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import runpy
import sys
from collections.abc import Iterable
from pathlib import Path

from bmfgraph.doctor.finding import Finding, State, version_of
from bmfgraph.doctor.probes import Answer
from bmfgraph.doctor.system import cuda_of_driver
from bmfgraph.system.machine import Machine

__all__ = [
    "bmf_finding",
    "conflict_findings",
    "ffmpeg4_finding",
    "ffmpeg_finding",
    "kind_findings",
    "onnxruntime_finding",
    "openvino_finding",
    "package_findings",
    "torch_findings",
]

_EXTRAS = ("cpu", "gpu", "nvidia", "rtx")
"""Extras of bmfgraph. Their libraries are optional, but an installed library must have a supported version."""
_BMF, _ORT = ("babitmf", "babitmf-gpu"), ("onnxruntime", "onnxruntime-gpu")
"""Wheels for CPUs and for GPUs. Both wheels of a pair install the same package."""
_BMF_FIXES = {
    "libcuda.so": "pip uninstall -y babitmf-gpu && pip install babitmf, or install NVIDIA's driver",
    "libpython3.": f"apt install libpython3.{sys.version_info.minor}, or use another Python from 3.10 to 3.12",
}
"""The fix for a part of the error message of ``import bmf``."""
_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""Index of the builds of torch for the CPU; those on PyPI are for CUDA."""
_FFMPEG_FIXES = {
    "system": "remove the system's FFmpeg 4 and pip install decord==0.6.0, or install an FFmpeg 4 that has it",
    "decord": "pip install --force-reinstall --no-deps decord==0.6.0",
}
"""The fix for missing encoders, by the source of FFmpeg 4."""


def bmf_finding(answer: Answer) -> Finding:
    """Judge the answer to ``bmf``."""
    wheels = [name for name in _BMF if version_of(name)]
    facts = " and ".join(f"{name} {version_of(name)}" for name in wheels) or "not from a wheel"
    spec = importlib.util.find_spec("bmf")
    if spec is None:
        return Finding(
            "BMF", "fail", "not installed", "pip install 'bmfgraph[cpu]', or 'bmfgraph[gpu]' with an NVIDIA GPU"
        )
    if "bmf" in answer:
        return Finding("BMF", "ok", f"{facts}, import bmf works")
    error, wheel = answer["error"], wheels[0] if wheels else _BMF[0]
    fix = answer.get("hint") or next((fix for part, fix in _BMF_FIXES.items() if part in error), "")
    fix = fix or f"pip install --force-reinstall --no-deps {wheel}"
    if wheels and spec.origin:
        site = Path(str(importlib.metadata.distribution(wheel).locate_file(""))).resolve()
        if site not in Path(spec.origin).resolve().parents:
            fix = f"rename or move {Path(spec.origin).parent}, which hides the package of {wheel}"
    return Finding("BMF", "fail", f"{facts}; import bmf: {error}", fix)


def ffmpeg4_finding(answer: Answer) -> Finding:
    """Judge the FFmpeg 4 that BMF itself needs, and that does the work with ``backend: bmf``.

    Args:
        answer: The answer to ``bmf``.
    """
    if "ffmpeg" not in answer:
        return Finding("FFmpeg 4", "fail", answer["error"], answer.get("hint") or _FFMPEG_FIXES["decord"])
    source, fix = answer["ffmpeg"], _FFMPEG_FIXES[answer["ffmpeg"]]
    if "version" not in answer:
        facts = f"from {source}; its version cannot be read without BMF: {answer['error']}"
        return Finding("FFmpeg 4", "warn", facts, "fix BMF")
    facts = f"{answer['version']} from {source}, for BMF and backend: bmf; {_codecs(answer)}"
    # Without an encoder for H.264, few pipelines can use that back end.
    if "x264" in answer["missing"]:
        return Finding("FFmpeg 4", "warn", f"{facts}; no encoder for H.264", fix)
    return Finding("FFmpeg 4", "ok", facts)


def ffmpeg_finding(answer: Answer) -> Finding:
    """Judge the FFmpeg in PyAV, which decodes and encodes, by the answer to ``pyav``."""
    fix = "pip install --force-reinstall --no-deps av, which installs the wheel with its own FFmpeg"
    if "version" not in answer:
        return Finding("FFmpeg", "fail", f"import av: {answer['error']}", answer.get("hint") or fix)
    facts = f"{answer['version']}, decodes and encodes; {_codecs(answer)}"
    if unusable := answer.get("unusable"):
        facts += f"; {', '.join(unusable)} cannot be opened here (no NVENC, or no driver)"
    if "x264" in answer["missing"]:
        return Finding("FFmpeg", "fail", f"{facts}; no encoder for H.264", fix)
    if "error" in answer:
        return Finding("FFmpeg", "warn", f"{facts}; trying NVENC failed: {answer['error']}", "update NVIDIA's driver")
    return Finding("FFmpeg", "ok", facts)


def _codecs(answer: Answer) -> str:
    missing = f" (not {', '.join(answer['missing'])})" if answer["missing"] else ""
    return f"encoders: {', '.join(answer['encoders'])}{missing}; {'' if answer['hwaccel'] else 'no '}hwaccel cuda"


def onnxruntime_finding(answer: Answer, machine: Machine) -> Finding:
    """Judge the answer to ``onnxruntime``. It may be missing if TensorRT runs the models."""
    if "version" in answer:
        return Finding("ONNX Runtime", "ok", f"{answer['version']}: {', '.join(answer['providers'])}")
    if importlib.util.find_spec("onnxruntime") is not None:
        wheel = next((name for name in reversed(_ORT) if version_of(name)), _ORT[0])
        fix = f"pip install --force-reinstall --no-deps {wheel}"
        return Finding("ONNX Runtime", "fail", f"import onnxruntime: {answer['error']}", fix)
    state: State = "warn" if machine.gpu and machine.library("tensorrt", builds=True) else "fail"
    return Finding("ONNX Runtime", state, "not installed; it runs models on the CPU", "pip install onnxruntime")


def openvino_finding(machine: Machine) -> Finding:
    """Say which precisions OpenVINO computes in, if it is installed."""
    formats = "fp32, bf16 and int8" if machine.cpu_bf16 else "fp32 and int8; this CPU has no bf16"
    if machine.openvino:
        return Finding("OpenVINO", "ok", f"{machine.openvino} runs models on the CPU in {formats}")
    return Finding("OpenVINO", "ok", f"not installed; it is optional, and runs models on the CPU in {formats}")


def torch_findings(machine: Machine, driver: tuple[int, ...]) -> Iterable[Finding]:
    """Compare the build of torch with the GPU and the driver.

    Args:
        machine: This machine.
        driver: Newest version of CUDA that the driver supports; empty without a driver.
    """
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return  # package_findings reports that it is missing.
    # Importing torch takes seconds, so only its version file is run.
    constants = runpy.run_path(str(Path(spec.origin).with_name("version.py")))
    version, cuda = str(constants["__version__"]), constants.get("cuda")
    facts = f"{version}, built for {f'CUDA {cuda}' if cuda else 'the CPU'}"
    if machine.gpu and not cuda:
        fix = f"pip uninstall -y torch && pip install torch=={version.partition('+')[0]}"
        yield Finding("torch", "warn", f"{facts}, but this machine has an {machine.gpu.name}", fix)
    elif machine.gpu and cuda and driver and int(cuda.partition(".")[0]) > driver[0]:
        fix = f"update NVIDIA's driver, or install a torch that was built for CUDA {driver[0]}"
        yield Finding("torch", "warn", f"{facts}, which this driver does not support", fix)
    elif cuda and not driver:
        install = f"pip install torch=={version.partition('+')[0]}+cpu --extra-index-url {_CPU_INDEX}"
        yield Finding("torch", "ok", f"{facts}; without a GPU, a build for the CPU is much smaller: {install}")
    else:
        yield Finding("torch", "ok", facts)


def package_findings() -> Iterable[Finding]:
    """Compare installed versions with the requirements of bmfgraph. Libraries of extras may be missing."""
    from packaging.requirements import Requirement

    good, bad = {}, {}
    for requirement in map(Requirement, importlib.metadata.requires("bmfgraph") or ()):
        name, marker, specifier = requirement.name, requirement.marker, requirement.specifier
        needed = marker is None or marker.evaluate({"extra": ""})
        optional = marker is not None and any(marker.evaluate({"extra": extra}) for extra in _EXTRAS)
        version = version_of(name)
        if not needed and not (optional and version):
            continue
        if version and specifier.contains(version, prereleases=True):
            good[name] = version
        else:
            # Several extras may have the same requirement, so the fix is the key.
            bad[f"pip install '{name}{specifier}'"] = (
                f"{name} {version or 'is not installed'}; bmfgraph needs {specifier}"
            )
    for fix, facts in bad.items():
        yield Finding("packages", "fail", facts, fix)
    yield Finding("packages", "ok", ", ".join(f"{name} {version}" for name, version in good.items()))


def conflict_findings(machine: Machine) -> Iterable[Finding]:
    """Find distributions that overwrite each other, or that need a missing driver."""
    findings = []
    states: dict[tuple[str, str], State] = {_BMF: "fail", _ORT: "warn"}
    for pair, state in states.items():
        if all(map(version_of, pair)):
            fix = f"pip uninstall -y {' '.join(pair)} && pip install {pair[machine.gpu is not None]}"
            facts = f"both {pair[0]} and {pair[1]} are installed: they overwrite each other"
            findings.append(Finding("conflicts", state, facts, fix))
    if version_of(_BMF[1]) and not cuda_of_driver():
        fix = f"pip uninstall -y {_BMF[1]} && pip install {_BMF[0]}, or install NVIDIA's driver"
        facts = f"{_BMF[1]} needs NVIDIA's driver, which is not installed"
        findings.append(Finding("conflicts", "fail", facts, fix))
    return findings or [Finding("conflicts", "ok", "none")]


def kind_findings(answer: Answer) -> Iterable[Finding]:
    """Judge the answer to ``kinds``: node kinds that cannot be loaded, with the node pack to remove."""
    from bmfgraph.nodes.registry import GROUP

    broken: dict[str, str] = answer.get("broken", {})
    if "error" in answer:
        broken[answer.get("kind", "")] = f"loading kind {answer.get('kind')!r}: {answer['error']}"
    for kind, reason in broken.items():
        points = importlib.metadata.entry_points(group=GROUP, name=kind)
        packs = sorted({point.dist.name for point in points if point.dist} - {"bmfgraph"})
        yield Finding("node kinds", "fail", reason, f"pip uninstall {packs[0] if packs else 'bmfgraph'}")
    if not broken:
        yield Finding("node kinds", "ok", ", ".join(answer["kinds"]))
