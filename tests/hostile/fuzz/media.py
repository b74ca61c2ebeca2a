"""Copy mutated clips through both back ends, and compare the frames with those that FFmpeg alone decodes."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import av

from tests.hostile.fuzz.trial import Case, Outcome, faults, run
from tests.tools import make_clip

__all__ = ["case", "clips", "judge", "losses"]

_FRAMES = 24
_CLIPS: dict[str, dict[str, Any]] = {
    "h264.mp4": {"audio": "aac", "options": {"bf": "2", "g": "8"}},
    "h264.mov": {},
    "h264.mkv": {"audio": "aac", "options": {"bf": "2", "g": "8"}},
    "h264.ts": {"audio": "aac", "options": {"g": "8"}},
    "h264.flv": {"audio": "aac"},
    "vp8.webm": {"codec": "libvpx", "options": {"cpu-used": "8"}},
    "mpeg4.avi": {"codec": "mpeg4", "audio": "libmp3lame"},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "mpeg2.mpg": {"codec": "mpeg2video"},
    "ffv1.mkv": {"codec": "ffv1"},
    "h264.nut": {},
}
_PIPELINE = """
# @package _global_
pipeline:
  name: copy
  nodes:
    source: {use: "${decoder}", path: "${input}"}
    sink: {kind: encoder, inputs: [source.video, source.audio], preset: ultrafast, use: "${encoder}", path: "${output}"}
"""
_CPU_SECONDS = 20.0


@functools.cache
def clips() -> dict[str, bytes]:
    """Return the clips by name."""
    _load()
    with tempfile.TemporaryDirectory() as name:
        return {
            clip: make_clip(Path(name) / clip, frames=_FRAMES, **options).read_bytes()
            for clip, options in _CLIPS.items()
        }


def _load() -> None:
    """Import what a run imports, so that each fork has it."""
    from bmfgraph.system import ffmpeg4

    ffmpeg4.prepare()
    import bmfgraph.runner.modules.decoder
    import bmfgraph.runner.modules.encoder
    import bmfgraph.runner.modules.native_decoder
    import bmfgraph.runner.run  # noqa: F401


def _mutated(random: Random, data: bytes) -> bytes:
    content = bytearray(data)
    for _ in range(random.randint(1, 3)):
        size = random.choice((1, 4, 64, 700, 4000))
        place = random.randrange(random.choice((200, len(content))) if len(content) > 200 else max(1, len(content)))
        action = random.choice(("noise", "noise", "zero", "remove", "repeat", "cut", "insert"))
        if action == "noise":
            content[place : place + size] = random.randbytes(len(content[place : place + size]))
        elif action == "zero":
            content[place : place + size] = bytes(len(content[place : place + size]))
        elif action == "remove":
            del content[place : place + size]
        elif action == "repeat":
            content[place:place] = content[place : place + size]
        elif action == "cut":
            del content[max(place, 1) :]
        else:
            content[place:place] = random.randbytes(size)
    return bytes(content)


def case(random: Random, folder: Path) -> Case:
    """Return a run that copies a mutated clip."""
    name = random.choice(list(_CLIPS))
    (folder / name).write_bytes(_mutated(random, clips()[name]))
    pipelines = folder / "conf" / "pipeline"
    pipelines.mkdir(parents=True)
    (pipelines / "copy.yaml").write_text(_PIPELINE.lstrip())
    backend = random.choice(("pyav", "bmf"))
    words = (
        *("run", "--config-dir", "conf", "pipeline=copy", f"input={name}", "output=out.mkv", "progress=false"),
        *(f"decoder.backend={backend}", f"encoder.backend={random.choice(('pyav', backend))}"),
        *(("decoder.on_error=skip",) if random.random() < 0.3 else ()),
    )
    return Case(folder, words, {"BMFGRAPH_CACHE": str(folder / "cache")}, cpu_seconds=_CPU_SECONDS)


def judge(case: Case) -> tuple[Outcome, list[str]]:
    """Run a case, and judge its end and its output."""
    outcome = run(case)
    return outcome, [*faults(case, outcome), *losses(case.folder, outcome)]


def losses(folder: Path, outcome: Outcome) -> list[str]:
    """Compare the frames of the output with those that FFmpeg alone decodes of the clip in the same folder."""
    target = folder / "out.mkv"
    if outcome.code not in (0, 3):
        return ["it left a part under the final name"] if target.exists() else []
    if not target.exists():
        return ["it ended well without an output"]
    expected = _count(next(folder / name for name in _CLIPS if (folder / name).exists()))
    written = _count(target)
    told = outcome.code == 3 or "warning" in outcome.output
    if expected is not None and (written is None or written < expected) and not told:
        return [f"it wrote {written} of {expected} frames without a word"]
    return []


def _count(path: Path) -> int | None:
    """Count the frames that FFmpeg decodes, in a fork; None where it cannot read the file, or crashes."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        try:
            os.write(writing, str(_decoded(path)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return int(text) if text else None


def _decoded(path: Path) -> int:
    count = 0
    with av.open(str(path)) as container:
        packets = container.demux(video=0)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                return count
            if packet is None:
                return count
            # A packet that cannot be decoded is left out.
            with contextlib.suppress(av.FFmpegError):
                count += len(packet.decode())
