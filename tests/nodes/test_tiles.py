"""What the kinds tiles and stitch make of their inputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bmfgraph.engines.onnx.model import read_onnx
from bmfgraph.errors import PlanError
from bmfgraph.nodes.decode import MapDecode
from bmfgraph.nodes.facts import complete
from bmfgraph.nodes.fields import TensorLayout
from bmfgraph.nodes.model import ModelSpec
from bmfgraph.nodes.stitch import Side
from bmfgraph.plan.plan import Inferred, Requirement
from bmfgraph.plan.types import BundleSpec, Dim, TensorSpec, Tiling
from tests.tools import double_model, node, placement, tensor, want


def tiled(source: TensorSpec, wanted: Requirement | None = None, **options: Any) -> TensorSpec:
    """Return the type of a picture's tiles."""
    made = node("tiles", "prepare", **options)
    out = made.spec.infer(made, (source,), wanted).outputs[0].type
    assert isinstance(out, TensorSpec)
    return out


def stitched(source: TensorSpec | BundleSpec, **options: Any) -> Inferred:
    made = node("stitch", "net", **options)
    return made.spec.infer(made, (source,), None)


def grown(cut: TensorSpec, scale: float) -> TensorSpec:
    """Return the output of a model that changes the size of its input."""
    sides = ("height", "width")
    dims = tuple(Dim(dim.name, int((dim.size or 0) * scale)) if dim.name in sides else dim for dim in cut.dims)
    return replace(cut, dims=dims)


def test_tiles_have_the_size_of_the_model_and_the_picture_keeps_its_own() -> None:
    made = node("tiles", "prepare")
    passed = made.spec.requires(made, 0, want(256, 192, multiple=8))
    assert passed == want(None, None, multiple=8)
    assert made.spec.requires(made, 0, None) is None
    cut = tiled(tensor(1280, 720), want(256, 192))
    assert cut.tiling == Tiling(256, 192, (0, 224, 448, 672, 896, 1024), (0, 160, 320, 480, 528), 1280, 720, overlap=32)
    assert str(cut.tiling) == "6x5 tiles of 256x192"
    assert (cut.shape, cut.placement) == ((30, 3, 192, 256), placement(1280, 720))


def test_tiles_begin_at_multiples() -> None:
    cut = tiled(tensor(1280, 704), want(multiple=32), size=[256, 256], overlap=20)
    assert cut.tiling is not None
    assert (cut.tiling.lefts, cut.tiling.tops) == ((0, 224, 448, 672, 896, 1024), (0, 224, 448))


@pytest.mark.parametrize(
    ("source", "wanted", "options", "code"),
    [
        (tensor(), want(), {}, "E531"),
        (tensor(), None, {}, "E531"),
        (tensor(), want(32, 32), {"overlap": 32}, "E532"),
        (tensor(), want(multiple=16), {"size": [32, 32], "overlap": 17}, "E532"),
        (tensor(), want(32, 32), {"size": [32, 64]}, "E516"),
        (tensor(), want(multiple=32), {"size": [32, 48]}, "E510"),
        (replace(tensor(), meaning=None), want(32, 32), {}, "E313"),
    ],
)
def test_wrong_tiles(source: TensorSpec, wanted: Requirement | None, options: dict[str, Any], code: str) -> None:
    with pytest.raises(PlanError) as caught:
        tiled(source, wanted, **options)
    assert caught.value.problems[0].code == code


def test_an_overlap_matters_only_where_the_picture_is_larger_than_a_tile() -> None:
    cut = tiled(tensor(64, 48), want(128, 64), overlap=64)
    assert cut.tiling == Tiling(128, 64, (0,), (0,), 64, 48, overlap=64)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_the_whole_picture_has_the_scale_of_the_model(layout: str) -> None:
    place = placement(100, 80, source_width=90)
    cut = tiled(replace(tensor(100, 80, layout=layout), placement=place), size=[32, 48], overlap=8)
    joined = stitched(grown(cut, 2))
    out = joined.outputs[0].type
    assert isinstance(out, TensorSpec)
    assert out == replace(
        tensor(200, 160, layout=layout), placement=place.scaled_to(200, 160), source=tensor(100, 80).source
    )
    assert out.tiling is None
    axis = 2 if layout == "NCHW" else 1
    assert joined.params.height == Side(axis, (0, 48, 96), 64, 160, 16.0)
    assert joined.params.width == Side(axis + 1, (0, 80, 104), 96, 200, 16.0)


def test_a_map_keeps_its_layout_and_its_place_in_the_input() -> None:
    cut = tiled(tensor(96, 64), size=[32, 32], overlap=8)
    dims = (cut.dims[0], Dim("dim1", 16), Dim("dim2", 16))
    depth = replace(cut, name="depth", dims=dims, meaning=None)
    layout = TensorLayout(dims=("batch", "height", "width"))
    other = replace(depth, name="other")
    source = BundleSpec((other, depth), MapDecode(), (("depth", layout),))
    out = stitched(source, tensor="depth").outputs[0].type
    whole = replace(depth, dims=(Dim("batch", 1), Dim("dim1", 32), Dim("dim2", 48)), tiling=None)
    assert out == BundleSpec((whole,), MapDecode(), (("depth", layout),))
    # An output that is not described is read as its task does: height and width last.
    assert stitched(BundleSpec((depth,), MapDecode())).outputs[0].type == BundleSpec((whole,), MapDecode())


def test_what_cannot_be_stitched() -> None:
    cut = tiled(tensor(100, 80), size=[32, 32], overlap=8)
    plain = replace(cut, meaning=None, dims=(cut.dims[0], Dim("dim1", 10)))
    free = replace(cut, dims=(*cut.dims[:3], Dim("width", None)))
    for source, code in ((tensor(), "E534"), (plain, "E313"), (free, "E518"), (grown(cut, 0.125), "E535")):
        with pytest.raises(PlanError) as caught:
            stitched(source)
        assert caught.value.problems[0].code == code
    # With tiles at multiples of 8, an eighth of the size has whole pixels.
    aligned = tiled(tensor(104, 80), want(multiple=8), size=[32, 32], overlap=8)
    assert stitched(grown(aligned, 0.125)).params.width.starts == (0, 3, 6, 9)


def test_a_model_answers_each_tile(tmp_path: Path) -> None:
    model = {"name": "m", "file": str(double_model(tmp_path / "x.onnx")), "outputs": {"output": {}}}
    made = node(
        "inference",
        "tiles",
        model=model,
        engine={"batch": 4},
        facts=complete(ModelSpec.model_validate(model), read_onnx(tmp_path / "x.onnx")),
    )
    cut = tiled(tensor(100, 80), size=[32, 32], overlap=8)
    inferred = made.spec.infer(made, (cut,), None)
    out = inferred.outputs[0].type
    assert isinstance(out, TensorSpec)
    # 4 columns and 3 rows, in batches of 4.
    assert (out.shape, out.tiling, out.placement) == ((12, 3, 64, 64), cut.tiling, cut.placement)
    assert (inferred.params.inputs, inferred.params.batch) == ((("input", (4, 3, 32, 32)),), 4)
