"""Provide FFmpeg 4's shared libraries to BMF, from the system or from the wheel of decord.

BMF's libraries search for ``libavcodec.so.58`` and its siblings in a folder next to the ``bmf`` package
before they search the system. The wheel of decord contains them under mangled names, so links under the
plain names in that folder are enough.
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
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from bmfgraph import error_codes as codes
from bmfgraph.errors import InstallError, RunError

__all__ = [
    "LIBRARIES",
    "encoders",
    "has_decoder",
    "has_encoder",
    "has_hwaccel",
    "no_decoder",
    "no_encoder",
    "no_hwaccel",
    "prepare",
    "version",
]

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
    """Make ``import bmf`` find FFmpeg 4.

    The function may be called repeatedly, and by several processes at once. If decord provides the libraries, it writes
    links into the folder of installed packages.

    Returns:
        The source of the libraries: ``system`` or ``decord``.

    Raises:
        InstallError: BMF or FFmpeg 4 is missing, or the links cannot be written.
    """
    spec = importlib.util.find_spec("bmf")
    if spec is None or not spec.submodule_search_locations:
        raise _no_bmf()
    site = Path(spec.submodule_search_locations[0]).parent
    folder = site / f"{_distribution()}.libs"
    if "bmf" in sys.modules:
        # Its libraries are loaded.
        return "decord" if _links_in(folder) else "system"
    libraries = _libraries()
    links = {} if libraries.keys() == set(LIBRARIES) else libraries
    if _links_in(folder) != links:
        _link(folder, links)
    return "decord" if links else "system"


def version() -> str:
    """Return the version of BMF's FFmpeg, such as ``4.1.6``. BMF must be imported before."""
    information = ctypes.CDLL("libavutil.so.56").av_version_info
    information.restype = ctypes.c_char_p
    return str(information().decode())


def encoders(names: Iterable[str]) -> list[str]:
    """Return those of the named encoders that BMF's FFmpeg contains, without loading the library.

    Args:
        names: FFmpeg's names, such as ``libx264``.

    Returns:
        The available names, in the same order.

    Raises:
        InstallError: BMF or FFmpeg 4 is missing.
    """
    if importlib.util.find_spec("bmf") is None:
        raise _no_bmf()
    path = _libraries()["libavcodec.so.58"]
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as library:
        # The library contains the name of each of its encoders, possibly as the end of a longer name.
        return [name for name in names if library.find(name.encode() + b"\0") >= 0]


def no_encoder(node: str, kind: str, codec: str, available: Iterable[str]) -> RunError:
    """Create the error for an encoder that FFmpeg does not contain; ``available`` lists its codecs."""
    return RunError(
        node,
        kind,
        f"this FFmpeg has no encoder {codec}; it has: {', '.join(available)}",
        hint="choose another codec, such as encoder=x264, or set encoder.backend=pyav",
        code=codes.MISSING_ENCODER,
    )


def has_encoder(name: str) -> bool:
    """Return whether BMF's FFmpeg contains an encoder, such as ``libx264``. BMF must be imported before."""
    library = ctypes.CDLL("libavcodec.so.58")
    library.avcodec_find_encoder_by_name.restype = ctypes.c_void_p
    return bool(library.avcodec_find_encoder_by_name(name.encode()))


def has_decoder(codec: str) -> bool:
    """Return whether BMF's FFmpeg decodes a codec, such as ``h264``.

    Raises:
        InstallError: FFmpeg 4 is missing.
    """
    library = _avcodec()
    library.avcodec_descriptor_get_by_name.restype = ctypes.POINTER(ctypes.c_int)
    library.avcodec_find_decoder.restype = ctypes.c_void_p
    descriptor = library.avcodec_descriptor_get_by_name(codec.encode())
    # A descriptor begins with the number of its codec.
    return bool(descriptor) and bool(library.avcodec_find_decoder(descriptor[0]))


def _avcodec() -> ctypes.CDLL:
    """Load libavcodec, and before it the libraries next to it that it needs."""
    libraries = _libraries()
    waiting = [str(path) for path in libraries.values()]
    while True:
        left = [path for path in waiting if not _is_loaded(path)]
        if len(left) in (0, len(waiting)):
            return ctypes.CDLL(str(libraries["libavcodec.so.58"]))
        waiting = left


def _is_loaded(path: str) -> bool:
    try:
        ctypes.CDLL(path)
    except OSError:
        return False
    return True


def no_decoder(node: str, kind: str, codec: str) -> RunError:
    """Create the error for a codec that BMF's FFmpeg does not decode."""
    return RunError(
        node,
        kind,
        f"the installed FFmpeg 4, which decodes with backend: bmf, has no decoder for {codec}",
        hint=f"set pipeline.nodes.{node}.backend=pyav",
        code=codes.MISSING_DECODER,
    )


def no_hwaccel(node: str, kind: str, name: str) -> RunError:
    """Create the error for hardware decoding that FFmpeg was built without."""
    return RunError(
        node,
        kind,
        f"the installed FFmpeg 4 was built without hwaccel {name}",
        hint="set decoder=nvdec, or decoder.backend=pyav",
        code=codes.MISSING_HARDWARE_DECODER,
    )


def has_hwaccel(name: str) -> bool:
    """Return whether BMF's FFmpeg decodes on a kind of hardware, such as ``cuda``.

    Raises:
        InstallError: FFmpeg 4 is missing.
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
        "BMF is not installed",
        hint="pip install 'bmfgraph[cpu]', or 'bmfgraph[gpu]' with an NVIDIA GPU",
        code=codes.MISSING_BMF,
    )


def _libraries() -> dict[str, Path]:
    """Return FFmpeg 4's libraries by plain name: all from the system, or decord's with their dependencies."""
    if system := _system_libraries():
        return system
    libraries = _plain_names(_decord_folder())
    if missing := [name for name in LIBRARIES if name not in libraries]:
        raise InstallError(
            f"FFmpeg 4 is incomplete: {', '.join(missing)} not found", hint=_HINT, code=codes.MISSING_FFMPEG
        )
    return libraries


def _distribution() -> str:
    """Return the name of BMF's installed distribution; the name of its library folder begins with it."""
    for name in ("BabitMF-GPU", "BabitMF"):
        try:
            importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        return name.replace("-", "_")
    return "BabitMF"


def _system_libraries() -> dict[str, Path]:
    """Return the system's FFmpeg 4 libraries; empty if one is missing."""
    folders = [folder for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder]
    paths = _in_folders((*folders, *_SYSTEM_FOLDERS))
    if len(paths) == len(LIBRARIES):
        return paths
    for line in _known_to_the_linker():
        name, _, path = line.strip().partition(" ")
        if name in LIBRARIES and " => " in path:
            paths.setdefault(name, Path(path.rpartition(" => ")[2]))
    return paths if len(paths) == len(LIBRARIES) else {}


@cache
def _known_to_the_linker() -> list[str]:
    """Return the lines of the linker's cache, which a program prints. Each run would start it twice."""
    try:
        done = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False)
    except OSError:
        return []
    return done.stdout.splitlines()


def _in_folders(folders: Iterable[str]) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for folder in folders:
        for name in LIBRARIES:
            if (Path(folder) / name).exists():
                paths.setdefault(name, Path(folder) / name)
    return paths


def _decord_folder() -> Path:
    try:
        distribution = importlib.metadata.distribution("decord")
    except importlib.metadata.PackageNotFoundError:
        raise InstallError(
            "FFmpeg 4's shared libraries are neither on the system nor in the package decord",
            hint=_HINT,
            code=codes.MISSING_FFMPEG,
        ) from None
    return Path(str(distribution.locate_file("decord.libs")))


def _plain_names(folder: Path) -> dict[str, Path]:
    """Map each library's own name to its path, and for ``libavcodec-<hash>.so.58.35.100`` also ``libavcodec.so.58``."""
    names = {}
    for file in sorted(folder.glob("lib*.so.*")):
        names[file.name] = file
        if match := re.fullmatch(r"(lib[\w-]+?)-[0-9a-f]{8}\.so\.(\d+)[\d.]*", file.name):
            names[f"{match[1]}.so.{match[2]}"] = file
    return names


def _links_in(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    links = {}
    for link in folder.iterdir():
        # Another process may rename its links at the same time.
        with contextlib.suppress(FileNotFoundError):
            if link.is_symlink():
                links[link.name] = link.readlink()
    return links


def _link(folder: Path, links: dict[str, Path]) -> None:
    # Linking happens once per installation, so other commands do not pay for this import.
    from filelock import FileLock

    try:
        folder.mkdir(exist_ok=True)
        with FileLock(folder / ".lock"):
            for name in _links_in(folder).keys() - links.keys():
                (folder / name).unlink()
            for name, target in links.items():
                part = folder / f".{name}.{os.getpid()}"
                part.unlink(missing_ok=True)
                part.symlink_to(target)
                part.replace(folder / name)
    except OSError as error:
        raise InstallError(
            f"FFmpeg 4's libraries cannot be linked into {str(folder)!r} ({error.strerror or error})",
            hint="run bmfgraph once as the owner of that folder, or install FFmpeg 4 on the system",
            code=codes.MISSING_FFMPEG,
        ) from None
