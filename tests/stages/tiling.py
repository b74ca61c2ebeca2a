"""Cut tensors to tiles and put them together, as the nodes do with a model between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from bmfgraph.plan.types import Device, Dim, TensorSpec
from bmfgraph.stages.items import Frame, Sample
from bmfgraph.stages.stitch import Stitch
from bmfgraph.stages.tiles import CutTiles
from tests.tools import node, tensor, want

__all__ = ["cut_and_stitched"]


def cut_and_stitched(
    picture: torch.Tensor,
    tile: tuple[int, int],
    overlap: int,
    model: Callable[[torch.Tensor], torch.Tensor] = lambda tiles: tiles,
    *,
    layout: str = "NCHW",
    scale: int = 1,
    multiple: int = 1,
    device: Device = "cpu",
) -> torch.Tensor:
    """Return what a model that changes the size by ``scale`` makes of a picture in tiles [height, width]."""
    sizes = dict(zip(("height", "width"), picture.shape[2:] if layout == "NCHW" else picture.shape[1:3], strict=True))
    dtype = str(picture.dtype).rpartition(".")[2]
    source = tensor(sizes["width"], sizes["height"], layout=layout, dtype=dtype)
    tiles = node("tiles", "prepare", size=tile, overlap=overlap)
    inferred = tiles.spec.infer(tiles, (source,), want(multiple=multiple))
    cut = inferred.outputs[0].type
    assert isinstance(cut, TensorSpec)
    dims = tuple(
        Dim(dim.name, dim.size * scale) if dim.size and dim.name in ("height", "width") else dim for dim in cut.dims
    )
    stitch = node("stitch", "net")
    joined = stitch.spec.infer(stitch, (replace(cut, dims=dims),), None)
    cutter, stitcher = CutTiles("tiles", inferred.params), Stitch("stitch", joined.params)
    for stage in (cutter, stitcher):
        stage.device = device
        stage.open()
    (sample,) = cutter.process(Sample({"input": picture.to(device)}, (Frame(3),)))
    assert tuple(sample.tensors["input"].shape) == cut.shape
    answer = Sample({"input": model(sample.tensors["input"])}, sample.frames)
    (whole,) = stitcher.process(answer)
    result = whole.tensors["input"]
    assert isinstance(joined.outputs[0].type, TensorSpec)
    assert (whole.index, tuple(result.shape)) == (3, joined.outputs[0].type.shape)
    return result
