"""Make reports of sweeps for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["cell", "detectors", "equals", "failures", "readers", "report", "super_resolution", "without_quality"]

H100 = "NVIDIA H100 80GB HBM3 (compute capability 9.0)"


def cell(name: str, varied: Mapping[str, str], /, status: str = "ok", **metrics: Any) -> dict[str, Any]:
    """Return a cell of a report; each metric is a median, or (median, min, max) of three runs."""
    overrides = " ".join(f"{key}={value}" for key, value in varied.items())
    several = {key for key, value in metrics.items() if isinstance(value, tuple)}
    spans = {key: value if isinstance(value, tuple) else (value, value, value) for key, value in metrics.items()}
    return {
        "id": name,
        "varied": dict(varied),
        "status": status,
        "errors": [],
        "kept": False,
        "is_reference": False,
        "metrics": {
            key: {
                **dict(zip(("median", "min", "max"), span, strict=True)),
                "runs": list(span)[: 3 if key in several else 1],
            }
            for key, span in spans.items()
        },
        "nodes": [],
        "runs_on": {},
        "command": f"python -m bmfgraph pipeline=super_resolution {overrides}",
        "seconds": 12.3,
    }


def report(*cells: dict[str, Any], objective: str | None = None, **other: Any) -> dict[str, Any]:
    """Return a report of some cells."""
    content: dict[str, Any] = {
        "schema": 1,
        "bmfgraph": "0.1.0",
        "created": "2026-11-05T14:32:10+00:00",
        "command": ["python", "-m", "bmfgraph", "-m", "pipeline=super_resolution", "engine=fp32,fp16"],
        "pipeline": "super_resolution",
        "objective": objective,
        "reference": None,
        "machine": {"platform": "Linux-6.8.0-x86_64-with-glibc2.36", "cores": 16, "gpu": None, "packages": {}},
        "repeats": 3,
        "cells": list(cells),
    }
    return content | other


def error(code: str, where: str, message: str, hint: str = "") -> dict[str, str]:
    """Return an error of a cell."""
    return {"code": code, "where": where, "message": message, "hint": hint}


def super_resolution() -> dict[str, Any]:
    """Return a report of twelve cells: three precisions by four batches, one crashed and one refused."""
    psnr = {"fp32": 100.0, "fp16": 51.37, "int8": 42.86}
    pace = {"fp32": 1.0, "fp16": 2.45, "int8": 3.6}
    cells = []
    for precision in ("fp32", "fp16", "int8"):
        for batch in (1, 2, 4, 8):
            varied = {"engine": precision, "engine.batch": str(batch)}
            number = f"{precision}{batch:02d}"
            if (precision, batch) == ("int8", 8):
                variant = cell(number, varied, "crashed")
                variant["errors"] = [
                    error("E803", "node 'upscale' (inference), frame 0", "CUDA error: an illegal memory access",
                          "build the engine again: python -m bmfgraph build engine=int8 engine.batch=8")
                ]  # fmt: skip
            elif (precision, batch) == ("int8", 1):
                variant = cell(number, varied, "refused")
                variant["errors"] = [
                    error("E612", "pipeline.nodes.upscale", "int8 needs calibration data", "set calibration=clip.mp4")
                ]
            else:
                fps = 61.3 * pace[precision] * (1 + 0.14 * (batch > 1) + 0.07 * (batch > 2) - 0.03 * (batch > 4))
                infer = 1000 / fps
                first = (0.9 + 0.02 * batch, 0.88 + 0.02 * batch, 1.04 + 0.02 * batch)
                variant = cell(
                    number,
                    varied,
                    fps=(fps * 0.86, fps * 0.84, fps * 0.87),
                    steady_fps=(fps, fps * 0.998, fps * 1.001),
                    inference_fps=(fps * 1.22, fps * 1.2, fps * 1.23),
                    latency_p50_ms=infer * (1.7 + 0.9 * batch),
                    latency_p95_ms=infer * (2.1 + 1.1 * batch),
                    latency_p99_ms=infer * (2.9 + 1.2 * batch),
                    first_frame_s=first,
                    build_s={"fp32": 31.0, "fp16": 54.2, "int8": 88.7}[precision] + batch,
                    engine_mb={"fp32": 5.1, "fp16": 2.7, "int8": 1.6}[precision],
                    peak_rss_mb=1480 + 31 * batch,
                    peak_gpu_mb={"fp32": 910, "fp16": 640, "int8": 520}[precision] + 190 * batch,
                    joules_per_frame=210 / fps,
                    output_mb=3.21,
                    psnr_y=psnr[precision] - 0.06 * batch * (precision == "int8"),
                    ssim={"fp32": 1.0, "fp16": 0.9991, "int8": 0.9847}[precision],
                )
                variant["nodes"] = [
                    {"name": "source", "kind": "decoder", "device": "cpu", "frame_ms": 1.9},
                    {"name": "prepare", "kind": "preprocess", "device": "cuda", "frame_ms": 0.34},
                    {"name": "upscale", "kind": "inference", "device": "cuda", "frame_ms": infer * 0.82},
                    {"name": "restore", "kind": "frames", "device": "cuda", "frame_ms": 0.51},
                    {"name": "sink", "kind": "encoder", "device": "cpu", "frame_ms": 3.05},
                ]
                variant["runs_on"] = {"upscale": "TensorRT 10.16 on NVIDIA H100 80GB HBM3"}
                variant["kept"] = precision == "fp32"
            cells.append(variant)
    cells[0]["is_reference"] = True
    for name in ("psnr_y", "ssim"):
        del cells[0]["metrics"][name]
    return report(
        *cells,
        objective="steady_fps where psnr_y>=45",
        reference="engine=fp32 engine.batch=1",
        command=["python", "-m", "bmfgraph", "-m", "pipeline=super_resolution", "engine=fp32,fp16,int8",
                 "engine.batch=1,2,4,8", "sweep.objective='steady_fps where psnr_y>=45'"],
        machine={"platform": "Linux-6.8.0-x86_64-with-glibc2.36", "cores": 16, "gpu": H100,
                 "packages": {"tensorrt": "10.16.0", "torch": "2.13.0", "BabitMF-GPU": "0.2.0"}},
    )  # fmt: skip


def detectors() -> dict[str, Any]:
    """Return a report of six cells: two models in three precisions, measured against labels."""
    rows = {
        ("face_small", "fp32"): (148.0, 0.941, 0.902, 0.913),
        ("face_small", "fp16"): (262.0, 0.940, 0.902, 0.912),
        ("face_small", "int8"): (331.0, 0.903, 0.861, 0.861),
        ("centerface", "fp32"): (88.0, 0.962, 0.948, 0.951),
        ("centerface", "fp16"): (171.0, 0.962, 0.947, 0.950),
        ("centerface", "int8"): (214.0, 0.955, 0.921, 0.927),
    }
    cells = []
    for number, ((model, engine), (fps, precision, recall, map50)) in enumerate(rows.items()):
        variant = cell(
            f"d{number}",
            {"model": model, "engine": engine},
            fps=fps * 0.9,
            steady_fps=(fps, fps * 0.97, fps * 1.02),
            latency_p50_ms=2300 / fps,
            latency_p95_ms=3100 / fps,
            latency_p99_ms=3900 / fps,
            peak_rss_mb=930.0 + number,
            precision=precision,
            recall=recall,
            map50=map50,
        )
        names = ("source", "source-rgb24", "prepare", "find", "faces", "draw", "upload", "download", "boxes", "sink")
        variant["nodes"] = [
            {
                "name": name,
                "kind": "k",
                "device": "cpu",
                "frame_ms": 900 / fps if name == "find" else 0.2 + 0.15 * place,
            }
            for place, name in enumerate(names)
        ]
        cells.append(variant)
    return report(
        *cells,
        objective="steady_fps where recall>=0.9 and map50>=0.92",
        reference="labels.jsonl",
        pipeline="face_detection",
    )


def readers() -> dict[str, Any]:
    """Return a report of four cells that read text: a lower error rate is better."""
    rows = {
        "fp32": (61.0, 0.012, 0.95),
        "fp16": (104.0, 0.013, 0.94),
        "int8": (139.0, 0.048, 0.81),
        "int4": (163.0, 0.187, 0.4),
    }
    cells = [
        cell(
            f"r{number}",
            {"engine": engine},
            fps=fps * 0.9,
            steady_fps=fps,
            latency_p95_ms=2100 / fps,
            cer=cer,
            exact_text=exact,
        )
        for number, (engine, (fps, cer, exact)) in enumerate(rows.items())
    ]
    return report(*cells, objective="steady_fps where cer<=0.05", reference="labels.jsonl", pipeline="reading")


def without_quality() -> dict[str, Any]:
    """Return a report of two cells without metrics of quality."""
    return report(
        cell("aa", {"decoder": "auto"}, fps=38.1, steady_fps=(41.0, 39.8, 41.6), first_frame_s=0.31, peak_rss_mb=512.4),
        cell(
            "bb", {"decoder": "nvdec"}, fps=55.4, steady_fps=(63.9, 61.2, 64.4), first_frame_s=0.52, peak_rss_mb=701.0
        ),
        repeats=1,
    )


def failures() -> dict[str, Any]:
    """Return a report of four cells that did not run."""
    cells = [
        cell(f"f{number}", {"engine": name}, "failed") for number, name in enumerate(("fp32", "fp16", "int8", "trt"))
    ]
    for failed in cells[:3]:
        failed["errors"] = [
            error("E805", "node 'sink' (encoder), frame 0", "the disk is full", "make room, or write elsewhere"),
            error("W103", "", "the input has no audio"),
        ]
    cells[3]["status"] = "skipped"
    return report(*cells, objective="fps where psnr_y>=45")


def equals() -> dict[str, Any]:
    """Return a report of three cells: two within each other's spread, and one that does the same as the first."""
    cells = [
        cell("e0", {"engine": "fp32", "engine.batch": "1"}, steady_fps=(51.3, 50.1, 52.0), peak_rss_mb=300.0),
        cell("e1", {"engine": "fp32", "engine.batch": "2"}, steady_fps=(51.2, 50.4, 51.9), peak_rss_mb=301.0),
        cell("e2", {"engine": "fp16", "engine.batch": "1"}, "same"),
    ]
    cells[0] |= {"ship": "python -m bmfgraph engine=fp32", "left_out": ["decoder.end=1", "progress=false"]}
    cells[2] |= {"same_as": "e0", "errors": [error("W109", "engine=fp16", "no difference here: does the same")]}
    return report(*cells)
