"""Check the structure of formats that are written as a stream: GIF, FLV, ASF, MPEG, and Motion JPEG."""

from __future__ import annotations

from typing import IO

__all__ = [
    "asf_damage",
    "cut_picture",
    "cut_transport_packet",
    "flv_damage",
    "gif_damage",
    "jpeg_damage",
    "program_stream_damage",
]

_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_FLV_TAGS = frozenset((8, 9, 18))
"""Types of tags: audio, video, script data."""
_TS_PACKETS = (188, 192, 204)
"""Lengths of the packets of transport streams: plain, with time codes, with error correction."""
_TAIL = 1 << 17
"""Bytes at the end of a program stream in which its last packet begins."""
_GIF_IMAGE, _GIF_EXTENSION, _GIF_TRAILER = 0x2C, 0x21, 0x3B


def gif_damage(file: IO[bytes], size: int) -> str:
    """Walk the blocks of a GIF89a file up to its trailer."""
    file.seek(0)
    head = file.read(13)
    if len(head) < 13:
        return ""
    position = 13 + _colours(head[10])
    while True:
        file.seek(position)
        block = file.read(10)
        if not block:
            return "its end is missing"
        if block[0] == _GIF_TRAILER:
            return ""
        if block[0] == _GIF_IMAGE and len(block) == 10:
            position += 11 + _colours(block[9])
        elif block[0] == _GIF_EXTENSION:
            position += 2
        else:
            return f"it has no block at byte {position:,}" if len(block) == 10 else "its end is missing"
        file.seek(position)
        while length := file.read(1)[:1]:
            position += 1 + length[0]
            if not length[0]:
                break
            file.seek(position)
        if position > size or not length:
            return "its end is missing"


def flv_damage(file: IO[bytes], size: int) -> str:
    """Check that a file ends with a whole tag: the length of each tag is repeated behind it."""
    file.seek(max(0, size - 4))
    length = int.from_bytes(file.read(4), "big")
    start = size - 4 - length
    if start >= 9 and length >= 11:
        file.seek(start)
        head = file.read(4)
        if head[0] & 0x1F in _FLV_TAGS and int.from_bytes(head[1:4], "big") + 11 == length:
            return ""
    return "its last tag is cut off"


def asf_damage(file: IO[bytes], size: int) -> str:
    """Compare a file with the size that its file properties object states."""
    file.seek(0)
    head = file.read(30)
    if head[:16] != _ASF_HEADER:
        return ""
    properties = file.read(min(int.from_bytes(head[16:24], "little"), 1 << 20))
    position = properties.find(_ASF_FILE_PROPERTIES)
    if position < 0 or len(properties) < position + 92:
        return ""
    stated = int.from_bytes(properties[position + 40 : position + 48], "little")
    broadcast = properties[position + 88] & 1
    return "" if broadcast or stated <= size else f"it states {stated:,} bytes, and has {size:,}"


def program_stream_damage(file: IO[bytes], size: int) -> str:
    """Check that the last packet of an MPEG program stream is whole (ISO/IEC 13818-1, 2.5.3)."""
    file.seek(max(0, size - _TAIL))
    tail = file.read()
    position = tail.find(b"\0\0\1\xba")
    while 0 <= position <= len(tail) - 4 and tail[position : position + 3] == b"\0\0\1":
        kind = tail[position + 3]
        if kind == 0xB9:  # The end code.
            return ""
        if kind == 0xBA:
            deep = len(tail) > position + 13 and tail[position + 4] >> 6 == 1
            position += 14 + (tail[position + 13] & 7) if deep else 12
        elif kind < 0xBB or len(tail) < position + 6:
            break
        else:
            position += 6 + int.from_bytes(tail[position + 4 : position + 6], "big")
    return "its last packet is cut off" if position > len(tail) else ""


def jpeg_damage(file: IO[bytes], size: int) -> str:
    """Check that a stream of JPEG pictures ends with the marker EOI; padding may follow."""
    file.seek(max(0, size - 4096))
    end = file.read().rstrip(b"\0\xff\n\r")
    return "" if end.endswith(b"\xff\xd9") or not end else "its last picture is cut off"


def cut_transport_packet(file: IO[bytes], size: int) -> str:
    """Check that an MPEG transport stream ends with a whole packet."""
    file.seek(0)
    head = file.read(3 * max(_TS_PACKETS))
    for length in _TS_PACKETS:
        first = length - 188 if length == 192 else 0
        if head[first::length][:3] == b"GGG":
            return "" if size % length == 0 else "its last packet is cut off: its end may be missing"
    return ""


def cut_picture(file: IO[bytes], size: int) -> str:
    """Check that a YUV4MPEG2 stream ends with a whole frame; all frames are as long as the first one."""
    file.seek(0)
    first = file.readline(256).endswith(b"\n") and file.tell()
    head = file.read(1 << 16)
    length = head.find(b"FRAME", 6)
    while first and length < 0 and len(more := file.read(1 << 20)):
        # The word may lie across the border of two reads.
        length = (head[-4:] + more).find(b"FRAME")
        length += len(head) - 4 if length >= 0 else 0
        head += more
    return "its last frame is cut off" if length > 0 and (size - first) % length else ""


def _colours(flags: int) -> int:
    """Return the bytes of a GIF's colour table."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
