"""Define the metrics of a sweep, and read them from the results of cells."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

__all__ = [
    "METRICS",
    "Metric",
    "finite",
    "interval",
    "measured",
    "median",
    "memory_metric",
    "quality_metric",
    "runs_of",
    "speed_metric",
    "spread",
]

_T_QUANTILES = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131),
    *(2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
"""97.5 % quantiles of Student's t distribution with 1 to 30 degrees of freedom; the last one serves for more."""


@dataclass(frozen=True)
class Metric:
    """A quantity that is measured for each cell."""

    name: str
    title: str
    unit: str
    digits: int
    """Digits after the decimal point."""
    better: Literal["higher", "lower"]
    meaning: str
    perfect: float | None = None
    """The value of an output that equals the reference; only metrics of quality have it."""
    exact: bool = False
    """Whether every run gives the same value; metrics of quality always do."""

    @property
    def heading(self) -> str:
        """The title with a capital first letter, as in ``Steady speed``; ``mAP@50`` stays as it is."""
        return self.title if self.title[1].isupper() else self.title[0].upper() + self.title[1:]

    @property
    def varies(self) -> bool:
        """Whether the value differs from run to run, so that one run does not show how much."""
        return not self.exact and self.perfect is None

    def sign(self) -> int:
        """Return 1 if higher is better, else -1."""
        return 1 if self.better == "higher" else -1

    def text(self, value: float) -> str:
        """Format a value without its unit, with at least two significant digits: ``212.4``, ``0.034``."""
        if self.unit == "dB" and self.perfect is not None and value >= self.perfect:
            return "identical"
        digits = self.digits
        if value and abs(value) < 1:
            digits = max(digits, min(6, 1 - math.floor(math.log10(abs(value)))))
        return f"{value:.{digits}f}"

    def full(self, value: float) -> str:
        """Format a value with its unit: ``212.4 fps``."""
        text = self.text(value)
        return f"{text} {self.unit}" if self.unit and text != "identical" else text


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric(
                "fps",
                "end-to-end speed",
                "fps",
                1,
                "higher",
                "Frames divided by the time from the start to the finished file.",
            ),
            Metric("steady_fps", "steady speed", "fps", 1, "higher", "Frames per second after the first batch."),
            Metric("inference_fps", "engine speed", "fps", 1, "higher", "Frames per second of the engine alone."),
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
            Metric("engine_mb", "engine size", "MB", 1, "lower", "Size of the engine's file.", exact=True),
            Metric("peak_rss_mb", "peak memory", "MB", 0, "lower", "Peak of the process's main memory."),
            Metric("peak_gpu_mb", "peak GPU memory", "MB", 0, "lower", "Peak of the GPU memory in use."),
            Metric("joules_per_frame", "energy", "J/frame", 2, "lower", "Energy divided by the number of frames."),
            Metric("output_mb", "output size", "MB", 2, "lower", "Size of the written files.", exact=True),
            Metric(
                "psnr_y", "PSNR-Y", "dB", 2, "higher", "Luma's peak signal-to-noise ratio, mean of all frames.", 100
            ),
            Metric("ssim", "SSIM", "", 4, "higher", "Structural similarity of the images, at most 1.", 1),
            Metric("vmaf", "VMAF", "", 1, "higher", "Netflix's estimate of the quality for viewers, at most 100.", 100),
            Metric("mask_map", "mask mAP", "", 3, "higher", "COCO's average precision of masks, 0.50 to 0.95.", 1),
            Metric("oks_map", "OKS mAP", "", 3, "higher", "COCO's average precision of keypoints, 0.50 to 0.95.", 1),
            Metric(
                "map50", "mAP@50", "", 3, "higher", "Mean average precision of boxes that overlap by half or more.", 1
            ),
            Metric("map", "COCO mAP", "", 3, "higher", "COCO's average precision of boxes, overlaps 0.50 to 0.95.", 1),
            Metric("map50_coco", "COCO mAP@50", "", 3, "higher", "COCO's average precision at an overlap of 0.50.", 1),
            Metric("map75_coco", "COCO mAP@75", "", 3, "higher", "COCO's average precision at an overlap of 0.75.", 1),
            Metric("precision", "precision", "", 3, "higher", "Share of the predicted boxes that are right.", 1),
            Metric("recall", "recall", "", 3, "higher", "Share of the true boxes that are detected.", 1),
            Metric("top1", "top-1", "", 3, "higher", "Share of the frames whose class is right.", 1),
            Metric("top5", "top-5", "", 3, "higher", "Share of the frames whose class is among the best five.", 1),
            Metric("miou", "mIoU", "", 3, "higher", "Intersection over union of label maps, mean of the labels.", 1),
            Metric("pixel_accuracy", "pixel accuracy", "", 3, "higher", "Share of the pixels with the right label.", 1),
            Metric("cer", "CER", "", 3, "lower", "Wrong characters, divided by the characters of the true texts.", 0),
            Metric("exact_text", "exact texts", "", 3, "higher", "Share of the true texts that are read exactly.", 1),
        )
    }
)
"""The metrics by name, in the order of reports. The first metric of quality that was measured represents quality."""


def finite(value: object) -> float | None:
    """Return a value as a float, or None if it is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def done(cells: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the cells that ran to their end."""
    return [cell for cell in cells if cell["status"] == "ok"]


def median(cell: Mapping[str, Any], name: str) -> float | None:
    """Return the median of a metric over a cell's runs.

    Args:
        cell: A cell of a report. The reference cell has the perfect value of metrics that were not measured.
        name: Name of the metric.

    Returns:
        The value; None if the cell did not finish or has none.
    """
    if cell["status"] != "ok":
        return None
    value = _part(cell, name, "median")
    if value is None and cell.get("is_reference"):
        return METRICS[name].perfect
    return value


def spread(cell: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    """Return the minimum and maximum of a metric over a cell's runs; None if they are unknown."""
    low, high = _part(cell, name, "min"), _part(cell, name, "max")
    return None if low is None or high is None else (low, high)


def runs_of(cell: Mapping[str, Any], name: str) -> list[float]:
    """Return a metric's value in each run of a cell; empty if the runs are unknown."""
    values = (cell["metrics"].get(name) or {}).get("runs") or ()
    return [number for value in values if (number := finite(value)) is not None]


def interval(cell: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    """Return the range in which a metric of a cell lies, as far as its runs tell.

    Args:
        cell: A cell of a report.
        name: Name of the metric.

    Returns:
        The 95 % confidence interval of the mean over the runs, by Student's t distribution. Two cells whose intervals
        overlap are as good as each other (Georges, Buytaert and Eeckhout, Statistically Rigorous Java Performance
        Evaluation, 2007). The median, twice, for an exact metric and for a single run. None without a value.
    """
    value, runs = median(cell, name), runs_of(cell, name)
    if value is None:
        return None
    if len(runs) < 2 or not METRICS[name].varies:
        return value, value
    freedom = min(len(runs) - 1, len(_T_QUANTILES))
    half = _T_QUANTILES[freedom - 1] * statistics.stdev(runs) / math.sqrt(len(runs))
    mean = statistics.fmean(runs)
    return mean - half, mean + half


def _part(cell: Mapping[str, Any], name: str, part: str) -> float | None:
    return finite((cell["metrics"].get(name) or {}).get(part))


def measured(cells: Iterable[Mapping[str, Any]]) -> list[Metric]:
    """Return the metrics that at least one cell has."""
    names = {name for cell in cells for name in cell["metrics"] if _part(cell, name, "median") is not None}
    return [metric for metric in METRICS.values() if metric.name in names]


def quality_metric(cells: Iterable[Mapping[str, Any]], preferred: Iterable[str] = ()) -> Metric | None:
    """Return the metric of quality that represents some cells.

    Args:
        cells: Cells of a report.
        preferred: Names of metrics to take before others.

    Returns:
        The first preferred metric that was measured, else the first measured one; None without any.
    """
    metrics = [metric for metric in measured(done(cells)) if metric.perfect is not None]
    first = [metric for metric in metrics if metric.name in set(preferred)]
    return next(iter(first + metrics), None)


def speed_metric(cells: Iterable[Mapping[str, Any]]) -> Metric:
    """Return steady speed, or end-to-end speed if no cell has the former."""
    return METRICS["steady_fps" if _has(cells, "steady_fps") else "fps"]


def memory_metric(cells: Iterable[Mapping[str, Any]]) -> Metric:
    """Return GPU memory if it was measured, else main memory."""
    return METRICS["peak_gpu_mb" if _has(cells, "peak_gpu_mb") else "peak_rss_mb"]


def _has(cells: Iterable[Mapping[str, Any]], name: str) -> bool:
    return any(metric.name == name for metric in measured(done(cells)))
