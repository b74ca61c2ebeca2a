"""Recognise families of models by the shapes of their outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bmfgraph.nodes.facts.guess_parts import Guess, Output, Picture, sizes_text
from bmfgraph.system.text import counted

__all__ = ["FAMILIES"]

_COCO = 80


def _image(result: Guess, picture: Picture, outputs: list[Output]) -> bool:
    """Recognise an output that is a picture, as large as the input or some times as large."""
    if len(outputs) != 1 or len(outputs[0].sizes) != 4 or None in outputs[0].sizes[1:]:
        return False
    output = outputs[0]
    axis = 3 if picture.nhwc else 1
    height, width, channels = (output.sizes[at] or 0 for at in ((1, 2, 3) if picture.nhwc else (2, 3, 1)))
    scale = height // picture.height
    is_scaled = scale >= 1 and (height, width) == (picture.height * scale, picture.width * scale)
    grey = picture.channels == 1 and channels == 1
    if not is_scaled or not (grey or (channels % 3 == 0 and 0 < channels <= picture.channels)):
        return False
    path = ["outputs", output.name]
    result.set([*path, "layout"], "NHWC" if axis == 3 else "NCHW")
    result.set([*path, "channels"], "GRAY" if grey else "RGB", f"guessed: a picture of {scale} times the size")
    tensor = picture.tensor
    if tensor.dtype != "uint8":
        result.set([*path, "std"], 255, "guessed: as the input")
    if "window" in result.config:
        frames, count = picture.channels // 3, channels // 3
        first = (frames - count) // 2
        window = {"frames": frames, "outputs": list(range(first, first + count)), "step": count, "pad": "edge"}
        result.set(["window"], window, "guessed: the middle frames come out")
        result.notes.pop("window.frames", None)
    return True


def _ssd(result: Guess, picture: Picture, outputs: list[Output]) -> bool:
    if len(outputs) == 4 and [len(output.sizes) for output in outputs] == [3, 2, 2, 1] and picture.nhwc:
        result.preset("ssd", "boxes, labels, scores and a count, as TensorFlow exports them", _COCO)
        return True
    return False


def _centerface(result: Guess, picture: Picture, outputs: list[Output]) -> bool:
    if [output.sizes[1:2] for output in outputs] != [(1,), (2,), (2,), (10,)]:
        return False
    if any(output.sizes[2:] != (picture.height // 4, picture.width // 4) for output in outputs):
        return False
    result.preset("centerface", "heat map, sizes, offsets and landmarks on a grid of stride 4")
    if all(isinstance(dim, int) for dim in picture.tensor.dims):
        dims = ["batch", picture.channels, "height", "width"]
        result.set(["inputs", picture.tensor.name, "dims"], dims, "guessed: the network is fully convolutional")
    return True


def _scores_and_boxes(result: Guess, picture: Picture, outputs: list[Output]) -> bool:
    """Recognise one output of scores and one of boxes."""
    shapes = [output.sizes for output in outputs[:2]]
    if len(outputs) < 2 or any(len(sizes) != 3 for sizes in shapes) or shapes[0][1] != shapes[1][1]:
        return False
    (_, rows, classes), (_, _, width) = shapes
    if width != 4 or classes is None or rows is None or rows < 2:
        return False
    if classes == 2:
        result.preset("ultraface", f"{rows} boxes, and scores of a face and of the background")
    elif rows <= 100:
        result.preset("detr", f"{rows} queries; with RT-DETR's sigmoid it is rtdetr_hf", classes - 1)
    else:
        result.preset("rtdetr_hf", f"{rows} queries; with DETR's softmax it is detr", classes)
    return True


def _masks(result: Guess, picture: Picture, outputs: list[Output]) -> bool:
    """Recognise YOLO with coefficients of masks in the first output, and prototypes in the second."""
    if len(outputs) != 2 or [len(output.sizes) for output in outputs] != [3, 4]:
        return False
    fields, count = outputs[0].sizes[1:]
    if fields is None or not picture.grid(count) or outputs[1].sizes[1] != 32 or fields <= 36:
        return False
    reason = f"{fields} = 4 + {fields - 36} classes + 32 coefficients of masks"
    result.preset("yolov8_seg", reason, fields - 36)
    return True


def _boxes(result: Guess, picture: Picture, outputs: list[Output]) -> bool:
    """Recognise a single table of boxes."""
    if len(outputs) != 1 or len(outputs[0].sizes) != 3:
        return False
    _, first, second = outputs[0].sizes
    size = f"{picture.width}x{picture.height}"
    if first is not None and first >= 5 and (second is None or second > first):
        # Fields before candidates.
        strides = picture.grid(second)
        if second is not None and not strides and picture.height > 64 and first > 300:
            return False
        words = f"{second} cells of strides {_list(strides)} of {size}; " if strides else ""
        if first == 56:
            # The preset names the class.
            result.preset("yolov8_pose", f"{words}56 = 4 + 1 class + 17 keypoints; 4 + 52 classes is possible, too")
            return True
        result.preset("yolov8", f"{words}{first} = 4 + {first - 4} classes", first - 4)
        result.unknown.append(f"whether the last of the {first} is the angle of a turned box: then preset yolov8_obb")
        if not strides:
            result.unknown.append(f"whether {outputs[0].name} {sizes_text(outputs[0].sizes)} holds boxes at all")
        return True
    if first is None or second is None or second < 6:
        return False
    if picture.grid(first // 3) and first % 3 == 0:
        words = f"{first} = 3 anchors in the cells of strides {_list(picture.grid(first // 3))} of {size}"
        result.preset("yolov5", f"{words}; {second} = 5 + {second - 5} classes", second - 5)
    elif strides := picture.grid(first):
        words = f"{first} cells of strides {_list(strides)} of {size}"
        if second == 4 + _COCO:
            result.preset("yolov8", f"{words}; 84 = 4 + 80 classes, with the dims exchanged", _COCO)
            path = ["outputs", outputs[0].name]
            result.set([*path, "dims"], ["batch", "candidates", "fields"])
            result.set([*path, "fields"], ["box", "scores"])
        elif len(strides) == 4 and second > 32:
            result.preset("nanodet", f"{words}; {second} = {second - 32} classes + 4 x 8", second - 32)
        else:
            result.preset("yolox", f"{words}, so it is no list of finished boxes; {second} = 5 + classes", second - 5)
            result.unknown.append(
                f"whether {sizes_text(outputs[0].sizes)} are boxes in cells of the grid (yolox), or already in pixels: "
                "then set decode.unit to pixels and decode.grid to null"
                + (f"; {first} finished boxes would be preset yolov10" if second == 6 and first <= 1000 else "")
            )
    elif second == 6 and first <= 1000:
        result.preset("yolov10", f"{first} rows are no grid of {size}, so they are finished boxes", _COCO)
        result.unknown.append("how many classes there are")
    elif first <= 1000:
        result.preset("rtdetr", f"{first} queries; {second} = 4 + {second - 4} classes", second - 4)
    else:
        return False
    return True


def _is_text(picture: Picture, time: int | None, classes: int | None) -> bool:
    """Return whether sizes are those of characters along a line."""
    is_line = picture.height in (32, 48, 64) and picture.width >= 3 * picture.height
    return is_line and bool(time and classes) and picture.width // (time or 1) in (2, 4, 8, 16) and (classes or 0) > 10


def _text(result: Guess, picture: Picture, outputs: list[Output]) -> bool:
    """Recognise scores of characters along a line."""
    if len(outputs) != 1 or len(outputs[0].sizes) != 3:
        return False
    _, time, classes = outputs[0].sizes
    if classes is None or not _is_text(picture, time, classes):
        return False
    result.task(
        outputs[0].name,
        ["batch", "time", "classes"],
        {"task": "read", "blank": "first"},
        f"{time} places along a line of {picture.width} pixels",
    )
    characters = [chr(0x20 + index) if index < 95 else f"<{index}>" for index in range(classes - 1)]
    note = f"unknown: {classes - 1} characters needed, in the order of the scores"
    result.set(["decode", "charset"], characters, note)
    result.unknown += ["the characters", "whether the blank is first or last"]
    return True


def _segments(result: Guess, picture: Picture, outputs: list[Output]) -> bool:
    """Recognise scores of each pixel."""
    output = outputs[0]
    if len(output.sizes) != 4 or output.sizes[1] is None or output.sizes[2:] == (1, 1):
        return False
    classes, height, width = output.sizes[1:]
    if classes is None or classes > 1000 or None in (height, width):
        return False
    reason = f"{counted(classes, 'score')} for each of {width}x{height} pixels"
    result.task(output.name, ["batch", "classes", "height", "width"], {"task": "segment"}, reason)
    if classes == 1:
        result.unknown.append("whether the map is a class (segment), a depth or a matte (map)")
    result.labels(classes)
    return True


def _map(result: Guess, picture: Picture, outputs: list[Output]) -> bool:
    """Recognise a value of each pixel."""
    output = outputs[0]
    if len(output.sizes) != 3 or output.sizes[1:] != (picture.height, picture.width):
        return False
    result.task(output.name, ["batch", "height", "width"], {"task": "map"}, "a value for each pixel")
    result.set(["decode", "value"], "depth", "guessed: it may be a matte, or heat")
    result.unknown.append("what the values of the map mean")
    return True


def _classes(result: Guess, picture: Picture, outputs: list[Output]) -> bool:
    """Recognise scores of the whole picture, or an embedding."""
    sizes = outputs[0].sizes
    if len(sizes) < 2 or sizes[1] is None or any(size != 1 for size in sizes[2:]):
        return False
    count, trailing = sizes[1], ["height", "width"][: len(sizes) - 2]
    if count in (128, 256, 512, 2048) and not trailing:
        decode = {"task": "embed", "normalise": "l2"}
        result.task(outputs[0].name, ["batch", "embedding"], decode, f"{count} numbers; they may be scores of classes")
        return True
    reason = f"{count} scores of the whole picture"
    result.task(outputs[0].name, ["batch", "classes", *trailing], {"task": "classify"}, reason)
    result.set(["outputs", outputs[0].name, "activation"], "softmax", "guessed: none if the scores add up to 1 already")
    result.labels(count)
    result.unknown.append("whether the scores are probabilities already")
    return True


def _list(strides: Sequence[int]) -> str:
    return ", ".join(map(str, strides))


FAMILIES: tuple[Callable[[Guess, Picture, list[Output]], bool], ...] = (
    _image, _ssd, _centerface, _scores_and_boxes, _masks, _text, _map, _boxes, _segments, _classes,
)  # fmt: skip
"""Functions that fill in a guess and return True, or return False; the first that recognises a model counts."""
