"""Test `python -m bmfgraph doctor` on this machine, and with packages that crash, hang or conflict."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bmfgraph.cli.main import main
from bmfgraph.doctor import Finding, doctor_command, examine, packages, system
from bmfgraph.doctor.finding import version_of
from bmfgraph.engines.manifest import ENGINE, BuildResult
from bmfgraph.engines.store import EngineStore
from bmfgraph.plan.plan import json_ready
from bmfgraph.system.machine import Gpu, Library, Machine, find_gpu, find_machine
from tests.engines.engine_tools import key

Lines = dict[str, list[Finding]]
NAMES = [
    *("Python", "CPU", "disk", "temporary files", "BMF", "FFmpeg 4", "FFmpeg", "GPU", "TensorRT", "TensorRT-RTX"),
    *(
        "PyNvVideoCodec",
        "ONNX Runtime",
        "OpenVINO",
        "torch",
        "packages",
        "conflicts",
        "node kinds",
        "engine store",
        "cache",
    ),
]
COMMAND = [sys.executable, "-m", "bmfgraph", "doctor"]
FUNCTION = [
    *(sys.executable, "-c"),
    "import sys; from bmfgraph.doctor import doctor_command; sys.exit(doctor_command(as_json='--json' in sys.argv))",
]
"""The same without the rest of the command line, which does not even start beside some broken packages."""
ABORT = "import os\nos.abort()\n"
H200, L4 = Gpu("NVIDIA H200", "9.0", 150_000_000_000), Gpu("NVIDIA L4", "8.9", 24_000_000_000)
FULL, LEAN = (Library("tensorrt", f"tensorrt{kind}", "10.16.1", not kind) for kind in ("", "_lean"))
RTX = Library("tensorrt_rtx", "tensorrt_rtx", "1.7.1", True)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder whose packages and distributions stand before all others: ``look`` puts it on PYTHONPATH."""
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


@pytest.fixture
def look(site: Path, tmp_path: Path) -> Callable[..., Lines]:
    """Runs the command in a process; its lines by name, after checking the exit code and that all are there."""

    def run(*, code: int, command: Sequence[str] = COMMAND, **environment: str) -> Lines:
        done = execute("--json", folder=tmp_path, command=command, PYTHONPATH=str(site), **environment)
        assert (done.returncode, done.stderr) == (code, "")
        found: Lines = {}
        for line in json.loads(done.stdout)["lines"]:
            found.setdefault(line["name"], []).append(Finding(line["name"], line["state"], line["found"], line["mend"]))
        assert list(found) == NAMES
        return found

    return run


def execute(
    *words: str, folder: Path, command: Sequence[str] = COMMAND, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *words],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def package(site: Path, name: str, text: str) -> None:
    """A package whose import does what the text says."""
    (site / name).mkdir(parents=True)
    (site / name / "__init__.py").write_text(text)


def distribution(site: Path, name: str, version: str = "1.0", kinds: dict[str, str] | None = None) -> None:
    """A distribution's metadata, as pip leaves it, with node kinds."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    entries = [f"{kind} = {value}\n" for kind, value in (kinds or {}).items()]
    (folder / "entry_points.txt").write_text("[bmfgraph.nodes]\n" + "".join(entries))


# -------------------------------------------------------------------------------------------------- the whole command


def test_this_machine_runs_pipelines(look: Callable[..., Lines]) -> None:
    found = look(code=0)
    for name in ("Python", "BMF", "FFmpeg 4", "FFmpeg", "ONNX Runtime", "packages", "conflicts", "node kinds"):
        assert [line.state for line in found[name]] == ["ok"], found[name]
    assert "import bmf works" in found["BMF"][0].found
    assert "x264" in found["FFmpeg"][0].found
    assert "CPUExecutionProvider" in found["ONNX Runtime"][0].found
    assert "hydra-core 1.3." in found["packages"][0].found
    assert "decoder, detections, embed, encoder" in found["node kinds"][0].found
    assert found["GPU"][0].state == ("ok" if find_gpu()[0] else "warn")
    for lines in found.values():
        assert all(bool(line.fix) == (line.state != "ok") for line in lines)


@pytest.mark.wide
def test_the_json_has_the_machine_that_plans_are_made_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor_command(as_json=True) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report) == {"schema", "lines", "machine"}
    assert report["schema"] == 1
    assert report["machine"] == json_ready(find_machine())
    assert set(report["lines"][0]) == {"name", "state", "found", "mend"}


def test_the_text(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMFGRAPH_CACHE", "/proc/cache")
    assert doctor_command() == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "\x1b" not in out
    lines = out.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("warn  cache"))
    assert lines[place].split(maxsplit=2)[2].startswith("/proc/cache cannot be written (")
    assert lines[place + 1] == "      → export BMFGRAPH_CACHE=/other/folder"
    count = sum(line.startswith("warn") for line in lines)
    assert lines[-2:] == ["", f"{count} warning{'s' * (count > 1)}, nothing is broken"]
    assert max(map(len, lines)) > 200, "a pipe has no width to keep to"


def test_the_parent_imports_nothing_that_could_harm_it(tmp_path: Path) -> None:
    script = "import sys\nfrom bmfgraph.doctor import examine\nexamine()\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "bmfgraph.system.machine" in done.stdout.split()
    assert not {"torch", "bmf", "onnxruntime", "tensorrt", "hydra"} & set(done.stdout.split())


@pytest.mark.sample(1)
@pytest.mark.parametrize("plain", [False, True])
def test_colours_on_a_terminal(tmp_path: Path, plain: bool) -> None:
    terminal, end = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    environment |= {"NO_COLOR": "1"} if plain else {}
    with subprocess.Popen(COMMAND, cwd=tmp_path, env=environment, stdin=end, stdout=end, stderr=end):
        os.close(end)
        out = b""
        while b"nothing is broken" not in out:
            out += os.read(terminal, 4096)
    os.close(terminal)
    assert (b"\x1b[32mok" in out) != plain
    assert (b"\x1b" in out) != plain


@pytest.mark.wide
def test_a_terminal_that_knows_no_arrows(tmp_path: Path) -> None:
    done = execute(folder=tmp_path, PYTHONIOENCODING="ascii", BMFGRAPH_CACHE="/proc/größe")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\n      ? export BMFGRAPH_CACHE=/other/folder\n" in done.stdout


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--help"], ["--jsno", "-h"]):
        with pytest.raises(SystemExit) as end:
            main(["doctor", *words])
        assert end.value.code == 0
    out = capsys.readouterr().out
    assert "examples\n  python -m bmfgraph doctor\n" in out
    assert "exit codes: 0 nothing is broken, 1 a line has fail, 2 wrong arguments" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--jsn"], "doctor takes no flag '--jsn' (did you mean '--json'?)"),
        (["--json", "help"], "unknown argument 'help' (did you mean '--help'?)"),
        (["pipeline=super_resolution"], "unknown argument 'pipeline=super_resolution'"),
    ],
)
def test_wrong_words(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["doctor", *words])
    assert end.value.code == 2
    assert capsys.readouterr().err == (f"bmfgraph: error[E114]: {message}\n  → python -m bmfgraph doctor --help\n")


# ------------------------------------------------------------------------------------------------ what may go wrong


def test_a_bmf_that_crashes_is_a_line(look: Callable[..., Lines], site: Path) -> None:
    package(site, "bmf", ABORT)
    found = look(code=1)
    [bmf] = found["BMF"]
    assert bmf.state == "fail"
    assert bmf.found.endswith("; import bmf: killed Python (SIGABRT)")
    assert bmf.fix == f"rename or move {site / 'bmf'}, which hides the package of {bmf.found.split()[0]}"
    [ffmpeg] = found["FFmpeg 4"]
    assert ffmpeg.state == "warn"
    assert ffmpeg.fix == "fix BMF"
    assert found["FFmpeg"][0].state == "ok"
    assert found["ONNX Runtime"][0].state == "ok"


@pytest.mark.wide
def test_failures_are_counted(tmp_path: Path, site: Path) -> None:
    package(site, "bmf", "print('noise')\nraise SystemExit('no more')")
    done = execute(folder=tmp_path, PYTHONPATH=str(site), BMFGRAPH_CACHE="/proc/cache")
    assert (done.returncode, done.stderr) == (1, "")
    assert "import bmf: SystemExit: no more\n      → rename or move " in done.stdout
    lines = done.stdout.splitlines()
    states = [line[:4] for line in lines]
    # BMF fails; FFmpeg and the cache, at least, warn.
    assert states.count("fail") == 1
    assert states.count("warn") >= 2
    assert lines[-1] == f"1 failure, {states.count('warn')} warnings"


@pytest.mark.wide
def test_a_bmf_that_hangs_is_given_up(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(site, "bmf", "import subprocess, time\nsubprocess.Popen(['sleep', '100'])\ntime.sleep(100)")
    monkeypatch.syspath_prepend(str(site))
    began = time.monotonic()
    bmf = next(line for line in examine(limit=3) if line.name == "BMF")
    assert time.monotonic() - began < 30
    assert bmf.state == "fail"
    assert bmf.found.endswith("; import bmf: did not end within 3 s")


def test_ctrl_c_kills_the_child_processes(site: Path, tmp_path: Path) -> None:
    package(
        site, "bmf", f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(100)"
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    with subprocess.Popen(FUNCTION, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as process:
        began = time.monotonic()
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert time.monotonic() - began < 30
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) != 0
    # The parent may exit before the killed child is reaped, so the child may remain as a zombie for a moment.
    while running(int((tmp_path / "pid").read_text())):
        assert time.monotonic() - began < 30
        time.sleep(0.05)


def running(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.wide
def test_a_folder_named_bmf_is_not_bmf(look: Callable[..., Lines], site: Path) -> None:
    package(site, "bmf", "")
    [bmf] = look(code=1)["BMF"]
    assert "; import bmf: ModuleNotFoundError: No module named 'bmf.lib'" in bmf.found
    assert bmf.fix.startswith(f"rename or move {site / 'bmf'}")


@pytest.mark.wide
def test_an_onnxruntime_that_fails_and_a_probe_that_fails(look: Callable[..., Lines], site: Path) -> None:
    package(site, "onnxruntime", "raise ImportError('libsomething.so: no such file')")
    package(site, "packaging", "raise RuntimeError('half an update')")
    found = look(code=1, command=FUNCTION)
    assert found["ONNX Runtime"] == [
        Finding(
            "ONNX Runtime",
            "fail",
            "import onnxruntime: ImportError: libsomething.so: no such file",
            "pip install --force-reinstall --no-deps onnxruntime",
        )
    ]
    [packages] = found["packages"]
    assert packages.state == "fail"
    assert packages.found == "cannot be examined: RuntimeError: half an update"


def test_a_missing_library_is_named(look: Callable[..., Lines], site: Path) -> None:
    package(site, "packaging", "import a_library_that_is_not_there")
    assert look(code=1, command=FUNCTION)["packages"] == [
        Finding(
            "packages",
            "fail",
            "cannot be examined: ModuleNotFoundError: No module named 'a_library_that_is_not_there'",
            "pip install a_library_that_is_not_there",
        )
    ]


@pytest.mark.wide
def test_packages_out_of_range(look: Callable[..., Lines], site: Path) -> None:
    for name, version in (("omegaconf", "2.4.0.dev3"), ("pydantic", "1.10.2"), ("decord", "0.5"), ("pytest", "7.0")):
        distribution(site, name, version)
    *wrong, good = look(code=1)["packages"]
    assert [(line.state, line.found, line.fix) for line in wrong] == [
        ("fail", "omegaconf 2.4.0.dev3; bmfgraph needs <2.4,>=2.3", "pip install 'omegaconf<2.4,>=2.3'"),
        ("fail", "pydantic 1.10.2; bmfgraph needs <3,>=2.7", "pip install 'pydantic<3,>=2.7'"),
        # Of an extra; tools for tests are no concern of a user's.
        ("fail", "decord 0.5; bmfgraph needs ==0.6.0", "pip install 'decord==0.6.0'"),
    ]
    assert good.state == "ok"
    assert "omegaconf" not in good.found


@pytest.mark.wide
def test_packages_that_write_over_each_other(look: Callable[..., Lines], site: Path) -> None:
    package(site, "bmf", "")  # Else FFmpeg's libraries would be linked beside the real one.
    for name in ("BabitMF", "BabitMF-GPU", "onnxruntime", "onnxruntime-gpu"):
        distribution(site, name, "2.0")
    keep = "-gpu" if find_gpu()[0] else ""
    found = look(code=1)["conflicts"]
    assert found[:2] == [
        Finding(
            "conflicts",
            "fail",
            "both babitmf and babitmf-gpu are installed: they overwrite each other",
            f"pip uninstall -y babitmf babitmf-gpu && pip install babitmf{keep}",
        ),
        Finding(
            "conflicts",
            "warn",
            "both onnxruntime and onnxruntime-gpu are installed: they overwrite each other",
            f"pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime{keep}",
        ),
    ]


@pytest.mark.wide
@pytest.mark.skipif(bool(system.cuda_of_driver()), reason="NVIDIA's driver is here")
def test_bmf_for_gpus_without_a_driver(look: Callable[..., Lines], site: Path) -> None:
    package(site, "bmf", "")
    distribution(site, "BabitMF-GPU", "0.2.0")
    assert look(code=1)["conflicts"][-1] == Finding(
        "conflicts",
        "fail",
        "babitmf-gpu needs NVIDIA's driver, which is not installed",
        "pip uninstall -y babitmf-gpu && pip install babitmf, or install NVIDIA's driver",
    )


@pytest.mark.wide
def test_broken_node_packs(look: Callable[..., Lines], site: Path, nodepack: Path) -> None:
    distribution(site, "other-pack", kinds={"invert": "other:InvertSpec", "encoder": "other:EncoderSpec"})
    environment = {"PYTHONPATH": f"{site}{os.pathsep}{nodepack}"}
    done = execute("--json", folder=site, **environment)
    assert done.returncode == 1
    found = [line for line in json.loads(done.stdout)["lines"] if line["name"] == "node kinds"]
    by_kind = {line["found"].split("'")[1]: line for line in found}
    assert list(by_kind) == ["broken", "encoder", "invert", "no_node"]
    assert "No module named 'a_library_that_is_not_installed'" in by_kind["broken"]["found"]
    assert "is defined twice, by " in by_kind["encoder"]["found"]
    assert {kind: line["mend"] for kind, line in by_kind.items()} == {
        "broken": "pip uninstall bmfgraph-nodepack",
        "encoder": "pip uninstall other-pack",
        "invert": "pip uninstall bmfgraph-nodepack",
        "no_node": "pip uninstall bmfgraph-nodepack",
    }


@pytest.mark.wide
def test_a_node_pack_that_crashes(look: Callable[..., Lines], site: Path) -> None:
    package(site, "rude", ABORT)
    distribution(site, "rude-pack", kinds={"rude": "rude:RudeSpec"})
    found = look(code=1)
    assert found["node kinds"] == [
        Finding("node kinds", "fail", "loading kind 'rude': killed Python (SIGABRT)", "pip uninstall rude-pack")
    ]
    assert found["BMF"][0].state == "ok"


# ------------------------------------------------------------------------------------------------ folders and engines


def test_a_disk_with_no_room(small_disk: Path) -> None:
    line = system.folder_finding("disk", small_disk / "not" / "there", "write elsewhere")
    assert line == Finding(
        "disk", "warn", f"{small_disk / 'not' / 'there'}, 0.0 GiB free", "free some space, or write elsewhere"
    )


def test_a_folder_without_permission(tmp_path: Path, powerless: list[str]) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    script = (
        "import pathlib, bmfgraph.doctor.system as d; print(d.folder_finding('x', pathlib.Path('engines'), '').found)"
    )
    done = subprocess.run([*powerless, sys.executable, "-c", script], cwd=folder, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("engines cannot be written (Permission denied)\n", "")


def test_the_engine_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(folder: Path, reason: str) -> BuildResult:
        (folder / ENGINE).write_bytes(b"x" * 1000)
        return BuildResult([], {"library": "Test", "version": "1"})

    def line() -> Finding:
        [found] = system.store_findings(tmp_path / "engines")
        return found

    assert line().state == "ok"
    assert line().found.endswith("0 engines, 0 damaged")
    store = EngineStore(tmp_path / "engines")
    entry = store.ensure("net", key(), make, say=lambda _: None)
    store.ensure("other", key(), make, say=lambda _: None)
    assert line().found.endswith("2 engines, 0 damaged")
    entry.path.write_bytes(b"y" * 1000)
    assert line().state == "warn"
    assert line().found.endswith("2 engines, 1 damaged")
    assert line().fix == "python -m bmfgraph engines prune; the next run builds them again"
    # Where reading all would take long, manifests must do.
    monkeypatch.setattr(system, "_CHECKED", 100)
    assert line().found.endswith("2 engines, 0 damaged; python -m bmfgraph engines verify checks all their bytes")
    (entry.folder / "manifest.json").unlink()
    assert "1 damaged" in line().found


def test_an_engine_store_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "engines").write_text("")
    [line] = system.store_findings(tmp_path / "engines")
    assert line.state == "fail"
    assert "cannot be read (Not a directory)" in line.found
    assert line.fix == "name another: engine.store=/other/folder"


# ------------------------------------------------------------------------------------------ machines that are not here


@pytest.mark.parametrize(
    ("version", "kind", "glibc", "fix"),
    [
        ((3, 10, 0), "Linux x86_64", "2.28", ""),
        ((3, 12, 9), "Linux x86_64", "2.41", ""),
        ((3, 9, 18), "Linux x86_64", "2.36", "python3.12 -m venv .venv"),
        ((3, 13, 0), "Linux x86_64", "2.36", "python3.12 -m venv .venv"),
        ((3, 12, 0), "Linux aarch64", "2.36", "use Linux on x86-64"),
        ((3, 12, 0), "Darwin x86_64", "", "use Linux on x86-64"),
        ((3, 12, 0), "Linux x86_64", "", "use a system with glibc 2.28"),
        ((3, 12, 0), "Linux x86_64", "2.17", "use a system with glibc 2.28"),
    ],
)
def test_python(version: tuple[int, ...], kind: str, glibc: str, fix: str) -> None:
    line = system.python_finding(version, kind, glibc)
    assert line.state == ("fail" if fix else "ok")
    assert line.fix.startswith(fix)


@pytest.mark.parametrize(
    ("machine", "tensorrt", "rtx"),
    [
        (Machine(), ("ok", "not installed"), ("ok", "not installed")),
        (Machine(None, "", (FULL, RTX)), ("ok", "it needs a GPU"), ("ok", "which run on GPUs of compute capability")),
        (Machine(H200), ("warn", "not installed; no library builds"), ("ok", "not installed")),
        (
            Machine(H200, "", (LEAN,)),
            ("warn", "tensorrt_lean 10.16.1 only runs engines; no library"),
            ("ok", "optional"),
        ),
        (Machine(H200, "", (RTX,)), ("warn", "not installed"), ("warn", "but this GPU has 9.0")),
        (Machine(H200, "", (FULL, RTX)), ("ok", "tensorrt 10.16.1 builds and runs"), ("ok", "TensorRT replaces it")),
        (Machine(L4, "", (RTX,)), ("ok", "TensorRT-RTX replaces it"), ("ok", "builds engines and runs them")),
        (Machine(L4, "", (FULL, LEAN)), ("ok", "tensorrt_lean 10.16.1 only runs"), ("ok", "optional")),
    ],
)
def test_tensorrt(machine: Machine, tensorrt: tuple[str, str], rtx: tuple[str, str]) -> None:
    for line, (state, part) in ((system.tensorrt_finding(machine), tensorrt), (system.rtx_finding(machine), rtx)):
        assert line.state == state
        assert part in line.found
        assert line.fix == ("pip install tensorrt" if state == "warn" else "")


@pytest.mark.parametrize(
    ("cuda", "machine", "driver", "state", "fix"),
    [
        (None, Machine(), (), "ok", ""),
        ("12.8", Machine(), (), "ok", ""),
        (None, Machine(L4), (13, 0), "warn", "pip uninstall -y torch && pip install torch==2.13.0"),
        ("12.8", Machine(L4), (12, 2), "ok", ""),
        ("12.8", Machine(L4), (13, 0), "ok", ""),
        ("13.0", Machine(L4), (12, 8), "warn", "update NVIDIA's driver, or install a torch that was built for CUDA 12"),
    ],
)
def test_torch(
    cuda: str | None,
    machine: Machine,
    driver: tuple[int, ...],
    state: str,
    fix: str,
    site: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package(site, "torch", "raise AssertionError('it was imported')")
    (site / "torch" / "version.py").write_text(f"__version__ = '2.13.0+made'\ncuda = {cuda!r}\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    [line] = packages.torch_findings(machine, driver)
    assert (line.state, line.fix) == (state, fix)
    assert line.found.startswith(f"2.13.0+made, built for {f'CUDA {cuda}' if cuda else 'the CPU'}")


@pytest.mark.parametrize(
    ("missing", "state", "part"),
    [
        ([], "ok", "encoders: x264, nvenc, vp9, mpeg4; hwaccel cuda"),
        (["nvenc", "mpeg4"], "ok", "encoders: x264, vp9 (not nvenc, mpeg4)"),
        (["x264", "vp9"], "warn", "no encoder for H.264"),
    ],
)
def test_encoders_of_bmfs_ffmpeg(missing: list[str], state: str, part: str) -> None:
    here = [codec for codec in ("x264", "nvenc", "vp9", "mpeg4") if codec not in missing]
    answer: dict[str, Any] = {"ffmpeg": "system", "version": "4.4.2", "encoders": here, "missing": missing}
    line = packages.ffmpeg4_finding(answer | {"hwaccel": True})
    assert line.state == state
    assert line.found.startswith("4.4.2 from system, for BMF and backend: bmf; ")
    assert part in line.found
    assert bool(line.fix) == (state != "ok")


_GOOD = {"version": "8.1.2 in PyAV 18.1.0", "encoders": ["x264", "nvenc"], "missing": [], "hwaccel": False}


@pytest.mark.parametrize(
    ("answer", "state", "found"),
    [
        (_GOOD | {"unusable": []}, "ok", "encoders: x264, nvenc; no hwaccel cuda"),
        (_GOOD | {"unusable": ["nvenc"]}, "ok", "; nvenc cannot be opened here (no NVENC, or no driver)"),
        (_GOOD | {"encoders": [], "missing": ["x264"]}, "fail", "no hwaccel cuda; no encoder for H.264"),
        (_GOOD | {"error": "killed Python (SIGSEGV)"}, "warn", "trying NVENC failed: killed Python (SIGSEGV)"),
        ({"error": "No module named 'av'"}, "fail", "import av: No module named 'av'"),
    ],
)  # fmt: skip
def test_pyavs_ffmpeg(answer: dict[str, Any], state: str, found: str) -> None:
    line = packages.ffmpeg_finding(answer)
    assert (line.name, line.state) == ("FFmpeg", state)
    assert line.found.endswith(found)
    assert bool(line.fix) == (state != "ok")


@pytest.mark.parametrize(
    ("answer", "fix"),
    [
        ({"error": "ImportError: libcuda.so.1: cannot open shared object file"}, "pip uninstall -y babitmf-gpu && "),
        ({"error": "ImportError: libpython3.12.so.1.0: cannot open shared object file"}, "apt install libpython3."),
        ({"error": "killed Python (SIGSEGV)"}, "pip install --force-reinstall --no-deps babitmf"),
        ({"error": "FFmpeg 4's shared libraries are nowhere", "hint": "pip install decord"}, "pip install decord"),
    ],
)
def test_fixes_of_bmf(answer: dict[str, str], fix: str) -> None:
    line = packages.bmf_finding(answer)
    assert line.state == "fail"
    assert line.found.endswith(f"; import bmf: {answer['error']}")
    assert line.fix.startswith(fix)


def test_ffmpeg_that_cannot_be_prepared() -> None:
    line = packages.ffmpeg4_finding({"error": "FFmpeg 4's shared libraries are nowhere", "hint": "pip install decord"})
    assert line == Finding("FFmpeg 4", "fail", "FFmpeg 4's shared libraries are nowhere", "pip install decord")


def test_nvidias_decoder(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(site))
    if not version_of("PyNvVideoCodec"):
        assert system.pynvvideocodec_finding(Machine()).state == "ok"
        assert system.pynvvideocodec_finding(Machine(L4)).fix == "pip install PyNvVideoCodec"
    distribution(site, "PyNvVideoCodec", "2.2.4")
    assert system.pynvvideocodec_finding(Machine(L4)) == Finding("PyNvVideoCodec", "ok", "2.2.4")
