"""Check from the outermost elements of a file that none of its bytes are missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from bmfgraph.media.streamed import (
    asf_damage,
    cut_picture,
    cut_transport_packet,
    flv_damage,
    gif_damage,
    jpeg_damage,
    program_stream_damage,
)
from bmfgraph.system.untrusted import open_regular

__all__ = ["file_damage", "file_doubt", "hole_between", "tags_between"]

_MASTERS = frozenset((0x18538067, 0x1F43B675))
"""Matroska elements whose content is a list of elements: Segment and Cluster."""
_BLOCKS = (0xA3, 0xA1)
"""SimpleBlock, and the Block of a group."""
_IN_GROUPS = frozenset((0x9B, 0xFB, 0xFA, 0xA4, 0x75A1, 0x75A2))
"""Elements behind the Block of a group, such as its alpha channel."""
_IN_CLUSTERS = _IN_GROUPS | frozenset((0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xEC, 0xBF))
"""Elements inside a cluster, and Void and CRC-32, which stand anywhere (RFC 9559)."""
_ELEMENTS = _IN_CLUSTERS | {0x1C53BB6B, 0x1254C367, 0x1941A469, 0x1043A770, 0x114D9B74, 0x1549A966, 0x1654AE6B}
"""Elements between packets: these, and cues, tags, attachments, chapters, and further headers."""
_UNKNOWN = -1
"""Size of a Matroska element that ends where the next one begins, as in live streams."""
_MOST_BOXES = 100_000


def file_damage(path: Path | str, container: str) -> str:
    """Describe what is wrong with the structure of a file; "" if nothing is, or if the format has none that shows it.

    Args:
        path: The file.
        container: FFmpeg's first name of the format.

    Raises:
        OSError: The file cannot be read.
    """
    return _checked(path, _CHECKS.get(container))


def file_doubt(path: Path | str, container: str) -> str:
    """Describe why the end of a file may be missing, although it ends as recordings do that were stopped; "" if not.

    Args:
        path: The file.
        container: FFmpeg's first name of the format.

    Raises:
        OSError: The file cannot be read.
    """
    return _checked(path, _DOUBTS.get(container))


def _checked(path: Path | str, check: Callable[[IO[bytes], int], str] | None) -> str:
    if check is None:
        return ""
    with open_regular(path) as file:
        return check(file, file.seek(0, 2))


def hole_between(file: IO[bytes], start: int, end: int) -> bool:
    """Return whether bytes behind a block of a Matroska file are no elements of the format.

    Args:
        file: The file.
        start: Position of the block's content, which FFmpeg takes for the position of its packets.
        end: Position of the next packet, or of the file's end.
    """
    ends = list(_block_ends(file, start))
    return bool(ends) and not any(_has_elements(file, behind, end) for behind in ends)


def _block_ends(file: IO[bytes], start: int) -> Iterator[int]:
    """Yield where a block with this content may end: the size before it has 1 to 8 bytes."""
    file.seek(max(0, start - 9))
    before = file.read(min(9, start))
    for length in range(1, len(before)):
        if before[-length - 1] in _BLOCKS and 9 - before[-length].bit_length() == length:
            yield start + (int.from_bytes(before[-length:], "big") & (1 << 7 * length) - 1)


def _has_elements(file: IO[bytes], position: int, end: int) -> bool:
    while position < end:
        element = _element(file, position)
        if element is None:
            return False
        identifier, header, size = element
        if identifier not in _ELEMENTS | _MASTERS:
            return False
        position += header if identifier in _MASTERS or size == _UNKNOWN else header + size
    return True


def tags_between(file: IO[bytes], start: int, end: int) -> bool:
    """Return whether tags of an FLV file lead from one packet to another.

    Args:
        file: The file.
        start: Position of a packet's tag.
        end: Position of the tag of the next packet.
    """
    while start < end:
        file.seek(start)
        head = file.read(4)
        if len(head) < 4:
            return False
        start += 15 + int.from_bytes(head[1:], "big")
    return start == end


def _mp4_damage(file: IO[bytes], size: int) -> str:
    """Walk the boxes of ISO/IEC 14496-12: each begins with its size and its type."""
    position = 0
    for _ in range(_MOST_BOXES):
        file.seek(position)
        head = file.read(16)
        if len(head) < 8:
            # Some writers pad the end of a file.
            return ""
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if not any(head[:8]):
            return "" if _only_zeros(file, position, size) else f"it has no box at byte {position:,}"
        if not all(32 <= byte < 127 or byte == 0xA9 for byte in kind):
            return f"it has no box at byte {position:,}"
        if length == 0:  # The last box reaches to the end.
            return ""
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:
            return f"its box {kind.decode('latin-1')!r} at byte {position:,} has an impossible size"
        position += length
        if position > size:
            return f"its box {kind.decode('latin-1')!r} ends {position - size:,} bytes behind the file's end"
    return ""


def _matroska_damage(file: IO[bytes], size: int) -> str:
    head = _element(file, 0)
    if head is None:
        return ""
    segment = _element(file, head[1] + head[2])
    if segment is None or segment[2] == _UNKNOWN:
        return ""
    end = head[1] + head[2] + segment[1] + segment[2]
    return f"its segment ends {end - size:,} bytes behind the file's end" if end > size else ""


def _riff_damage(file: IO[bytes], size: int) -> str:
    """Walk the RIFF chunks: a file of more than 1 GB has several."""
    position = 0
    for _ in range(_MOST_BOXES):
        file.seek(position)
        head = file.read(8)
        if head[:4] != b"RIFF":
            return ""
        # Writers that were interrupted leave the size 0.
        position += 8 + int.from_bytes(head[4:], "little")
        if position > size:
            return f"its RIFF chunk ends {position - size:,} bytes behind the file's end"
    return ""


def _element(file: IO[bytes], position: int) -> tuple[int, int, int] | None:
    """Return identifier, length of the header, and size of the EBML element there (RFC 8794); None for none."""
    file.seek(position)
    head = file.read(12)
    if not head or not head[0]:
        return None
    first = 8 - head[0].bit_length() + 1
    if first > 4 or len(head) <= first or not head[first]:
        return None
    length = 8 - head[first].bit_length() + 1
    if len(head) < first + length:
        return None
    size = int.from_bytes(head[first : first + length], "big") & (1 << 7 * length) - 1
    unknown = size == (1 << 7 * length) - 1
    return int.from_bytes(head[:first], "big"), first + length, _UNKNOWN if unknown else size


def _only_zeros(file: IO[bytes], position: int, size: int) -> bool:
    file.seek(position)
    return all(not any(block) for block in _blocks(file)) if position < size else True


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(1 << 20):
        yield block


_CHECKS = {
    "asf": asf_damage,
    "avi": _riff_damage,
    "flv": flv_damage,
    "gif": gif_damage,
    "jpeg_pipe": jpeg_damage,
    "matroska": _matroska_damage,
    "mjpeg": jpeg_damage,
    "mov": _mp4_damage,
    "mpeg": program_stream_damage,
}
"""The check of each format, by FFmpeg's first name of it."""
_DOUBTS = {"mpegts": cut_transport_packet, "yuv4mpegpipe": cut_picture}
