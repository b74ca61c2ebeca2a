"""Test which conversions join two ends of an edge."""

from __future__ import annotations

from typing import Any

import pytest

from bmfgraph.nodes.transfer import converters
from bmfgraph.plan.description import InputType
from bmfgraph.plan.types import Device, FrameSpec
from tests.tools import frames

RGB, RGB24 = InputType(FrameSpec, "rgb"), InputType(FrameSpec, "rgb24")
X265 = InputType(FrameSpec, choices=("yuv420p", "yuv420p10le"))
NVENC = InputType(FrameSpec, choices=("yuv420p", "p010le"))


def deep(**options: Any) -> FrameSpec:
    return frames(pixel_format="rgb48le", origin="yuv420p10le", **options)


@pytest.mark.parametrize(
    ("source", "accepted", "device", "expected"),
    [
        (frames(), RGB, "cpu", ["convert rgb24"]),
        (frames(pixel_format="yuv422p10le"), RGB, "cpu", ["convert rgb48le"]),
        (frames(pixel_format="yuv422p10le"), RGB24, "cpu", ["convert rgb24"]),
        (frames(pixel_format="yuv420p10le"), X265, "cpu", []),
        (frames(pixel_format="yuv420p10le"), None, "cpu", []),
        (deep(), X265, "cpu", ["convert yuv420p10le"]),
        (deep(), RGB, "cpu", []),
        (frames(), RGB, "cuda", ["upload"]),
        (frames(pixel_format="yuv420p10le"), RGB, "cuda", ["upload"]),
        (frames(pixel_format="yuv420p10le"), RGB24, "cuda", ["upload", "convert rgb24"]),
        (frames(pixel_format="gbrp12le"), RGB, "cuda", ["convert rgb48le", "upload"]),
        (frames(pixel_format="yuv411p"), RGB, "cuda", ["convert rgb24", "upload"]),
        (deep(), RGB, "cuda", ["upload"]),
        (deep(device="cuda"), RGB24, "cuda", ["convert rgb24"]),
        (deep(device="cuda"), RGB, "cuda", []),
        (deep(device="cuda"), X265, "cpu", ["download yuv420p10le"]),
        (deep(device="cuda"), NVENC, "cpu", ["download rgb48le", "convert p010le"]),
        (deep(device="cuda"), RGB24, "cpu", ["download rgb24"]),
        (deep(device="cuda"), RGB, "cpu", ["download rgb48le"]),
        (deep(device="cuda"), None, "cpu", ["download rgb48le"]),
    ],
)
def test_joints(source: FrameSpec, accepted: InputType | None, device: Device, expected: list[str]) -> None:
    joints = converters(source, accepted, device)
    assert [f"{spec.kind} {getattr(spec, 'pixel_format', '')}".strip() for spec in joints] == expected
