"""Read and write the static metadata of HDR10: mastering display and content light."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from bmfgraph.media.frame_facts import side_data_of
from bmfgraph.plan.types import HdrMetadata

__all__ = ["hdr_metadata", "hdr_options"]

_DISPLAY, _LIGHT = struct.Struct("<22i"), struct.Struct("<2I")
"""AVMasteringDisplayMetadata and AVContentLightMetadata of FFmpeg."""
Pair = tuple[Fraction, Fraction]


def hdr_metadata(frame: Any) -> HdrMetadata | None:
    """Return the metadata that a decoded frame of PyAV has; None for none."""
    from av.sidedata.sidedata import Type

    side_data = side_data_of(frame)
    display = side_data.get(Type.MASTERING_DISPLAY_METADATA)
    light = side_data.get(Type.CONTENT_LIGHT_LEVEL)
    fields: dict[str, Any] = {}
    if display is not None:
        *numbers, has_primaries, has_luminance = _DISPLAY.unpack_from(bytes(display))
        values = [Fraction(top, bottom or 1) for top, bottom in zip(numbers[::2], numbers[1::2], strict=True)]
        if has_primaries:
            places = zip(values[0:8:2], values[1:8:2], strict=True)
            fields |= dict(zip(("red", "green", "blue", "white"), places, strict=True))
        if has_luminance:
            fields |= {"darkest": values[8], "brightest": values[9]}
    if light is not None:
        fields["max_content"], fields["max_average"] = _LIGHT.unpack_from(bytes(light))
    return HdrMetadata(**fields) if any(value not in (0, (0, 0)) for value in fields.values()) else None


def hdr_options(codec: str, metadata: HdrMetadata) -> tuple[str, str] | None:
    """Return the option that makes an encoder write the metadata into the stream, and its value.

    Args:
        codec: FFmpeg's name of the encoder.
        metadata: The metadata.

    Returns:
        None for an encoder that does not write it.
    """
    if codec not in _ENCODERS:
        return None
    option, display_key, light_key, display = _ENCODERS[codec]
    terms = []
    if metadata.brightest:
        terms.append(f"{display_key}={display(metadata)}")
    if metadata.max_content or metadata.max_average:
        terms.append(f"{light_key}={metadata.max_content},{metadata.max_average}")
    return (option, ":".join(terms)) if terms else None


def _display(metadata: HdrMetadata, place: Callable[[Fraction], str], light: Callable[[Fraction], str]) -> str:
    named = (("G", metadata.green), ("B", metadata.blue), ("R", metadata.red), ("WP", metadata.white))
    places = "".join(f"{name}({place(x)},{place(y)})" for name, (x, y) in named)
    return f"{places}L({light(metadata.brightest)},{light(metadata.darkest)})"


def _in_units(metadata: HdrMetadata) -> str:
    """Write the display in the units of H.265: 0.00002 for chromaticities, 0.0001 cd/m² for luminance."""
    return _display(metadata, lambda value: str(round(value * 50_000)), lambda value: str(round(value * 10_000)))


def _in_decimals(metadata: HdrMetadata) -> str:
    return _display(metadata, lambda value: f"{float(value):.5f}", lambda value: f"{float(value):.4f}")


_ENCODERS: dict[str, tuple[str, str, str, Callable[[HdrMetadata], str]]] = {
    "libx264": ("x264-params", "mastering-display", "cll", _in_units),
    "libx265": ("x265-params", "master-display", "max-cll", _in_units),
    "libsvtav1": ("svtav1-params", "mastering-display", "content-light", _in_decimals),
}
"""FFmpeg's name -> option for the encoder's own settings, their keys for display and light, and the display's form."""
