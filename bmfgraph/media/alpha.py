"""Blend frames that have an alpha channel with a background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bmfgraph.media.filtering import FilterStep, FrameFilter

if TYPE_CHECKING:
    from av import VideoCodecContext, VideoFrame

__all__ = ["Flattener", "has_alpha", "is_transparent", "picture_decoder"]

_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders that read the alpha channel of WebM; FFmpeg's own ones leave it out."""


def has_alpha(form: Any) -> bool:
    """Return whether a pixel format of PyAV has alpha, perhaps in its palette."""
    return form.has_palette or any(component.is_alpha for component in form.components)


def is_transparent(frame: VideoFrame) -> bool:
    """Return whether any pixel of a frame is not opaque."""
    return has_alpha(frame.format) and bool((frame.reformat(format="rgba").to_ndarray()[..., 3] < 255).any())


def picture_decoder(stream: Any) -> VideoCodecContext:
    """Return the decoder of a video stream; for WebM with alpha, one that reads it."""
    from av import CodecContext, VideoCodecContext

    context: VideoCodecContext = stream.codec_context
    decoder = _WITH_ALPHA.get(context.codec.canonical_name)
    if decoder is None or stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")) != "1":
        return context
    result = CodecContext.create(decoder, "r")
    assert isinstance(result, VideoCodecContext)
    result.extradata = context.extradata
    return result


class Flattener:
    """Blends frames with one colour."""

    def __init__(self, steps: tuple[FilterStep, ...], background: tuple[int, int, int]) -> None:
        """Keep the settings.

        Args:
            steps: Filters that convert the frames to rgba or rgba64le.
            background: RGB, 0..255.
        """
        self._filter, self._background = FrameFilter(steps), background

    def blended(self, frame: VideoFrame) -> VideoFrame:
        """Return an opaque frame, rgb24 or rgb48le, with the same time."""
        import numpy as np
        from av import VideoFrame

        (converted,) = self._filter.push(frame)
        pixels: Any = converted.to_ndarray()
        deep = pixels.dtype == np.uint16
        top = 65535 if deep else 255
        alpha = pixels[..., 3:].astype(np.uint32)
        ground = np.array(self._background, np.uint32) * (top // 255)
        mixed = pixels[..., :3] * alpha + ground * (top - alpha) + top // 2
        result = VideoFrame.from_ndarray((mixed // top).astype(pixels.dtype), format="rgb48le" if deep else "rgb24")
        result.pts, result.time_base, result.duration = frame.pts, frame.time_base, frame.duration
        result.color_primaries, result.color_trc = frame.color_primaries, frame.color_trc
        return result
