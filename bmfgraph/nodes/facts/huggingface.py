"""Read the config.json and preprocessor_config.json that Hugging Face's exports have beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bmfgraph.engines.onnx.model import OnnxModel
from bmfgraph.errors import short_repr
from bmfgraph.nodes.facts.facts import CONFIG, PREPROCESSOR, Fact, FactError, Facts, Section
from bmfgraph.system.untrusted import has_form, read_json

__all__ = ["read_config", "read_huggingface"]

_LIMIT = 4 << 20
"""Bytes of the largest file: 21,000 labels take 1 MiB."""
_DETECTORS = {
    "detr": "detr", "yolos": "detr", "table-transformer": "detr",
    "rt_detr": "rtdetr_hf", "rt_detr_v2": "rtdetr_hf", "d_fine": "rtdetr_hf",
    "deformable_detr": "rtdetr_hf", "conditional_detr": "rtdetr_hf",
}  # fmt: skip
"""Preset by ``model_type``. The last ones have the same outputs as RT-DETR: sigmoid, and no class for no object."""
_RESAMPLING = {0: "nearest", 1: "bicubic", 2: "bilinear", 3: "bicubic", 4: "area", 5: "bilinear"}
"""Pillow's numbers; Lanczos and Hamming have bicubic and bilinear as the nearest."""


def read_config(model: Path, name: str) -> Any:
    """Return the content of a JSON file in the model's folder, or above a folder ``onnx``.

    Args:
        model: The ONNX file.
        name: Name of the file.

    Returns:
        The content; None if there is no such file.

    Raises:
        FactError: It cannot be read.
    """
    folders = [model.parent, model.parent.parent] if model.parent.name == "onnx" else [model.parent]
    for folder in folders:
        try:
            return read_json(folder / name, _LIMIT)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
            raise FactError(
                f"{str(folder / name)!r} cannot be read ({reason})", "correct it, or take it away"
            ) from None
    return None


def read_huggingface(onnx: OnnxModel, file: Path, facts: Facts) -> None:
    """Add what the two files say. Those of other programs, and damaged ones, say nothing."""
    config, preprocessor = (_mapping(file, name) for name in (CONFIG, PREPROCESSOR))
    if has_form(config, {"architectures": [str]}):
        _read_task(onnx, config, facts)
        size = config.get("image_size")
        if type(size) is int and size > 0:
            facts.inputs["size"] = Fact([size, size], CONFIG)
    if (
        "image_processor_type" in preprocessor
        or "feature_extractor_type" in preprocessor
        or "image_mean" in preprocessor
    ):
        _read_preprocessing(preprocessor, facts)


def _mapping(file: Path, name: str) -> dict[str, Any]:
    try:
        content = read_config(file, name)
    except FactError:
        content = None
    return content if isinstance(content, dict) else {}


def _read_task(onnx: OnnxModel, config: Mapping[str, Any], facts: Facts) -> None:
    ends = tuple(config["architectures"])[:1]
    name = ends[0] if ends else ""
    first = onnx.outputs[0].name
    section: Section = {}
    if name.endswith("ForObjectDetection"):
        preset = _DETECTORS.get(str(config.get("model_type")))
        if preset is None:
            return
        facts.decode["preset"] = Fact(preset, CONFIG)
    elif name.endswith("ForImageClassification"):
        section = {"dims": Fact(["batch", "classes"], CONFIG), "activation": Fact("softmax", CONFIG)}
        facts.decode["task"] = Fact("classify", CONFIG)
    elif name.endswith("ForSemanticSegmentation"):
        section = {"dims": Fact(["batch", "classes", "height", "width"], CONFIG)}
        facts.decode["task"] = Fact("segment", CONFIG)
    elif name.endswith("ForDepthEstimation"):
        section = {"dims": Fact(["batch", "height", "width"], CONFIG)}
        facts.decode |= {"task": Fact("map", CONFIG), "value": Fact("depth", CONFIG)}
    else:
        return
    if section:
        facts.outputs[first] = section
    if "id2label" in config and "value" not in facts.decode:
        facts.decode["labels"] = Fact("config:id2label", CONFIG)


def _read_preprocessing(settings: Mapping[str, Any], facts: Facts) -> None:
    inputs = facts.inputs
    facts.note(inputs, "mean", PREPROCESSOR, lambda: _levels(settings)[0])
    facts.note(inputs, "std", PREPROCESSOR, lambda: _levels(settings)[1])
    if settings.get("do_flip_channel_order") is True:
        inputs["channels"] = Fact("BGR", PREPROCESSOR)
    divisor = settings.get("size_divisor", settings.get("ensure_multiple_of"))
    if type(divisor) is int and 1 < divisor <= 4096:
        inputs["multiple"] = Fact(divisor, PREPROCESSOR)
    resampling = settings.get("resample")
    if type(resampling) is int and resampling in _RESAMPLING:
        inputs["resize"] = Fact(_RESAMPLING[resampling], PREPROCESSOR)
    if settings.get("do_resize", True) is not True:
        return
    crops = settings.get("do_center_crop") is True
    size = _sides(settings.get("crop_size") if crops else settings.get("size"))
    if size:
        keeps = settings.get("keep_aspect_ratio") is True
        inputs["size"] = Fact(size, PREPROCESSOR)
        inputs["fit"] = Fact("crop" if crops else "letterbox" if keeps else "stretch", PREPROCESSOR)
    elif settings.get("size") is not None:
        # {shortest_edge, longest_edge} keeps the shape of the picture, and the network accepts any size.
        inputs.pop("size", None)


def _sides(size: Any) -> list[int] | None:
    """Return height and width; None where the size depends on the picture."""
    if isinstance(size, dict):
        size = [size.get("height"), size.get("width")]
    elif type(size) is int:
        size = [size, size]
    is_pair = (
        isinstance(size, list) and len(size) == 2 and all(type(side) is int and 0 < side <= 65_536 for side in size)
    )
    return size if is_pair else None


def _levels(settings: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation in grey levels; the files have them for levels times ``rescale_factor``."""
    factor = settings.get("rescale_factor", 1 / 255) if settings.get("do_rescale", True) is True else 1.0
    mean, std = [0.0], [1.0]
    if settings.get("do_normalize", "image_mean" in settings) is True:
        mean, std = _numbers(settings, "image_mean", 0.0), _numbers(settings, "image_std", 1.0)
    if not isinstance(factor, (int, float)) or not 1e-6 < factor <= 1000:
        raise _wrong("rescale_factor", factor)
    return [round(value / factor, 4) for value in mean], [round(value / factor, 4) for value in std]


def _numbers(settings: Mapping[str, Any], key: str, default: float) -> list[float]:
    value = settings.get(key, default)
    values = value if isinstance(value, list) else [value]
    if len(values) not in (1, 3) or not all(type(one) in (int, float) and abs(one) < 1e6 for one in values):
        raise _wrong(key, value)
    return [float(one) for one in values]


def _wrong(key: str, value: Any) -> FactError:
    return FactError(
        f"{PREPROCESSOR} {key!r} is not a number, or one for each of three channels: {short_repr(value)}",
        "set mean and std of the input in the model's config, which replace it",
    )
