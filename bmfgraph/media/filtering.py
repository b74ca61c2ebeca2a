"""Run FFmpeg's filters on frames of one stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av import VideoFrame
    from av.filter.context import FilterContext

__all__ = ["FilterStep", "FrameFilter"]

FilterStep = tuple[str, str]
"""Name of a filter of FFmpeg, and its options as FFmpeg writes them."""


class FrameFilter:
    """A chain of FFmpeg's filters. The first frame determines its input: size, pixel format, colours, and time base."""

    def __init__(self, steps: Sequence[FilterStep], threads: int = 0) -> None:
        """Keep the steps; the chain is made for the first frame.

        Args:
            steps: The filters in order.
            threads: Threads of filters that work on slices of a frame; 0 lets FFmpeg choose.
        """
        self._steps, self._threads = tuple(steps), threads
        self._ends: tuple[FilterContext, FilterContext] | None = None

    def push(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        """Yield the frames that are ready once the chain has this one.

        Raises:
            av.FFmpegError: A filter cannot be configured, or fails.
        """
        source, sink = self._ends or self._configured(frame)
        source.push(frame)
        yield from _ready(sink)

    def finish(self) -> Iterator[VideoFrame]:
        """Yield the frames that the filters still hold."""
        if self._ends is not None:
            source, sink = self._ends
            source.push(None)
            yield from _ready(sink)

    def _configured(self, frame: VideoFrame) -> tuple[FilterContext, FilterContext]:
        from av.filter import Graph

        graph = Graph()
        graph.threads = self._threads
        base = frame.time_base
        options = {
            "video_size": f"{frame.width}x{frame.height}",
            "pix_fmt": frame.format.name,
            "time_base": f"{base.numerator}/{base.denominator}" if base else "1/1000000",
            "colorspace": str(int(frame.colorspace)),
            "range": str(int(frame.color_range)),
        }
        chain = [graph.add("buffer", ":".join(f"{key}={value}" for key, value in options.items()))]
        for name, arguments in self._steps:
            chain.append(graph.add(name, arguments or None))
        chain.append(graph.add("buffersink"))
        graph.link_nodes(*chain).configure()
        # The contexts refer to the graph weakly.
        self._graph = graph
        self._ends = (chain[0], chain[-1])
        return self._ends


def _ready(sink: FilterContext) -> Iterator[VideoFrame]:
    from av import VideoFrame, error

    while True:
        try:
            frame = sink.pull()
        except (error.BlockingIOError, error.EOFError):
            return
        assert isinstance(frame, VideoFrame)
        yield frame
