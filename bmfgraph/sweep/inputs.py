"""What cells read, where that is not what the user wrote: a reduced input, or a part of it."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bmfgraph.compile.job import compile_job
from bmfgraph.config.job import read_job
from bmfgraph.errors import ConfigError
from bmfgraph.media.downscale import downscaled
from bmfgraph.nodes.decoder import DecoderParams
from bmfgraph.plan.plan import Plan
from bmfgraph.plan.types import FrameSpec

__all__ = ["reduced", "shortened"]


def reduced(data: Mapping[str, Any], folder: Path) -> tuple[dict[str, Any], Path | None]:
    """The configuration with its input reduced by the factor by which it enlarges, and the clip to compare with.

    A configuration that is wrong stays as it is, with no clip: whoever checks it tells why. Raises ConfigError where
    the output is no larger, or there is not one input and one output.
    """
    plan = compile_job(read_job(data))
    if plan.errors:
        return dict(data), None
    sources = [node for node in plan if isinstance(node.params, DecoderParams)]
    made = [plan.type_of(node.inputs[0]) for node in plan if node.kind == "encoder"]
    frames = [kind for kind in made if isinstance(kind, FrameSpec)]
    if len(sources) != 1 or len(frames) != 1:
        raise _no_input(
            f"the pipeline has {len(sources)} decoder(s) and {len(frames)} encoder(s), and needs one of each"
        )
    given = sources[0].outputs[0].type
    assert isinstance(given, FrameSpec)
    scale = frames[0].width // given.width
    if scale < 2 or (given.width * scale, given.height * scale) != (frames[0].width, frames[0].height):
        sizes = f"{given.width}x{given.height}, and makes {frames[0].width}x{frames[0].height}"
        raise _no_input(f"the pipeline takes {sizes}: that is no whole factor above 1")
    made_small = downscaled(Path(sources[0].params.path), scale, folder)
    return _with(data, sources[0].name, "path", str(made_small.clip)), made_small.reference.absolute()


def _no_input(why: str) -> ConfigError:
    return ConfigError(
        f"input: {why}", path="sweep.reference", hint="name a clip, or overrides of one cell", code="E112"
    )


def shortened(data: Mapping[str, Any], plan: Plan, part: float) -> dict[str, Any]:
    """The configuration with that part of its inputs, from their starts; a frame of each at least."""
    changed = dict(data)
    for node in plan:
        if isinstance(node.params, DecoderParams) and node.params.duration:
            frames = node.outputs[0].type
            minimum = 1 / float(frames.rate) if isinstance(frames, FrameSpec) else 0.0
            end = (node.params.start or 0.0) + max(node.params.duration * part, minimum)
            changed = _with(changed, node.name, "end", math.ceil(end * 1000) / 1000)
    return changed


def _with(data: Mapping[str, Any], node: str, field: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(dict(data))
    changed["pipeline"]["nodes"][node][field] = value
    return changed
