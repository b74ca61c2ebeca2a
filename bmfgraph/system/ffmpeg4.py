"""FFmpeg 4's shared libraries, which BMF needs: the system's where it has them, else those of the wheel decord.

BMF's libraries look for ``libavcodec.so.58`` and its siblings in a folder beside the ``bmf`` package
before they ask the system. The wheel of decord carries them under mangled names, so that links under
the plain names in that folder are all that is missing.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import importlib.util
import mmap
import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from bmfgraph.errors import InstallError, RunError

__all__ = ["LIBRARIES", "encoders", "has_encoder", "has_hwaccel", "no_encoder", "no_hwaccel", "prepare"]

LIBRARIES = (
    "libavcodec.so.58",
    "libavdevice.so.58",
    "libavfilter.so.7",
    "libavformat.so.58",
    "libavutil.so.56",
    "libswresample.so.3",
    "libswscale.so.5",
)
_SYSTEM_FOLDERS = (
    "/lib",
    "/usr/lib",
    "/usr/local/lib",
    "/lib64",
    "/usr/lib64",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
)
_HINT = "pip install decord==0.6.0, or install FFmpeg 4 (Ubuntu 20.04 and 22.04 have it: apt install ffmpeg)"


def prepare() -> str:
    """Make sure that ``import bmf`` finds FFmpeg 4, and say where it comes from: ``system`` or ``decord``.

    Safe to call again and from several processes at once. Raises InstallError with what to install.
    """
    found = importlib.util.find_spec("bmf")
    if found is None or not found.submodule_search_locations:
        raise _no_bmf()
    site = Path(found.submodule_search_locations[0]).parent
    links = site / f"{_distribution()}.libs"
    libraries = _libraries()
    wanted = {} if libraries.keys() == set(LIBRARIES) else libraries
    if _links_in(links) != wanted:
        _link(links, wanted)
    return "decord" if wanted else "system"


def encoders(names: Iterable[str]) -> list[str]:
    """Those of FFmpeg's encoders that are in the library which BMF will find. Nothing is loaded or changed.

    Raises InstallError where BMF or FFmpeg 4 is missing.
    """
    if importlib.util.find_spec("bmf") is None:
        raise _no_bmf()
    path = _libraries()["libavcodec.so.58"]
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as library:
        # An encoder that was compiled in has its name there, maybe as the end of a longer one.
        return [name for name in names if library.find(name.encode() + b"\0") >= 0]


def no_encoder(node: str, kind: str, codec: str, here: Iterable[str]) -> RunError:
    """What to tell of an encoder that this FFmpeg lacks."""
    return RunError(
        node,
        kind,
        f"the FFmpeg 4 found here has no encoder {codec}; it has: {', '.join(here)}",
        hint="choose another codec, such as encoder=x264, or install an FFmpeg 4 that has it",
        code="E703",
    )


def has_encoder(name: str) -> bool:
    """Whether the FFmpeg that BMF runs on has the encoder of that name. BMF must have been imported."""
    library = ctypes.CDLL("libavcodec.so.58")
    library.avcodec_find_encoder_by_name.restype = ctypes.c_void_p
    return bool(library.avcodec_find_encoder_by_name(name.encode()))


def no_hwaccel(node: str, kind: str, name: str) -> RunError:
    """What to tell of hardware on which this FFmpeg does not decode."""
    return RunError(
        node,
        kind,
        f"the FFmpeg 4 found here was built without hwaccel {name}",
        hint="set decoder=nvdec, which needs no FFmpeg for it, or install an FFmpeg 4 that was built with it",
        code="E704",
    )


def has_hwaccel(name: str) -> bool:
    """Whether the FFmpeg that BMF will find decodes on hardware of that kind, such as ``cuda``.

    Raises InstallError where FFmpeg 4 is missing.
    """
    library = ctypes.CDLL(str(_libraries()["libavutil.so.56"]))
    library.av_hwdevice_get_type_name.restype = ctypes.c_char_p
    kind = library.av_hwdevice_iterate_types(0)
    while kind:
        if library.av_hwdevice_get_type_name(kind) == name.encode():
            return True
        kind = library.av_hwdevice_iterate_types(kind)
    return False


def _no_bmf() -> InstallError:
    return InstallError(
        "BMF is not installed", hint="pip install 'bmfgraph[cpu]', or 'bmfgraph[gpu]' with an NVIDIA GPU", code="E701"
    )


def _libraries() -> dict[str, Path]:
    """FFmpeg 4's libraries by their plain names: the system's where it has them all, else those of decord and more."""
    if system := _system_libraries():
        return system
    found = _plain_names(_decord_folder())
    if missing := [name for name in LIBRARIES if name not in found]:
        raise InstallError(f"FFmpeg 4 is not complete: {', '.join(missing)} not found", hint=_HINT, code="E702")
    return found


def _distribution() -> str:
    """Name of BMF's installed distribution, which its folder of libraries begins with."""
    for name in ("BabitMF-GPU", "BabitMF"):
        try:
            importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        return name.replace("-", "_")
    return "BabitMF"


def _system_libraries() -> dict[str, Path]:
    """Where the system has FFmpeg 4's libraries; empty if it lacks one."""
    folders = [folder for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder]
    found = _in_folders((*folders, *_SYSTEM_FOLDERS))
    if len(found) == len(LIBRARIES):
        return found
    try:
        listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return {}
    for line in listed.splitlines():
        name, _, path = line.strip().partition(" ")
        if name in LIBRARIES and " => " in path:
            found.setdefault(name, Path(path.rpartition(" => ")[2]))
    return found if len(found) == len(LIBRARIES) else {}


def _in_folders(folders: Iterable[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in folders:
        for name in LIBRARIES:
            if (Path(folder) / name).exists():
                found.setdefault(name, Path(folder) / name)
    return found


def _decord_folder() -> Path:
    try:
        distribution = importlib.metadata.distribution("decord")
    except importlib.metadata.PackageNotFoundError:
        raise InstallError(
            "FFmpeg 4's shared libraries are neither on the system nor in decord", hint=_HINT, code="E702"
        ) from None
    return Path(str(distribution.locate_file("decord.libs")))


def _plain_names(folder: Path) -> dict[str, Path]:
    """Each library under its own name, and as ``libavcodec-<hash>.so.58.35.100`` also under ``libavcodec.so.58``."""
    names = {}
    for file in sorted(folder.glob("lib*.so.*")):
        names[file.name] = file
        if match := re.fullmatch(r"(lib[\w-]+?)-[0-9a-f]{8}\.so\.(\d+)[\d.]*", file.name):
            names[f"{match[1]}.so.{match[2]}"] = file
    return names


def _links_in(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    found = {}
    for link in folder.iterdir():
        # Another process may be renaming its links into place.
        with contextlib.suppress(FileNotFoundError):
            if link.is_symlink():
                found[link.name] = link.readlink()
    return found


def _link(folder: Path, wanted: dict[str, Path]) -> None:
    # Needed once in an installation.
    from filelock import FileLock

    try:
        folder.mkdir(exist_ok=True)
        with FileLock(folder / ".lock"):
            for name in _links_in(folder).keys() - wanted.keys():
                (folder / name).unlink()
            for name, target in wanted.items():
                part = folder / f".{name}.{os.getpid()}"
                part.unlink(missing_ok=True)
                part.symlink_to(target)
                part.replace(folder / name)
    except OSError as error:
        raise InstallError(
            f"FFmpeg 4's libraries cannot be linked into {str(folder)!r} ({error.strerror})",
            hint="run bmfgraph once as the owner of that folder, or install FFmpeg 4 on the system",
            code="E702",
        ) from None
