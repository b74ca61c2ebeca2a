"""Lines about what is installed: BMF, FFmpeg, ONNX Runtime, torch, our own dependencies, node packs."""

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
    "bmf_line",
    "conflict_lines",
    "ffmpeg_line",
    "kind_lines",
    "onnxruntime_line",
    "package_lines",
    "torch_lines",
]

_EXTRAS = ("cpu", "gpu", "nvidia", "rtx")
"""Of our own package: those whose libraries must fit where they are installed."""
_BMF, _ORT = ("babitmf", "babitmf-gpu"), ("onnxruntime", "onnxruntime-gpu")
"""For CPUs and for GPUs; each pair writes over the same package."""
_BMF_MENDING = {
    "libcuda.so": "pip uninstall -y babitmf-gpu && pip install babitmf, or install NVIDIA's driver",
    "libpython3.": f"apt install libpython3.{sys.version_info.minor}, or take another Python from 3.10 to 3.12",
}
"""A part of the message of `import bmf` -> what mends it."""
_FFMPEG_MENDING = {
    "system": "remove the system's FFmpeg 4 and pip install decord==0.6.0, or install an FFmpeg 4 that has it",
    "decord": "pip install --force-reinstall --no-deps decord==0.6.0",
}


def bmf_line(answer: Answer) -> Finding:
    wheels = [name for name in _BMF if version_of(name)]
    found = " and ".join(f"{name} {version_of(name)}" for name in wheels) or "of no wheel"
    spec = importlib.util.find_spec("bmf")
    if spec is None:
        return Finding(
            "BMF", "fail", "not installed", "pip install 'bmfgraph[cpu]', or 'bmfgraph[gpu]' with an NVIDIA GPU"
        )
    if "bmf" in answer:
        return Finding("BMF", "ok", f"{found}, import bmf works")
    error, wheel = answer["error"], wheels[0] if wheels else _BMF[0]
    fix = answer.get("hint") or next((fix for part, fix in _BMF_MENDING.items() if part in error), "")
    fix = fix or f"pip install --force-reinstall --no-deps {wheel}"
    if wheels and spec.origin:
        site = Path(str(importlib.metadata.distribution(wheel).locate_file(""))).resolve()
        if site not in Path(spec.origin).resolve().parents:
            fix = f"rename or move {Path(spec.origin).parent}, which hides the package of {wheel}"
    return Finding("BMF", "fail", f"{found}; import bmf: {error}", fix)


def ffmpeg_line(answer: Answer) -> Finding:
    if "ffmpeg" not in answer:
        return Finding("FFmpeg", "fail", answer["error"], answer.get("hint") or _FFMPEG_MENDING["decord"])
    whose, fix = answer["ffmpeg"], _FFMPEG_MENDING[answer["ffmpeg"]]
    if "version" not in answer:
        return Finding("FFmpeg", "warn", f"from {whose}; it cannot be asked without BMF: {answer['error']}", "mend BMF")
    encoders, missing = answer["encoders"], answer["missing"]
    found = f"{answer['version']} from {whose}; encoders: {', '.join(encoders)}"
    found += f" (not {', '.join(missing)})" if missing else ""
    found += f"; {'' if answer['hwaccel'] else 'no '}hwaccel cuda"
    # What else may be missing has a stand-in: x264 or vp9 for x265, x264 for nvenc and mpeg4, nvdec for hwaccel.
    if "x264" in missing:
        return Finding("FFmpeg", "fail", f"{found}; nothing writes H.264", fix)
    if "vp9" in missing:
        return Finding("FFmpeg", "warn", f"{found}; nothing writes WebM", fix)
    return Finding("FFmpeg", "ok", found)


def onnxruntime_line(answer: Answer, machine: Machine) -> Finding:
    if "version" in answer:
        return Finding("ONNX Runtime", "ok", f"{answer['version']}: {', '.join(answer['providers'])}")
    if importlib.util.find_spec("onnxruntime") is not None:
        wheel = next((name for name in reversed(_ORT) if version_of(name)), _ORT[0])
        fix = f"pip install --force-reinstall --no-deps {wheel}"
        return Finding("ONNX Runtime", "fail", f"import onnxruntime: {answer['error']}", fix)
    state: State = "warn" if machine.gpu and machine.library("tensorrt", builds=True) else "fail"
    return Finding("ONNX Runtime", state, "not installed; it runs models on the CPU", "pip install onnxruntime")


def torch_lines(machine: Machine, driver: tuple[int, ...]) -> Iterable[Finding]:
    """``driver``: the newest CUDA that it runs."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return  # The packages say that it is missing.
    # A file of a few lines; importing torch takes seconds.
    facts = runpy.run_path(str(Path(spec.origin).with_name("version.py")))
    version, cuda = str(facts["__version__"]), facts.get("cuda")
    found = f"{version}, built for {f'CUDA {cuda}' if cuda else 'the CPU'}"
    if machine.gpu and not cuda:
        fix = f"pip uninstall -y torch && pip install torch=={version.partition('+')[0]}"
        yield Finding("torch", "warn", f"{found}, beside {machine.gpu.name}", fix)
    elif machine.gpu and cuda and driver and int(cuda.partition(".")[0]) > driver[0]:
        fix = f"update NVIDIA's driver, or install a torch that was built for CUDA {driver[0]}"
        yield Finding("torch", "warn", f"{found}, which this driver does not run", fix)
    else:
        yield Finding("torch", "ok", found)


def package_lines() -> Iterable[Finding]:
    """What our own metadata asks for: the dependencies must be there, and extras must fit where they are."""
    from packaging.requirements import Requirement

    good, bad = {}, {}
    for one in map(Requirement, importlib.metadata.requires("bmfgraph") or ()):
        needed = one.marker is None or one.marker.evaluate({"extra": ""})
        optional = one.marker is not None and any(one.marker.evaluate({"extra": extra}) for extra in _EXTRAS)
        version = version_of(one.name)
        if not needed and not (optional and version):
            continue
        if version and one.specifier.contains(version, prereleases=True):
            good[one.name] = version
        else:
            # By what mends it: several extras ask for the same.
            bad[f"pip install '{one.name}{one.specifier}'"] = (
                f"{one.name} {version or 'is not installed'}; bmfgraph needs {one.specifier}"
            )
    for fix, found in bad.items():
        yield Finding("packages", "fail", found, fix)
    yield Finding("packages", "ok", ", ".join(f"{name} {version}" for name, version in good.items()))


def conflict_lines(machine: Machine) -> Iterable[Finding]:
    """Distributions that write over each other, or that this machine has no use for."""
    found = []
    states: dict[tuple[str, str], State] = {_BMF: "fail", _ORT: "warn"}
    for pair, state in states.items():
        if all(map(version_of, pair)):
            fix = f"pip uninstall -y {' '.join(pair)} && pip install {pair[machine.gpu is not None]}"
            found.append(Finding("conflicts", state, f"{pair[0]} beside {pair[1]}: they write over each other", fix))
    if version_of(_BMF[1]) and not cuda_of_driver():
        fix = f"pip uninstall -y {_BMF[1]} && pip install {_BMF[0]}, or install NVIDIA's driver"
        found.append(Finding("conflicts", "fail", f"{_BMF[1]} without NVIDIA's driver, which it links to", fix))
    return found or [Finding("conflicts", "ok", "none")]


def kind_lines(answer: Answer) -> Iterable[Finding]:
    from bmfgraph.nodes.registry import GROUP

    broken: dict[str, str] = answer.get("broken", {})
    if "error" in answer:
        broken[answer.get("kind", "")] = f"loading kind {answer.get('kind')!r}: {answer['error']}"
    for kind, why in broken.items():
        points = importlib.metadata.entry_points(group=GROUP, name=kind)
        packs = sorted({point.dist.name for point in points if point.dist} - {"bmfgraph"})
        yield Finding("node kinds", "fail", why, f"pip uninstall {packs[0] if packs else 'bmfgraph'}")
    if not broken:
        yield Finding("node kinds", "ok", ", ".join(answer["kinds"]))
