"""Change the input of a sweep's cells: a reduced clip, or a part of it."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.api import Job
from bmfgraph.errors import BmfgraphError, ConfigError
from bmfgraph.media.downscale import downscaled
from bmfgraph.plan.plan import Plan
from bmfgraph.plan.types import FrameSpec

__all__ = ["reduced", "shortened"]


def reduced(job: Job, folder: Path) -> tuple[Job, Path | None]:
    """Return a job with its input reduced by its own scale factor, and the clip to compare with.

    A wrong job stays as it is, without a clip; its errors appear when it is checked.

    Args:
        job: A job with one input and one output, which is larger by a whole factor.
        folder: Folder for reduced clips.

    Raises:
        ConfigError: The output is not larger, or there is more than one input or output.
    """
    try:
        plan = job.plan()
    except BmfgraphError:
        return job, None
    sources = [node for node, _ in plan.sources() if node.files.reads and node.spec.reading(path="")]
    written = [plan.type_of(node.inputs[0]) for node in plan if node.inputs and not node.outputs]
    frames = [kind for kind in written if isinstance(kind, FrameSpec)]
    if len(sources) != 1 or len(frames) != 1:
        raise _no_input(
            f"the pipeline has {len(sources)} decoder(s) and {len(frames)} encoder(s), and needs one of each"
        )
    if len(sources[0].files.reads) > 1:
        raise _no_input("only a single file can be reduced, and these are pictures")
    source = sources[0].outputs[0].type
    assert isinstance(source, FrameSpec)
    scale = frames[0].width // source.width
    if scale < 2 or (source.width * scale, source.height * scale) != (frames[0].width, frames[0].height):
        sizes = f"{source.width}x{source.height} and writes {frames[0].width}x{frames[0].height}"
        raise _no_input(f"the pipeline reads {sizes}, which is not larger by a whole factor")
    small = downscaled(Path(sources[0].files.reads[0]), scale, folder)
    fields = sources[0].spec.reading(path=str(small.clip))
    return _with(job, sources[0].name, fields), small.reference.absolute()


def _no_input(reason: str) -> ConfigError:
    return ConfigError(
        f"input: {reason}",
        path="sweep.reference",
        hint="name a clip, or overrides of one cell",
        code=codes.UNUSABLE_REFERENCE,
    )


def shortened(job: Job, plan: Plan, part: float) -> Job:
    """Return a job with the first part of its inputs, at least one frame of each.

    Args:
        job: The job.
        plan: Its plan, which may have errors.
        part: The part to keep, from 0 to 1.
    """
    for node, info in plan.sources():
        if info.duration:
            frames = node.outputs[0].type
            minimum = 1 / float(frames.rate) if isinstance(frames, FrameSpec) else 0.0
            end = (info.start or 0.0) + max(info.duration * part, minimum)
            job = _with(job, node.name, node.spec.reading(end=math.ceil(end * 1000) / 1000))
    return job


def _with(job: Job, node: str, fields: Mapping[str, Any]) -> Job:
    config = copy.deepcopy(dict(job.config))
    config["pipeline"]["nodes"][node].update(fields)
    return Job.from_config(config)
