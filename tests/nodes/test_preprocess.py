"""How frames are fitted to what a model wants."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bmfgraph.errors import PlanError
from bmfgraph.nodes.preprocess import Transform
from bmfgraph.plan.description import Framing
from bmfgraph.plan.plan import Inferred, Requirement
from bmfgraph.plan.types import FrameSpec, Placement, TensorMeaning, TensorSpec
from tests.tools import frames, node, want


def resolved(source: FrameSpec, wanted: Requirement | None = None, **options: Any) -> tuple[Transform, TensorSpec]:
    made = node("preprocess", "a", **options)
    found: Inferred = made.spec.infer(made, (source,), wanted)
    tensor = found.outputs[0].type
    assert isinstance(tensor, TensorSpec)
    assert isinstance(found.params, Transform)
    return found.params, tensor


HD = frames(1280, 720)
SD = frames(640, 480)
SHRUNK = replace(want(), framing=Framing(longest=640))


@pytest.mark.parametrize(
    ("source", "options", "wanted", "crop", "resize", "pad", "size"),
    [
        # nothing asked for
        (HD, {}, None, None, None, (0, 0, 0, 0), (720, 1280)),
        (HD, {}, want(), None, None, (0, 0, 0, 0), (720, 1280)),
        # a size the source has anyway
        (SD, {}, want(640, 480), None, None, (0, 0, 0, 0), (480, 640)),
        # letterbox is the default where the shapes differ
        (HD, {}, want(640, 480), None, (640, 360), (0, 60, 0, 60), (480, 640)),
        (SD, {}, want(1280, 720), None, (960, 720), (160, 0, 160, 0), (720, 1280)),
        (HD, {"size": [480, 640]}, None, None, (640, 360), (0, 60, 0, 60), (480, 640)),
        # odd rests go right and down
        (frames(100, 50), {"size": [64, 64]}, None, None, (64, 32), (0, 16, 0, 16), (64, 64)),
        (frames(100, 50), {"size": [65, 64]}, None, None, (64, 32), (0, 16, 0, 17), (65, 64)),
        (frames(5000, 2), {"size": [10, 10]}, None, None, (10, 1), (0, 4, 0, 5), (10, 10)),
        # stretch and crop
        (HD, {"fit": "stretch"}, want(640, 480), None, (640, 480), (0, 0, 0, 0), (480, 640)),
        (HD, {"fit": "crop"}, want(640, 480), (160, 0, 960, 720), (640, 480), (0, 0, 0, 0), (480, 640)),
        (HD, {"fit": "crop"}, want(480, 720), (400, 0, 480, 720), None, (0, 0, 0, 0), (720, 480)),
        (
            frames(900, 2),
            {"fit": "crop", "size": [999, 2]},
            None,
            (449, 0, 1, 2),
            (2, 999),
            (0, 0, 0, 0),
            (999, 2),
        ),
        # one side fixed by the model
        (HD, {}, want(height=360), None, (640, 360), (0, 0, 0, 0), (360, 640)),
        (HD, {}, want(width=640), None, (640, 360), (0, 0, 0, 0), (360, 640)),
        (HD, {"size": [360, None]}, want(), None, (640, 360), (0, 0, 0, 0), (360, 640)),
        (frames(5000, 2), {}, want(width=100), None, (100, 1), (0, 0, 0, 0), (1, 100)),
        (HD, {"fit": "stretch"}, want(height=360), None, (1280, 360), (0, 0, 0, 0), (360, 1280)),
        # a region is fitted as a frame of its size is
        (HD, {"region": [100, 50, 320, 40]}, None, (100, 50, 320, 40), None, (0, 0, 0, 0), (40, 320)),
        (HD, {"region": [100, 50, 320, 40]}, want(height=48), (100, 50, 320, 40), (384, 48), (0, 0, 0, 0), (48, 384)),
        (HD, {"region": [8, 4, 40, 20]}, want(64, 64), (8, 4, 40, 20), (64, 32), (0, 16, 0, 16), (64, 64)),
        (HD, {"region": [8, 4, 40, 20], "fit": "crop"}, want(5, 5), (18, 4, 20, 20), (5, 5), (0, 0, 0, 0), (5, 5)),
        (HD, {"region": [0, 0, 1280, 720]}, None, (0, 0, 1280, 720), None, (0, 0, 0, 0), (720, 1280)),
        # a multiple is padded, from the model or the YAML
        (HD, {}, want(multiple=32), None, None, (0, 0, 0, 16), (736, 1280)),
        (HD, {"multiple": 100}, want(multiple=32), None, None, (0, 0, 20, 80), (800, 1300)),
        (HD, {"size": [360, 640]}, want(multiple=32), None, (640, 360), (0, 0, 0, 24), (384, 640)),
        (HD, {"fit": "none"}, want(multiple=32), None, None, (0, 0, 0, 16), (736, 1280)),
        (SD, {"fit": "none"}, want(640, 480), None, None, (0, 0, 0, 0), (480, 640)),
        # larger frames are shrunk, if their size is free
        (HD, {"longest": 640}, want(multiple=32), None, (640, 360), (0, 0, 0, 24), (384, 640)),
        (frames(720, 1280), {"longest": 640}, None, None, (360, 640), (0, 0, 0, 0), (640, 360)),
        (frames(1920, 803), {"longest": 640}, None, None, (640, 268), (0, 0, 0, 0), (268, 640)),
        (frames(5000, 2), {"longest": 640}, None, None, (640, 1), (0, 0, 0, 0), (1, 640)),
        (SD, {"longest": 640}, want(multiple=32), None, None, (0, 0, 0, 0), (480, 640)),
        (HD, {"longest": 640, "fit": "none"}, None, None, None, (0, 0, 0, 0), (720, 1280)),
        (HD, {"longest": 640, "size": [480, 800]}, None, None, (800, 450), (0, 15, 0, 15), (480, 800)),
        (HD, {"longest": 640}, want(height=720), None, None, (0, 0, 0, 0), (720, 1280)),
        (HD, {}, SHRUNK, None, (640, 360), (0, 0, 0, 0), (360, 640)),
        (HD, {"longest": 0}, SHRUNK, None, None, (0, 0, 0, 0), (720, 1280)),
        (HD, {"longest": 900}, SHRUNK, None, (900, 506), (0, 0, 0, 0), (506, 900)),
    ],
)
def test_fit(
    source: FrameSpec,
    options: dict[str, Any],
    wanted: Requirement | None,
    crop: Any,
    resize: Any,
    pad: Any,
    size: tuple[int, int],
) -> None:
    params, tensor = resolved(source, wanted, **options)
    assert (params.crop, params.resize, params.pad) == (crop, resize, pad)
    assert (tensor.size_of("height"), tensor.size_of("width")) == size
    # The parts add up, whatever the table says.
    left, top, right, bottom = params.pad
    inner = params.resize or ((params.crop[2], params.crop[3]) if params.crop else (source.width, source.height))
    assert (top + inner[1] + bottom, left + inner[0] + right) == size
    assert min(params.pad) >= 0


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, want(640, 480)),
        ({"fit": "crop"}, want(640, 480)),
        ({"fit": "stretch"}, want(300, 700)),
        ({}, want()),
        ({"region": [30, 20, 100, 50]}, want(640, 480)),
        ({"region": [30, 20, 100, 50], "fit": "crop"}, want(640, 480)),
    ],
)
def test_the_placement_maps_the_source_into_the_tensor(options: dict[str, Any], wanted: Requirement) -> None:
    params, tensor = resolved(HD, wanted, **options)
    place = tensor.placement
    assert isinstance(place, Placement)
    left, top, width, height = params.crop or (0, 0, HD.width, HD.height)
    inner = params.resize or (width, height)
    # Corners of the part that is kept land on the corners of the picture inside the padding.
    for x, y, across, down in ((left, top, 0, 0), (left + width, top + height, *inner)):
        assert place.left + x * place.scale_x == pytest.approx(params.pad[0] + across)
        assert place.top + y * place.scale_y == pytest.approx(params.pad[1] + down)
    assert (place.width, place.height) == (tensor.size_of("width"), tensor.size_of("height"))
    assert place.shown_part() == (left, top, width, height)
    assert place.place_of_shown_part() == (*params.pad[:2], *inner)


@pytest.mark.parametrize("region", [[1, 0, 1280, 720], [0, 700, 10, 21]])
def test_a_region_lies_inside_the_frame(region: list[int]) -> None:
    right, bottom = region[0] + region[2], region[1] + region[3]
    with pytest.raises(PlanError, match=f"ends at {right}x{bottom}, beyond frames of 1280x720") as failure:
        resolved(HD, None, region=region)
    assert failure.value.problems[0].code == "E334"


@pytest.mark.parametrize(
    ("options", "wanted", "meaning", "dtype", "shape"),
    [
        ({}, None, TensorMeaning(), "uint8", (1, 3, 480, 640)),
        ({"mean": 127}, None, TensorMeaning(mean=(127,)), "float32", (1, 3, 480, 640)),
        ({"layout": "NHWC"}, None, TensorMeaning("NHWC"), "uint8", (1, 480, 640, 3)),
        ({"channels": "GRAY"}, None, TensorMeaning(channels="GRAY"), "uint8", (1, 1, 480, 640)),
        ({"dtype": "float16", "std": 255}, None, TensorMeaning(std=(255,)), "float16", (1, 3, 480, 640)),
        (
            {},
            want(dtype="float32", meaning=TensorMeaning(mean=(1,))),
            TensorMeaning(mean=(1,)),
            "float32",
            (1, 3, 480, 640),
        ),
        (
            {"mean": 0},
            want(dtype="float32", meaning=TensorMeaning(mean=(1,))),
            TensorMeaning(),
            "float32",
            (1, 3, 480, 640),
        ),
        ({"channels": "BGR"}, want(), TensorMeaning(channels="BGR"), "uint8", (1, 3, 480, 640)),
        ({"mean": [9, 9, 9]}, want(dtype="float64"), TensorMeaning(mean=(9,)), "float64", (1, 3, 480, 640)),
    ],
)
def test_what_is_unsaid_follows_the_model(
    options: dict[str, Any], wanted: Requirement | None, meaning: TensorMeaning, dtype: str, shape: tuple[int, ...]
) -> None:
    params, tensor = resolved(SD, wanted, **options)
    assert params.meaning == tensor.meaning == meaning
    assert params.dtype == tensor.dtype == dtype
    assert tensor.shape == shape
    assert params.name == tensor.name == ("input" if wanted else "n")
    assert tensor.source == SD


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_normalised_values_do_not_fit_whole_numbers(dtype: str) -> None:
    with pytest.raises(PlanError, match=f"do not fit dtype {dtype}"):
        resolved(SD, want(dtype=dtype, meaning=TensorMeaning(std=(255,))))
