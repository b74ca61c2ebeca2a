"""Define the type of video frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

__all__ = ["Chroma", "ColorSpec", "Device", "FrameSpec", "Matrix", "default_matrix"]

Device = Literal["cpu", "cuda"]
Matrix = Literal["bt601", "bt709", "bt2020", "rgb"]
Chroma = Literal["left", "center", ""]
"""Horizontal place of the chroma samples of 4:2:0 and 4:2:2: on the left luma sample or between two ("": unknown)."""


@dataclass(frozen=True)
class ColorSpec:
    """Relation of YUV to RGB: the conversion matrix, and whether luma spans 16..235 or 0..255."""

    matrix: Matrix
    full_range: bool
    tagged: bool = True
    """False: the stream has no colour tags, and the matrix was chosen by the frame size."""

    @property
    def yuv(self) -> Matrix:
        """Matrix to write with; RGB sources become BT.709."""
        return "bt709" if self.matrix == "rgb" else self.matrix

    def __str__(self) -> str:
        return f"{self.matrix}/{'full' if self.full_range else 'limited'}{'' if self.tagged else '?'}"


def default_matrix(width: int, height: int) -> Matrix:
    """Return the matrix that players assume for untagged video: BT.709 for large frames, else BT.601."""
    return "bt709" if width >= 1280 or height > 576 else "bt601"


@dataclass(frozen=True)
class FrameSpec:
    """Video frames. ``width`` and ``height`` in pixels, as displayed (rotation applied)."""

    width: int
    height: int
    pixel_format: str
    color: ColorSpec
    rate: Fraction
    time_base: Fraction
    variable_rate: bool = False
    time_grid: Fraction | None = None
    """Seconds; every frame's time is a multiple of it. None: the time from one frame to the next, 1/rate."""
    chroma: Chroma = ""
    device: Device = "cpu"

    def as_rgb(self, width: int | None = None, height: int | None = None) -> FrameSpec:
        """Return the type of the RGB24 frames that a stage makes of these, in another size if one is given."""
        return replace(
            self,
            width=width or self.width,
            height=height or self.height,
            pixel_format="rgb24",
            color=ColorSpec(self.color.yuv, False, self.color.tagged),
        )

    def __str__(self) -> str:
        rate = float(self.rate)
        return f"frames {self.width}x{self.height} {self.pixel_format} {self.color} {rate:g} fps on {self.device}"
