"""Read the metadata that Ultralytics notes in its exports: task, names, stride, imgsz, license, kpt_shape, args."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.engines.onnx.model import OnnxModel
from bmfgraph.errors import join_sorted, short_repr
from bmfgraph.nodes.decode import preset_names
from bmfgraph.nodes.facts.facts import METADATA, Fact, FactError, Facts, labels_from, literal

__all__ = ["read_ultralytics"]

_SUFFIXES = {"detect": "", "segment": "_seg", "pose": "_pose", "obb": "_obb"}
"""Tasks with boxes, and the ends of the names of their presets."""


def read_ultralytics(onnx: OnnxModel, facts: Facts) -> None:
    """Add what the metadata says, if they are those of Ultralytics' exporters."""
    notes = onnx.metadata
    if "names" not in notes or "stride" not in notes:
        return
    # The exporter of YOLOv5's own repository notes nothing else.
    task = notes.get("task", "detect")
    facts.decode["labels"] = Fact("metadata:names", METADATA)
    if notes.get("license"):
        facts.licence = Fact(notes["license"][:200], METADATA)
    facts.note(facts.inputs, "multiple", METADATA, lambda: _integer("stride", notes) if task != "classify" else None)
    facts.note(facts.inputs, "size", METADATA, lambda: _pair("imgsz", notes))
    facts.note(facts.inputs, "channels", METADATA, lambda: {1: "GRAY"}.get(_integer("channels", notes) or 3))
    if task == "classify":
        facts.inputs |= {"std": Fact(255, METADATA), "fit": Fact("crop", METADATA)}
        facts.decode["task"] = Fact("classify", METADATA)
        facts.outputs[onnx.outputs[0].name] = {"dims": Fact(["batch", "classes"], METADATA)}
        return
    preset = _preset(onnx, task)
    if preset not in preset_names():
        facts.problem = FactError(
            f"{METADATA} task {task[:40]!r} of {onnx.path.name} has no preset"
            + (f" {preset}" if task in _SUFFIXES else "")
            + f"; presets: {join_sorted(preset_names())}",
            "describe model.outputs and model.decode",
            code=codes.UNSUPPORTED_MODEL_TASK,
        )
        return
    facts.decode["preset"] = Fact(preset, METADATA)
    if task == "pose" and "kpt_shape" in notes and preset == "yolov8_pose":
        section = facts.outputs.setdefault(onnx.outputs[0].name, {})
        facts.note(section, "fields", METADATA, lambda: _pose_fields(notes))
        facts.note(facts.decode, "keypoints", METADATA, lambda: _points(notes))


def _preset(onnx: OnnxModel, task: str) -> str:
    """Return the name of the preset for the head of a detector."""
    notes, dims = onnx.metadata, onnx.outputs[0].dims
    suffix = _SUFFIXES.get(task, f"_{task[:40]}")
    ends, is_rtdetr = _finished(notes), "rtdetr" in notes.get("description", "").lower().replace("-", "")
    rows, width = (dims[1], dims[2]) if len(dims) == 3 else ("", "")
    if task == "detect":
        if "task" not in notes:
            return "yolov5"
        try:
            count = len(labels_from("names", literal("names", notes["names"])))
        except FactError:
            count = -4
        # Where both widths fit, the words decide.
        if is_rtdetr or (width == 4 + count != rows and not (ends or (width == 6 and rows == 300))):
            return "rtdetr"
        ends = ends or (width == 6 and rows != 4 + count)
    finished = "yolo26" if "yolo26" in notes.get("description", "").lower() else "yolov10"
    return (finished if ends else "yolov8") + suffix


def _finished(notes: Mapping[str, str]) -> bool:
    """Return whether the model has chosen its boxes itself: a head without suppression, or one that holds it."""
    try:
        arguments = literal("args", notes.get("args", "None"))
    except FactError:
        arguments = None
    return notes.get("end2end") == "True" or (isinstance(arguments, dict) and arguments.get("nms") is True)


def _integer(key: str, notes: Mapping[str, str]) -> int | None:
    if key not in notes:
        return None
    value = literal(key, notes[key])
    if isinstance(value, (int, float)) and 1 <= value <= 4096 and value == int(value):
        return int(value)
    raise FactError(
        f"{METADATA} {key!r} is not a number from 1 to 4096: {short_repr(notes[key])}",
        "set the value in the model's config, which replaces it",
    )


def _integers(key: str, notes: Mapping[str, str], most: int) -> list[int] | None:
    value: Any = literal(key, notes[key]) if key in notes else None
    if value is None:
        return None
    if isinstance(value, int):
        value = [value, value]
    if (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and all(type(one) is int and 1 <= one <= most for one in value)
    ):
        return list(value)
    raise FactError(
        f"{METADATA} {key!r} is not two numbers from 1 to {most}: {short_repr(notes[key])}",
        "set the value in the model's config, which replaces it",
    )


def _pair(key: str, notes: Mapping[str, str]) -> list[int] | None:
    return _integers(key, notes, 65_536)


def _points(notes: Mapping[str, str]) -> dict[str, list[str]] | None:
    """Return names for other points than the 17 of COCO, which the preset names."""
    count, _ = _integers("kpt_shape", notes, 999) or [17, 3]
    return None if count == 17 else {"names": [f"point_{index}" for index in range(count)]}


def _pose_fields(notes: Mapping[str, str]) -> list[str]:
    count, width = _integers("kpt_shape", notes, 999) or [17, 3]
    return ["box", "scores", f"keypoints:{count}x{width}"]
