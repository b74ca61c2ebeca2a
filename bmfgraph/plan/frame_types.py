"""Define the type of video frames."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

__all__ = [
    "HLG",
    "PQ",
    "RGB_FORMATS",
    "Chroma",
    "ColorSpec",
    "Device",
    "FrameSpec",
    "HdrMetadata",
    "Matrix",
    "bits_of",
    "default_matrix",
    "nearest_format",
    "sampling_of",
]

Device = Literal["cpu", "cuda"]
Matrix = Literal["bt601", "bt709", "bt2020", "rgb"]
Chroma = Literal["left", "center", ""]
"""Horizontal place of the chroma samples of 4:2:0 and 4:2:2: on the left luma sample or between two ("": unknown)."""
PQ, HLG = 16, 18
"""TransferCharacteristics of ITU-T H.273 of the two kinds of HDR video (ITU-R BT.2100)."""
RGB_FORMATS = {"rgb24": 8, "rgb48le": 16}
"""Formats of the frames that stages work on, with the bits of a sample."""


@dataclass(frozen=True)
class ColorSpec:
    """Relation of YUV to RGB: the conversion matrix, and whether luma spans 16..235 or 0..255."""

    matrix: Matrix
    full_range: bool
    tagged: bool = True
    """False: the stream has no colour tags, and the matrix was chosen by the frame size."""
    primaries: int = 2
    """ColourPrimaries of ITU-T H.273; 2: unknown. Likewise ``transfer``, its TransferCharacteristics."""
    transfer: int = 2

    @property
    def yuv(self) -> Matrix:
        """Matrix to write with; RGB sources become BT.709."""
        return "bt709" if self.matrix == "rgb" else self.matrix

    def __str__(self) -> str:
        hdr = {PQ: "/PQ", HLG: "/HLG"}.get(self.transfer, "")
        return f"{self.matrix}/{'full' if self.full_range else 'limited'}{'' if self.tagged else '?'}{hdr}"


def default_matrix(width: int, height: int) -> Matrix:
    """Return the matrix that players assume for untagged video: BT.709 for large frames, else BT.601."""
    return "bt709" if width >= 1280 or height > 576 else "bt601"


def bits_of(pixel_format: str) -> int:
    """Return the bits of a sample in a pixel format, by FFmpeg's name: 8 for yuv420p, 10 for p010le."""
    if pixel_format in RGB_FORMATS:
        return RGB_FORMATS[pixel_format]
    match = re.search(r"(?:p|gray|p[024]|x2rgb|x2bgr|y2)(9|1[0246])(?:le|be)$", pixel_format)
    return int(match[1]) if match else 16 if re.search(r"(?:48|64)(?:le|be)$", pixel_format) else 8


_SAMPLINGS = {"410": (4, 4), "411": (4, 1), "420": (2, 2), "422": (2, 1), "440": (1, 2), "444": (1, 1)}
_NV = {"nv12": "420", "nv21": "420", "nv16": "422", "nv20": "422", "nv24": "444", "nv42": "444"}
_NV |= {"p0": "420", "p2": "422", "p4": "444", "yuyv422": "422", "uyvy422": "422", "yvyu422": "422", "y2": "422"}


def sampling_of(pixel_format: str) -> tuple[int, int] | None:
    """Return luma samples per chroma sample, horizontally and vertically: (2, 2) for yuv420p; None without chroma."""
    match = re.match(r"yuv[aj]?(4\d\d)p", pixel_format)
    name = match[1] if match else next((_NV[start] for start in _NV if re.match(rf"{start}\d*", pixel_format)), "")
    return _SAMPLINGS.get(name)


@dataclass(frozen=True)
class HdrMetadata:
    """Static metadata of HDR10 (SMPTE ST 2086, CTA-861.3)."""

    red: tuple[Fraction, Fraction] = (Fraction(0), Fraction(0))
    """Chromaticity x, y of the mastering display's red; likewise ``green``, ``blue`` and ``white``. 0: unknown."""
    green: tuple[Fraction, Fraction] = (Fraction(0), Fraction(0))
    blue: tuple[Fraction, Fraction] = (Fraction(0), Fraction(0))
    white: tuple[Fraction, Fraction] = (Fraction(0), Fraction(0))
    darkest: Fraction = Fraction(0)
    """Luminance of the mastering display in cd/m²; likewise ``brightest``. 0: unknown."""
    brightest: Fraction = Fraction(0)
    max_content: int = 0
    """MaxCLL in cd/m²; 0: unknown."""
    max_average: int = 0
    """MaxFALL in cd/m²; 0: unknown."""


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
    aspect: Fraction = Fraction(1)
    """Width of a pixel divided by its height."""
    hdr: HdrMetadata | None = None
    origin: str = ""
    """Pixel format of the video that RGB frames were made of; "" where it is their own."""

    @property
    def bits(self) -> int:
        """Bits of a sample."""
        return bits_of(self.pixel_format)

    @property
    def depth(self) -> int:
        """Bits of a sample that matter: RGB of 16 bits made of video with 10 has no more than these."""
        return min(self.bits, bits_of(self.origin or self.pixel_format))

    @property
    def is_hdr(self) -> bool:
        """Whether the frames are HDR video, PQ or HLG."""
        return self.color.transfer in (PQ, HLG)

    def in_format(self, pixel_format: str, color: ColorSpec) -> FrameSpec:
        """Return the type of the same frames in another pixel format."""
        origin = self.origin if pixel_format == self.pixel_format else self.origin or self.pixel_format
        origin = origin if pixel_format in RGB_FORMATS else ""
        return replace(self, pixel_format=pixel_format, color=color, origin=origin)

    def as_rgb(self, width: int | None = None, height: int | None = None, *, deep: bool = False) -> FrameSpec:
        """Return the type of the RGB frames that a stage makes of these.

        Args:
            width: Width in pixels; these frames' by default.
            height: Height in pixels; these frames' by default.
            deep: Frames of more than 8 bits become RGB of 16 bits, all others of 8.
        """
        pixel_format = "rgb48le" if deep and self.bits > 8 else "rgb24"
        frames = self.in_format(pixel_format, replace(self.color, matrix=self.color.yuv, full_range=False))
        return replace(frames, width=width or self.width, height=height or self.height)

    def __str__(self) -> str:
        rate = float(self.rate)
        return f"frames {self.width}x{self.height} {self.pixel_format} {self.color} {rate:g} fps on {self.device}"


def nearest_format(frames: FrameSpec, choices: Sequence[str]) -> str:
    """Return the pixel format that keeps most of the frames: first their depth, then their chroma.

    Where none is exact, the next finer one is taken, and else the finest. RGB and grey frames get the chroma of the
    video that they were made of, else 4:2:0, which plays everywhere.

    Args:
        frames: The frames.
        choices: Pixel formats by FFmpeg's names, in order of preference.
    """
    depth, sampling = frames.depth, sampling_of(frames.origin or frames.pixel_format) or (2, 2)

    def loss(choice: str) -> tuple[bool, int, bool, int]:
        own = sampling_of(choice) or (1, 1)
        coarser = own[0] > sampling[0] or own[1] > sampling[1]
        distance = abs(own[0] * own[1] - sampling[0] * sampling[1])
        return bits_of(choice) < depth, abs(bits_of(choice) - depth), coarser, distance

    return min(choices, key=loss)
