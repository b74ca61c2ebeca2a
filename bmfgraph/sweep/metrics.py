"""What a sweep measures: every metric's name, unit, direction and meaning, and how to read one out of a cell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

__all__ = [
    "METRICS",
    "Metric",
    "finite",
    "measured",
    "median",
    "memory_metric",
    "quality_metric",
    "speed_metric",
    "spread",
]


@dataclass(frozen=True)
class Metric:
    """One number of a cell. ``digits`` stand after the point."""

    name: str
    title: str
    unit: str
    digits: int
    better: Literal["higher", "lower"]
    meaning: str
    perfect: float | None = None
    """The value of an output that equals the reference; metrics of quality have one."""

    @property
    def heading(self) -> str:
        """The title with a capital, unless it has one of its own: ``Steady speed``, ``mAP@50``."""
        return self.title if self.title[1].isupper() else self.title[0].upper() + self.title[1:]

    def sign(self) -> int:
        """1 where more is better, else -1."""
        return 1 if self.better == "higher" else -1

    def text(self, value: float) -> str:
        """The number without its unit, with two significant digits at least: ``212.4``, ``0.034``."""
        if self.unit == "dB" and self.perfect is not None and value >= self.perfect:
            return "identical"
        digits = self.digits
        if value and abs(value) < 1:
            digits = max(digits, min(6, 1 - math.floor(math.log10(abs(value)))))
        return f"{value:.{digits}f}"

    def full(self, value: float) -> str:
        """The number with its unit: ``212.4 fps``."""
        text = self.text(value)
        return f"{text} {self.unit}" if self.unit and text != "identical" else text


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric(
                "fps", "end-to-end speed", "fps", 1, "higher", "Frames by the time from start to the finished file."
            ),
            Metric("steady_fps", "steady speed", "fps", 1, "higher", "Frames a second once the first batch is done."),
            Metric("inference_fps", "engine speed", "fps", 1, "higher", "Frames a second of the engine alone."),
            Metric(
                "latency_p50_ms", "latency p50", "ms", 1, "lower", "Half of the frames take less, decoder to encoder."
            ),
            Metric(
                "latency_p95_ms", "latency p95", "ms", 1, "lower", "95 of 100 frames take less, decoder to encoder."
            ),
            Metric(
                "latency_p99_ms", "latency p99", "ms", 1, "lower", "99 of 100 frames take less, decoder to encoder."
            ),
            Metric("first_frame_s", "first frame", "s", 2, "lower", "From start until the first frame is done."),
            Metric("build_s", "engine build", "s", 1, "lower", "Time to build the engine, once for each machine."),
            Metric("engine_mb", "engine size", "MB", 1, "lower", "Size of the engine's file."),
            Metric("peak_rss_mb", "peak memory", "MB", 0, "lower", "The most main memory that the process held."),
            Metric("peak_gpu_mb", "peak GPU memory", "MB", 0, "lower", "The most GPU memory that was in use."),
            Metric("joules_per_frame", "energy", "J/frame", 2, "lower", "Energy by the number of frames."),
            Metric("output_mb", "output size", "MB", 2, "lower", "Size of the files that were written."),
            Metric(
                "psnr_y", "PSNR-Y", "dB", 2, "higher", "Luma's peak signal-to-noise ratio, mean of all frames.", 100
            ),
            Metric("ssim", "SSIM", "", 4, "higher", "Structural similarity of the pictures, at most 1.", 1),
            Metric(
                "vmaf", "VMAF", "", 1, "higher", "Netflix's estimate of how good viewers find it, at most 100.", 100
            ),
            Metric(
                "map50", "mAP@50", "", 3, "higher", "Mean average precision of boxes that overlap by half or more.", 1
            ),
            Metric("precision", "precision", "", 3, "higher", "The share of the boxes found that are right.", 1),
            Metric("recall", "recall", "", 3, "higher", "The share of the boxes wanted that are found.", 1),
        )
    }
)
"""By name, in the order in which reports show them; of several metrics of quality the first one speaks for all."""


def finite(value: object) -> float | None:
    """The number, or None where it is none that can be compared."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def done(cells: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The cells that ran to their end."""
    return [cell for cell in cells if cell["status"] == "ok"]


def median(cell: Mapping[str, Any], name: str) -> float | None:
    """A metric of a finished cell, the median of its runs. The reference is its own equal where nobody measured it."""
    if cell["status"] != "ok":
        return None
    value = _part(cell, name, "median")
    if value is None and cell.get("is_reference"):
        return METRICS[name].perfect
    return value


def spread(cell: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    """The least and the greatest of a cell's runs, where both are known."""
    low, high = _part(cell, name, "min"), _part(cell, name, "max")
    return None if low is None or high is None else (low, high)


def _part(cell: Mapping[str, Any], name: str, part: str) -> float | None:
    return finite((cell["metrics"].get(name) or {}).get(part))


def measured(cells: Iterable[Mapping[str, Any]]) -> list[Metric]:
    """The metrics that at least one cell has a number for."""
    names = {name for cell in cells for name in cell["metrics"] if _part(cell, name, "median") is not None}
    return [metric for metric in METRICS.values() if metric.name in names]


def quality_metric(cells: Iterable[Mapping[str, Any]], wanted: Iterable[str] = ()) -> Metric | None:
    """The metric of quality that speaks for these cells: one of those wanted, else the first that was measured."""
    found = [metric for metric in measured(done(cells)) if metric.perfect is not None]
    asked = [metric for metric in found if metric.name in set(wanted)]
    return next(iter(asked + found), None)


def speed_metric(cells: Iterable[Mapping[str, Any]]) -> Metric:
    """Steady speed, or where no cell has it, end to end."""
    return METRICS["steady_fps" if _has(cells, "steady_fps") else "fps"]


def memory_metric(cells: Iterable[Mapping[str, Any]]) -> Metric:
    """The GPU's memory where it was measured, else the process's."""
    return METRICS["peak_gpu_mb" if _has(cells, "peak_gpu_mb") else "peak_rss_mb"]


def _has(cells: Iterable[Mapping[str, Any]], name: str) -> bool:
    return any(metric.name == name for metric in measured(done(cells)))
