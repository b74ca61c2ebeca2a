"""Make clips with odd times, and damage clips."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from bmfgraph.errors import RunError
from bmfgraph.media.ledger import Loss
from bmfgraph.runner.result import RunResult
from tests.runner.media_tools import SEEN, RecordSpec, Seen, decoder, run, scene

__all__ = ["B_FRAMES", "NO_SHIFT", "PICTURES", "attempt", "changed", "cut", "hole", "spanned"]

PICTURES = [scene(index, 64, 48) for index in range(50)]
B_FRAMES = {"bf": "2", "g": "25", "preset": "veryfast"}
NO_SHIFT = {"avoid_negative_ts": "disabled"}


def cut(path: Path, share: float) -> Path:
    """Keep the first part of a file."""
    return changed(path, path.read_bytes()[: round(path.stat().st_size * share)])


def hole(path: Path, start: float, end: float) -> Path:
    """Write zeros over a part of a file."""
    data = bytearray(path.read_bytes())
    first, last = round(len(data) * start), round(len(data) * end)
    data[first:last] = bytes(last - first)
    return changed(path, bytes(data))


def spanned(path: Path, seconds: Fraction, start: Fraction) -> Path:
    """Change the edit list of the video of an MP4, so that it shows this part."""
    data = bytearray(path.read_bytes())
    entry = data.index(b"elst") + 12
    with_scale = data.index(b"mdhd") + 16
    scale = int.from_bytes(data[with_scale : with_scale + 4], "big")
    zero = int.from_bytes(data[entry + 4 : entry + 8], "big")
    data[entry : entry + 4] = round(seconds * 1000).to_bytes(4, "big")
    data[entry + 4 : entry + 8] = (zero + round(start * scale)).to_bytes(4, "big")
    return changed(path, bytes(data))


def changed(path: Path, data: bytes) -> Path:
    """Write other data beside a file, under a name with the same extension."""
    other = path.with_name(f"changed_{path.name}")
    other.write_bytes(data)
    return other


def attempt(path: Path, **options: Any) -> tuple[list[Seen], Loss, RunResult]:
    """Read a clip: the frames that reach a stage, the loss, and the result."""
    result = run({"source": decoder(path, **options), "record": RecordSpec(inputs=("source.video",))})
    return SEEN.pop("seen"), result.losses.get("source", Loss()), result


def refusal(path: Path, **options: Any) -> tuple[str, str]:
    """Return the code and the message of a clip that is refused."""
    try:
        attempt(path, **options)
    except RunError as error:
        return error.problems[0].code, str(error).split("\n")[0]
    raise AssertionError("it was not refused")
