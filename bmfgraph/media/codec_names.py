"""Name the codec of a stream that this FFmpeg cannot decode."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["codec_name"]


def codec_name(container: Any, stream: Any) -> str:
    """Return FFmpeg's name of a stream's codec; for a codec that it does not know, the tag in the file, or "".

    Args:
        container: The container, open for reading.
        stream: One of its streams.
    """
    if stream.codec_context is not None:
        return str(stream.codec_context.codec.canonical_name)
    from av import logging

    # PyAV names no codec without a decoder; FFmpeg's own description of the file, a log message, does.
    level = logging.get_level()
    logging.set_level(logging.INFO)
    try:
        text = container.dumps_format()
    finally:
        logging.set_level(level)
    match = re.search(rf"^  Stream #\d+:{stream.index}\b.*?: \w+: (\w+)(?: \((\S+) /)?", text, re.MULTILINE)
    if match is None:
        return ""
    return (match[2] or "") if match[1] in ("none", "unknown") else match[1]
