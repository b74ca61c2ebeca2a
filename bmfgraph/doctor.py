"""`python -m bmfgraph doctor`: what this machine can run, and the command that mends what it cannot.

BMF, ONNX Runtime and the node packs are imported in processes of their own, where a crash or a hang is no more than an
answer. Each probe imports what it needs itself, so that a broken library spoils that probe only.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.metadata
import importlib.util
import io
import json
import os
import platform
import resource
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from bmfgraph.errors import did_you_mean
from bmfgraph.machine import Machine, find_machine
from bmfgraph.sources import cache_folder, say

__all__ = ["SCHEMA", "Line", "doctor_command", "examine"]

SCHEMA = 1
"""Of the JSON form; raised when a reader of the old form would misread the new one."""
State = Literal["ok", "warn", "fail"]
Answer = dict[str, Any]
_HELP = """\
python -m bmfgraph doctor [--json]

One line for each thing that pipelines need: ok, warn or fail, what was found, and below it how to mend it.

examples
  python -m bmfgraph doctor
  python -m bmfgraph doctor | grep -A1 -E '^(warn|fail)'
  python -m bmfgraph doctor --json > machine.json        # for programs; holds what plans are compiled for, too

exit codes: 0 nothing is broken, 1 a line says fail, 2 wrong words
"""
_COLORS: dict[State, int] = {"ok": 32, "warn": 33, "fail": 31}
_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from bmfgraph import doctor; doctor.tell(sys.argv[2])"
)
_GIB = 1 << 30
_CHECKED = _GIB // 2
"""Bytes of engines that are compared with their checksums: more takes seconds."""
_GLIBC = (2, 28)
"""What the wheels of BMF and torch ask for."""
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


@dataclass(frozen=True)
class Line:
    """What was found out about one thing, and how to mend it: empty where it is ok."""

    name: str
    state: State
    found: str
    mend: str = ""


def doctor_command(words: Sequence[str]) -> int:
    """Do what the words after ``doctor`` say; returns the exit code."""
    if {"-h", "--help"} & set(words):
        print(_HELP, end="")
        return 0
    if unknown := [word for word in words if word != "--json"]:
        near = did_you_mean(unknown[0], ["--json", "--help"])
        say(f"error: unknown word {unknown[0]!r}{near}\n  → python -m bmfgraph doctor --help")
        return 2
    lines = examine()
    if words:
        told = {"schema": SCHEMA, "lines": [asdict(line) for line in lines], "machine": asdict(_machine())}
        print(json.dumps(told, indent=2))
    else:
        _print(lines)
    return int(any(line.state == "fail" for line in lines))


def examine(*, limit: float = 30.0) -> list[Line]:
    """Look at this machine; raises nothing. ``limit``: seconds after which an import is given up."""
    with ThreadPoolExecutor(len(_QUESTIONS)) as pool:
        asked = {what: pool.submit(_ask, what, limit) for what in _QUESTIONS}
        machine = _machine()
        temporary = Path(os.environ.get("TMPDIR") or "/tmp")
        probes: dict[str, Callable[[], Iterable[Line]]] = {
            "Python": lambda: [_python(sys.version_info[:3], f"{platform.system()} {platform.machine()}", _glibc())],
            "CPU": _cpu,
            "disk": lambda: [_folder("disk", Path.cwd(), "write elsewhere: output=/other/folder/clip.mp4")],
            "temporary files": lambda: [_folder("temporary files", temporary, "export TMPDIR=/other/folder")],
            "BMF": lambda: [_bmf(asked["bmf"].result())],
            "FFmpeg": lambda: [_ffmpeg(asked["bmf"].result())],
            "GPU": lambda: [_gpu(machine)],
            "TensorRT": lambda: [_tensorrt(machine)],
            "TensorRT-RTX": lambda: [_rtx(machine)],
            "PyNvVideoCodec": lambda: [_pynvvideocodec(machine)],
            "ONNX Runtime": lambda: [_onnxruntime(asked["onnxruntime"].result(), machine)],
            "torch": lambda: _torch(machine, _cuda_of_driver()),
            "packages": _packages,
            "conflicts": lambda: _conflicts(machine),
            "node kinds": lambda: _kinds(asked["kinds"].result()),
            "engine store": lambda: _store(Path("engines")),
            "cache": lambda: [_folder("cache", cache_folder(), "export BMFGRAPH_CACHE=/other/folder")],
        }
        return [line for name, probe in probes.items() for line in _guarded(name, probe)]


def _guarded(name: str, probe: Callable[[], Iterable[Line]]) -> list[Line]:
    """The lines of a probe; one that raises is a line, too."""
    try:
        return list(probe())
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name
        mend = f"pip install {missing}" if missing else "pip install --force-reinstall bmfgraph, or report this line"
        return [Line(name, "fail", f"cannot be looked at: {_told(error)}", mend)]


def _print(lines: Sequence[Line]) -> None:
    """Aligned lines, each mending command on a line of its own; the states in colours on a terminal."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # An arrow, or a path, that the terminal's encoding lacks.
    colored = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    width = max(len(line.name) for line in lines)
    for line in lines:
        state = f"\x1b[{_COLORS[line.state]}m{line.state:<4}\x1b[0m" if colored else f"{line.state:<4}"
        print(f"{state}  {line.name:<{width}}  {line.found}" + (f"\n      → {line.mend}" if line.mend else ""))
    warnings, failures = (sum(line.state == state for line in lines) for state in ("warn", "fail"))
    told = [
        f"{count} {word}{'s' * (count > 1)}" for count, word in ((failures, "failure"), (warnings, "warning")) if count
    ]
    print("\n" + ", ".join(told if failures else [*told, "nothing is broken"]))


def _told(error: BaseException) -> str:
    return str(getattr(error, "message", "")) or f"{type(error).__name__}: {error}"


# ------------------------------------------------------------------------------------------- processes of their own


def tell(what: str) -> None:
    """In a process of its own: answer a question as JSON, one object a line, and end the process."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What libraries print goes where errors go.
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)
        last: Answer = {"ended": True}
        try:
            for found in _QUESTIONS[what]():
                print(json.dumps(found), file=out, flush=True)
        except BaseException as error:
            last |= {"error": _told(error), "hint": getattr(error, "hint", "")}
        print(json.dumps(last), file=out)
    # At once: native libraries may crash once more on the way out.
    os._exit(0)


def _ask(what: str, limit: float) -> Answer:
    """What such a process answers, with ``error`` where it raised, crashed, or took more than ``limit`` seconds."""
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, json.dumps(sys.path), what],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=limit)
            code = process.returncode
            end = f"killed Python ({signal.Signals(-code).name})" if code < 0 else f"ended Python with exit code {code}"
            if code > 0 and err.strip():
                end += f": {err.strip().splitlines()[-1]}"
        except subprocess.TimeoutExpired:
            # Its children, too: they would hold the pipes open.
            os.killpg(process.pid, signal.SIGKILL)
            out, end = process.communicate()[0], f"did not end within {limit:g} s"
    answer: Answer = {}
    for line in out.splitlines(keepends=True):
        if line.startswith("{") and line.endswith("\n"):
            answer |= json.loads(line)
    return answer if "ended" in answer else answer | {"error": end}


def _ask_bmf() -> Iterator[Answer]:
    from bmfgraph import ffmpeg4

    yield {"ffmpeg": ffmpeg4.prepare()}
    # Another folder of that name could be imported, but has no engine.
    importlib.import_module("bmf.lib._bmf")
    yield {"bmf": True}
    from bmfgraph.nodes.encoder import CODECS

    version = ctypes.CDLL("libavutil.so.56").av_version_info
    version.restype = ctypes.c_char_p
    encoders = [codec for codec, encoder in CODECS.items() if ffmpeg4.has_encoder(encoder)]
    missing = [codec for codec in CODECS if codec not in encoders]
    hwaccel = ffmpeg4.has_hwaccel("cuda")
    yield {"version": version().decode(), "encoders": encoders, "missing": missing, "hwaccel": hwaccel}


def _ask_onnxruntime() -> Iterator[Answer]:
    module = importlib.import_module("onnxruntime")
    yield {"version": module.__version__, "providers": module.get_available_providers()}


def _ask_kinds() -> Iterator[Answer]:
    from bmfgraph.registry import RegistryError, kinds, spec_class

    broken: dict[str, str] = {}
    for kind in kinds():
        yield {"kind": kind, "broken": broken}
        try:
            spec_class(kind)
        except RegistryError as error:
            broken[kind] = str(error)
    yield {"kinds": kinds(), "broken": broken}


_QUESTIONS: dict[str, Callable[[], Iterator[Answer]]] = {
    "bmf": _ask_bmf,
    "onnxruntime": _ask_onnxruntime,
    "kinds": _ask_kinds,
}


# ---------------------------------------------------------------------------------------------------------- the lines


def _python(version: tuple[int, ...], system: str, glibc: str) -> Line:
    """``system`` as in ``Linux x86_64``; ``glibc``: its version, empty where there is none."""
    found = f"{'.'.join(map(str, version))}, {system}, {f'glibc {glibc}' if glibc else 'no glibc'}"
    if system != "Linux x86_64":
        return Line("Python", "fail", found, "use Linux on x86-64: BMF has wheels for nothing else")
    if not glibc or tuple(map(int, glibc.split(".")[:2])) < _GLIBC:
        return Line("Python", "fail", found, "use a system with glibc 2.28 or later, such as Debian 12 or Ubuntu 22.04")
    if not (3, 10) <= version[:2] <= (3, 12):
        mend = "python3.12 -m venv .venv && .venv/bin/pip install 'bmfgraph[cpu]'"
        return Line("Python", "fail", f"{found}; bmfgraph runs in Python 3.10 to 3.12", mend)
    return Line("Python", "ok", found)


def _glibc() -> str:
    library, version = platform.libc_ver()
    return version if library == "glibc" else ""


def _cpu() -> Iterable[Line]:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):
        # A container's limit; the word "max" where it has none.
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    found = f"{len(os.sched_getaffinity(0))} core(s), {memory / _GIB:.1f} GiB of memory"
    if memory < 2 * _GIB:
        yield Line("CPU", "warn", f"{found}: little for large pictures", "give the machine or container more memory")
    else:
        yield Line("CPU", "ok", found)


def _folder(name: str, folder: Path, mend: str) -> Line:
    """Whether files can be made in a folder, or in the nearest one above it that exists, and what space is left."""
    try:
        there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
        with tempfile.TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        return Line(name, "warn", f"{folder} cannot be written ({error.strerror})", mend)
    found = f"{folder}, {free / _GIB:.1f} GiB free"
    return Line(name, "warn", found, f"free some space, or {mend}") if free < _GIB else Line(name, "ok", found)


def _bmf(answer: Answer) -> Line:
    wheels = [name for name in _BMF if _version(name)]
    found = " and ".join(f"{name} {_version(name)}" for name in wheels) or "of no wheel"
    spec = importlib.util.find_spec("bmf")
    if spec is None:
        return Line(
            "BMF", "fail", "not installed", "pip install 'bmfgraph[cpu]', or 'bmfgraph[gpu]' with an NVIDIA GPU"
        )
    if "bmf" in answer:
        return Line("BMF", "ok", f"{found}, import bmf works")
    error, wheel = answer["error"], wheels[0] if wheels else _BMF[0]
    mend = answer.get("hint") or next((mend for part, mend in _BMF_MENDING.items() if part in error), "")
    mend = mend or f"pip install --force-reinstall --no-deps {wheel}"
    if wheels and spec.origin:
        site = Path(str(importlib.metadata.distribution(wheel).locate_file(""))).resolve()
        if site not in Path(spec.origin).resolve().parents:
            mend = f"rename or move {Path(spec.origin).parent}, which hides the package of {wheel}"
    return Line("BMF", "fail", f"{found}; import bmf: {error}", mend)


def _ffmpeg(answer: Answer) -> Line:
    if "ffmpeg" not in answer:
        return Line("FFmpeg", "fail", answer["error"], answer.get("hint") or _FFMPEG_MENDING["decord"])
    whose, mend = answer["ffmpeg"], _FFMPEG_MENDING[answer["ffmpeg"]]
    if "version" not in answer:
        return Line("FFmpeg", "warn", f"from {whose}; it cannot be asked without BMF: {answer['error']}", "mend BMF")
    encoders, missing = answer["encoders"], answer["missing"]
    found = f"{answer['version']} from {whose}; encoders: {', '.join(encoders)}"
    found += f" (not {', '.join(missing)})" if missing else ""
    found += f"; {'' if answer['hwaccel'] else 'no '}hwaccel cuda"
    # What else may be missing has a stand-in: x264 or vp9 for x265, x264 for nvenc and mpeg4, nvdec for hwaccel.
    if "x264" in missing:
        return Line("FFmpeg", "fail", f"{found}; nothing writes H.264", mend)
    if "vp9" in missing:
        return Line("FFmpeg", "warn", f"{found}; nothing writes WebM", mend)
    return Line("FFmpeg", "ok", found)


def _gpu(machine: Machine) -> Line:
    cuda = _cuda_of_driver()
    if machine.gpu is None:
        mend = "see what nvidia-smi and CUDA_VISIBLE_DEVICES say" if cuda else "install NVIDIA's driver"
        mend = f"where there is a GPU: {mend}; in a container: docker run --gpus all"
        return Line("GPU", "warn", f"{machine.no_gpu}: the CPU does all the work", mend)
    driver = f"driver {_driver() or 'unknown'}, CUDA up to {'.'.join(map(str, cuda))}"
    return Line("GPU", "ok", f"{machine.gpu}, {machine.gpu.memory / _GIB:.0f} GiB, {driver}")


def _cuda_of_driver() -> tuple[int, ...]:
    """The newest CUDA that the driver runs, such as (13, 0); empty without a driver."""
    version = ctypes.c_int()
    with contextlib.suppress(OSError):
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    return (version.value // 1000, version.value % 1000 // 10) if version.value else ()


def _driver() -> str:
    """The driver's own version, such as 580.95.05; empty where it does not say."""
    version = ctypes.create_string_buffer(96)
    with contextlib.suppress(OSError):
        management = ctypes.CDLL("libnvidia-ml.so.1")
        if management.nvmlInit_v2() == 0:
            management.nvmlSystemGetDriverVersion(version, len(version))
            management.nvmlShutdown()
    return version.value.decode()


def _tensorrt(machine: Machine) -> Line:
    found = ", ".join(
        f"{one.module} {one.version} {'builds and runs' if one.builds else 'only runs'} engines"
        for one in machine.libraries
        if one.flavour == "tensorrt"
    )
    if machine.gpu is None:
        return Line("TensorRT", "ok", f"{found or 'not installed'}; it is of use with a GPU only")
    if machine.library("tensorrt", builds=True):
        return Line("TensorRT", "ok", found)
    if machine.library("tensorrt_rtx") and _runs_rtx(machine):
        return Line("TensorRT", "ok", f"{found or 'not installed'}; TensorRT-RTX does its work")
    return Line(
        "TensorRT", "warn", f"{found or 'not installed'}; nothing builds engines for this GPU", "pip install tensorrt"
    )


def _rtx(machine: Machine) -> Line:
    library = machine.library("tensorrt_rtx")
    if library is None:
        return Line("TensorRT-RTX", "ok", "not installed; it is optional")
    from bmfgraph.compile.choose import RTX_CAPABILITIES

    found = f"{library.module} {library.version} builds engines"
    if _runs_rtx(machine):
        return Line("TensorRT-RTX", "ok", f"{found} and runs them on this GPU")
    found += f", which run on GPUs of compute capability {', '.join(RTX_CAPABILITIES)}"
    if machine.gpu is None:
        return Line("TensorRT-RTX", "ok", found)
    found += f", not on this one of {machine.gpu.compute_capability}"
    if machine.library("tensorrt", builds=True):
        return Line("TensorRT-RTX", "ok", f"{found}; TensorRT does its work")
    return Line("TensorRT-RTX", "warn", found, "pip install tensorrt")


def _runs_rtx(machine: Machine) -> bool:
    from bmfgraph.compile.choose import RTX_CAPABILITIES

    return machine.gpu is not None and machine.gpu.compute_capability in RTX_CAPABILITIES


def _pynvvideocodec(machine: Machine) -> Line:
    if version := _version("PyNvVideoCodec"):
        return Line("PyNvVideoCodec", "ok", version)
    if machine.gpu is None:
        return Line("PyNvVideoCodec", "ok", "not installed; it is of use with a GPU only")
    return Line("PyNvVideoCodec", "warn", "not installed; decoder=nvdec needs it", "pip install PyNvVideoCodec")


def _onnxruntime(answer: Answer, machine: Machine) -> Line:
    if "version" in answer:
        return Line("ONNX Runtime", "ok", f"{answer['version']}: {', '.join(answer['providers'])}")
    if importlib.util.find_spec("onnxruntime") is not None:
        wheel = next((name for name in reversed(_ORT) if _version(name)), _ORT[0])
        mend = f"pip install --force-reinstall --no-deps {wheel}"
        return Line("ONNX Runtime", "fail", f"import onnxruntime: {answer['error']}", mend)
    state: State = "warn" if machine.gpu and machine.library("tensorrt", builds=True) else "fail"
    return Line("ONNX Runtime", state, "not installed; it runs models on the CPU", "pip install onnxruntime")


def _torch(machine: Machine, driver: tuple[int, ...]) -> Iterable[Line]:
    """``driver``: the newest CUDA that it runs."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return  # The packages say that it is missing.
    # A file of a few lines; importing torch takes seconds.
    facts = runpy.run_path(str(Path(spec.origin).with_name("version.py")))
    version, cuda = str(facts["__version__"]), facts.get("cuda")
    found = f"{version}, built for {f'CUDA {cuda}' if cuda else 'the CPU'}"
    if machine.gpu and not cuda:
        mend = f"pip uninstall -y torch && pip install torch=={version.partition('+')[0]}"
        yield Line("torch", "warn", f"{found}, beside {machine.gpu.name}", mend)
    elif machine.gpu and cuda and driver and int(cuda.partition(".")[0]) > driver[0]:
        mend = f"update NVIDIA's driver, or install a torch that was built for CUDA {driver[0]}"
        yield Line("torch", "warn", f"{found}, which this driver does not run", mend)
    else:
        yield Line("torch", "ok", found)


def _packages() -> Iterable[Line]:
    """What our own metadata asks for: the dependencies must be there, and extras must fit where they are."""
    from packaging.requirements import Requirement

    good, bad = {}, {}
    for one in map(Requirement, importlib.metadata.requires("bmfgraph") or ()):
        needed = one.marker is None or one.marker.evaluate({"extra": ""})
        optional = one.marker is not None and any(one.marker.evaluate({"extra": extra}) for extra in _EXTRAS)
        version = _version(one.name)
        if not needed and not (optional and version):
            continue
        if version and one.specifier.contains(version, prereleases=True):
            good[one.name] = version
        else:
            # By what mends it: several extras ask for the same.
            bad[f"pip install '{one.name}{one.specifier}'"] = (
                f"{one.name} {version or 'is not installed'}; bmfgraph needs {one.specifier}"
            )
    for mend, found in bad.items():
        yield Line("packages", "fail", found, mend)
    yield Line("packages", "ok", ", ".join(f"{name} {version}" for name, version in good.items()))


def _conflicts(machine: Machine) -> Iterable[Line]:
    """Distributions that write over each other, or that this machine has no use for."""
    found = []
    states: dict[tuple[str, str], State] = {_BMF: "fail", _ORT: "warn"}
    for pair, state in states.items():
        if all(map(_version, pair)):
            mend = f"pip uninstall -y {' '.join(pair)} && pip install {pair[machine.gpu is not None]}"
            found.append(Line("conflicts", state, f"{pair[0]} beside {pair[1]}: they write over each other", mend))
    if _version(_BMF[1]) and not _cuda_of_driver():
        mend = f"pip uninstall -y {_BMF[1]} && pip install {_BMF[0]}, or install NVIDIA's driver"
        found.append(Line("conflicts", "fail", f"{_BMF[1]} without NVIDIA's driver, which it links to", mend))
    return found or [Line("conflicts", "ok", "none")]


def _kinds(answer: Answer) -> Iterable[Line]:
    from bmfgraph.registry import GROUP

    broken: dict[str, str] = answer.get("broken", {})
    if "error" in answer:
        broken[answer.get("kind", "")] = f"loading kind {answer.get('kind')!r}: {answer['error']}"
    for kind, why in broken.items():
        points = importlib.metadata.entry_points(group=GROUP, name=kind)
        packs = sorted({point.dist.name for point in points if point.dist} - {"bmfgraph"})
        yield Line("node kinds", "fail", why, f"pip uninstall {packs[0] if packs else 'bmfgraph'}")
    if not broken:
        yield Line("node kinds", "ok", ", ".join(answer["kinds"]))


def _store(root: Path) -> Iterable[Line]:
    from bmfgraph.engines.store import EngineStore, StoreError

    folder = _folder("engine store", root, "name another: engine.store=/other/folder")
    try:
        entries = EngineStore(root).entries()
    except StoreError as error:
        return [Line("engine store", "fail", str(error), "name another: engine.store=/other/folder")]
    left, damaged = _CHECKED, 0
    for entry in entries:
        left -= entry.size
        damaged += bool(entry.damage() if left >= 0 else entry.fault)
    found = f"{folder.found}; {len(entries)} engine(s), {damaged} damaged"
    found += "; python -m bmfgraph engines verify looks at all their bytes" if left < 0 else ""
    if damaged:
        return [Line("engine store", "warn", found, "python -m bmfgraph engines prune; the next run builds them anew")]
    return [Line("engine store", folder.state, found, folder.mend)]


def _machine() -> Machine:
    try:
        return find_machine()
    except Exception as error:
        return Machine(no_gpu=f"looking for a GPU and TensorRT failed ({_told(error)})")


def _version(distribution: str) -> str:
    """Of an installed distribution; empty where there is none."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
