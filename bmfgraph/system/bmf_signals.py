"""Keep BMF from taking SIGINT and SIGTERM.

The constructor of BMF's graph calls ``signal``. Its handler ends all graphs of the process as if their clips ended
there, and may end the process. Between that call and the moment when the handlers are restored, Ctrl-C would cut a clip
short without a word. So the call is redirected to a function that does nothing.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

__all__ = ["signals_left_alone"]

_LIBRARY = "libengine.so"
_RELOCATIONS = 4
"""Type of the sections of an ELF file that hold relocations with addends."""


@lru_cache(maxsize=1)
def signals_left_alone() -> bool:
    """Redirect the calls of BMF's engine to ``signal``; once, after the engine is loaded.

    Returns:
        Whether that was possible: the library has another form on some platform.
    """
    try:
        path, base, writable = _loaded()
        address = next(base + offset for name, offset in _slots(path.read_bytes()) if name == b"signal")
    except (OSError, StopIteration, ValueError, struct.error):
        return False
    if not any(start <= address < end for start, end in writable):
        return False
    # It takes an integer, returns one, and does nothing else.
    harmless = ctypes.cast(ctypes.CDLL(None).abs, ctypes.c_void_p).value
    ctypes.c_void_p.from_address(address).value = harmless
    return True


def _loaded() -> tuple[Path, int, list[tuple[int, int]]]:
    """Return the file of the engine, where it lies in memory, and the parts of memory that can be written.

    Raises:
        ValueError: It is not loaded.
    """
    base: dict[str, int] = {}
    writable: list[tuple[int, int]] = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        place, access, _, _, _, *name = line.split(maxsplit=5)
        start, end = (int(number, 16) for number in place.split("-"))
        if name and _LIBRARY in Path(name[0]).name:
            base.setdefault(name[0], start)
            if "w" in access:
                writable.append((start, end))
    ((name_of_file, start),) = base.items()
    return Path(name_of_file), start, writable


def _slots(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield the name of each imported symbol of a 64-bit ELF file, and the offset of its address in memory.

    Source: System V ABI, https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html.
    """
    if data[:5] != b"\x7fELF\x02":
        raise ValueError("no 64-bit ELF file")
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, count = struct.unpack_from("<HH", data, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, table + size * number) for number in range(count)]
    for _, kind, _, _, offset, length, link, _, _, entry in sections:
        if kind != _RELOCATIONS or not entry:
            continue
        symbols, names = sections[link][4], sections[sections[link][6]][4]
        for place in range(offset, offset + length, entry):
            slot, info = struct.unpack_from("<QQ", data, place)
            if info >> 32:
                (name,) = struct.unpack_from("<I", data, symbols + 24 * (info >> 32))
                yield data[names + name : data.index(b"\0", names + name)], slot
