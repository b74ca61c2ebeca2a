"""Look at the first results of a model for signs that its config is wrong.

What shapes prove is an error before a run. The functions here find what only the numbers show, and cost nothing after
the first frames. They read copies on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bmfgraph import error_codes as codes
from bmfgraph.errors import Problem
from bmfgraph.nodes.fields import Activation
from bmfgraph.plan.types import TensorMeaning

__all__ = ["check_activation", "check_boxes", "check_labels", "check_scores"]

_TOLERANCE = 0.01
"""Distance from 0..1, and from a sum of 1, that rounding to fp16 explains."""
_MANY = 20
"""Rows or numbers from which it is no accident that all of them agree."""
_LEAST = np.float32(-1e30)
"""Takes the place of minus infinity, so that sums stay finite."""
_CORNER = 2.0
"""Pixels of the input that fractions of it, 0..1, reach."""
_FAR = 4.0
"""Sizes of the input beyond which no box of a working model reaches."""

Array = NDArray[np.float32]
Inputs = Sequence[tuple[str, TensorMeaning]]


def check_scores(
    values: Array,
    *,
    activation: Activation,
    output: str,
    inputs: Inputs = (),
    background: Literal["none", "first", "last"] = "none",
) -> list[Problem]:
    """Return warnings about scores that contradict the model's config.

    Args:
        values: The scores before their activation, with a background, float32 [rows, classes].
        activation: The activation that the config declares.
        output: Name of the model's output.
        inputs: The model's inputs by name, with the declared meaning of their numbers.
        background: Place of the class for no object, as declared.
    """
    if not values.size or values.max() == values.min() <= 0:
        # A model that pads its output has nothing but zeros, or -1, where it finds nothing.
        return []
    if problem := _degenerate(values, output, inputs):
        return [problem]
    if problems := check_activation(values, activation=activation, output=output, exclusive=background != "none"):
        return problems
    key = f"model.outputs.{output}.activation"
    sums = values.sum(axis=1)
    add_up = bool((np.abs(sums - 1) < _TOLERANCE).mean() > 0.99)
    if activation == "none" and background != "none" and not add_up and len(values) >= _MANY:
        return [
            _scores_problem(
                f"the scores in {output} add up to {sums.min():.3g} .. {sums.max():.3g} in each row; with the class "
                "for no object, they would add up to 1",
                f"set model.decode.background to none, or correct {key}; background is {background}",
            )
        ]
    return _background_problems(_activated(values, activation), output, background)


def check_activation(values: Array, *, activation: Activation, output: str, exclusive: bool) -> list[Problem]:
    """Return warnings about scores that do not fit their activation.

    Args:
        values: The scores before their activation, float32 [rows, classes].
        activation: The activation that the config declares.
        output: Name of the model's output.
        exclusive: Whether the classes exclude each other, so that a softmax is the likely activation.
    """
    key = f"model.outputs.{output}.activation"
    if problem := _broken(values, output):
        return [problem]
    values = np.maximum(values, _LEAST)
    least, most = float(values.min()), float(values.max())
    is_share = least >= -_TOLERANCE and most <= 1 + _TOLERANCE
    sums = values.sum(axis=1)
    add_up = bool((np.abs(sums - 1) < _TOLERANCE).mean() > 0.99)
    if activation == "none" and not is_share:
        likely = "softmax" if exclusive else "sigmoid"
        return [
            _scores_problem(
                f"the scores in {output} reach from {least:.3g} to {most:.3g}, and scores lie in 0..1",
                f"set {key} to {likely}; it is none",
            )
        ]
    activated = (activation == "sigmoid" and values.size >= _MANY) or (activation == "softmax" and add_up)
    if is_share and least < most and activated:
        fact = "its rows add up to 1" if activation == "softmax" else f"they reach from {least:.3g} to {most:.3g}"
        return [
            _scores_problem(
                f"the scores in {output} lie in 0..1 before their activation ({fact}), so it is in the model already",
                f"set {key} to none; it is {activation}",
            )
        ]
    return []


def check_boxes(
    corners: Array, size: tuple[int, int], *, unit: Literal["pixels", "picture", "cells", "source"], form: str
) -> list[Problem]:
    """Return warnings about boxes that lie where no object is.

    Args:
        corners: Left, top, right and bottom edges of the best candidates, in pixels of the model's input, float32
            [n, 4].
        size: Width and height of the model's input.
        unit: The unit that the config declares.
        form: The form of a box that the config declares.
    """
    corners = corners[np.isfinite(corners).all(axis=1)]
    if not len(corners):
        return []
    count = len(corners)
    if unit != "picture" and min(size) > 8 * _CORNER and np.abs(corners).max() <= _CORNER:
        return [
            Problem(
                "",
                f"all of the {count} best boxes lie within {_CORNER:g} pixels of the top left corner of the "
                f"{size[0]}x{size[1]} input",
                codes.BOXES_ELSEWHERE,
                f"set model.decode.unit to picture, for boxes in 0..1; it is {unit}",
            )
        ]
    sizes = np.array(size * 2, np.float32)
    far = np.abs(corners / sizes).max(axis=1)
    if np.median(far) > _FAR:
        likely = "cells" if unit == "pixels" else "pixels"
        hint = f"set model.decode.unit to {likely}; it is {unit}"
        if unit == "pixels":
            hint = f"correct model.decode.unit, which is {unit}, or model.decode.box, which is {form}"
        return [
            Problem(
                "",
                f"the {count} best boxes reach {float(np.median(far)):.0f} times the size of the {size[0]}x{size[1]} "
                "input",
                codes.BOXES_ELSEWHERE,
                hint,
            )
        ]
    inverted = (corners[:, 2:] < corners[:, :2]).any(axis=1)
    if inverted.mean() > 0.5:
        likely = "xyxy" if form in ("cxcywh", "xywh") else "cxcywh or xywh"
        return [
            Problem(
                "",
                f"{int(inverted.sum())} of the {count} best boxes have a negative width or height",
                codes.BOXES_ELSEWHERE,
                f"set model.decode.box to {likely}; it is {form}",
            )
        ]
    return []


def check_labels(labels: Array, count: int, *, first_label: int) -> list[Problem]:
    """Return warnings about numbers of classes that have no label.

    Args:
        labels: The numbers of the best candidates as the model gives them, float32 [n].
        count: Number of the labels.
        first_label: Number of the first class, as declared.
    """
    if not labels.size or not np.isfinite(labels).all():
        return []
    least, most = float(labels.min()), float(labels.max())
    if (np.abs(labels - labels.round()) > _TOLERANCE).any():
        return [
            Problem(
                "",
                f"the field label holds fractions, such as {float(labels[labels != labels.round()][0]):.3g}",
                codes.LABELS_BEYOND_LIST,
                "correct the order of model.outputs.*.fields: score and label may be swapped",
            )
        ]
    if first_label <= least and most < first_label + count:
        return []
    hint = f"add the missing ones to model.decode.labels, which has {count}"
    if most == count and least >= 1 and first_label == 0:
        hint = "set model.decode.first_label to 1; it is 0"
    elif least == first_label - 1 and most < first_label + count - 1:
        hint = f"set model.decode.first_label to {first_label - 1}; it is {first_label}"
    return [
        Problem(
            "",
            f"the field label holds the numbers {least:g} to {most:g}, and the {count} label(s) have the numbers "
            f"{first_label} to {first_label + count - 1}",
            codes.LABELS_BEYOND_LIST,
            hint,
        )
    ]


def _scores_problem(message: str, hint: str) -> Problem:
    return Problem("", message, codes.SCORES_BEYOND_RANGE, hint)


def _broken(values: Array, output: str) -> Problem | None:
    """Return a warning about scores that are no finite numbers."""
    # A score of minus infinity is how some models exclude a candidate.
    broken = int((np.isnan(values) | np.isposinf(values)).sum())
    if not broken:
        return None
    fact = f"{broken} of the {values.size} scores in {output} are not finite numbers"
    return Problem("", fact, codes.MEANINGLESS_SCORES, _input_hint(()))


def _degenerate(values: Array, output: str, inputs: Inputs) -> Problem | None:
    """Return a warning about scores that tell nothing: not finite, all equal, or all exactly 0 or 1."""
    if problem := _broken(values, output):
        return replace(problem, hint=_input_hint(inputs))
    least, most = float(values.min()), float(values.max())
    if values.size < _MANY:
        return None
    if least == most:
        fact = f"all {values.size} scores in {output} are {least:.3g}"
    elif bool(((values == 0) | (values == 1)).all()):
        fact = f"all {values.size} scores in {output} are exactly 0 or 1"
    else:
        return None
    return Problem("", fact, codes.MEANINGLESS_SCORES, _input_hint(inputs))


def _input_hint(inputs: Inputs) -> str:
    """Say what the network reads, and what it may expect instead."""
    if not inputs:
        return "compare mean, std and channels of model.inputs with the model's own preprocessing"
    name, meaning = inputs[0]
    key = f"model.inputs.{name}"
    if not meaning.normalised:
        return f"set {key}.std to 255, if the model expects 0..1; mean 0 and std 1 give it 0..255"
    mean, std = ("/".join(f"{value:g}" for value in values) for values in (meaning.mean, meaning.std))
    return f"correct {key}.mean, which is {mean}, and {key}.std, which is {std}: 0 and 1 would give it 0..255"


def _activated(values: Array, activation: Activation) -> Array:
    if activation == "sigmoid":
        # The same function, without an overflow.
        values = (0.5 + 0.5 * np.tanh(values / 2)).astype(np.float32)
    elif activation == "exp":
        values = np.exp(np.minimum(values, 1))
    elif activation == "softmax":
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        values = powers / powers.sum(axis=1, keepdims=True)
    return values


def _background_problems(scores: Array, output: str, declared: Literal["none", "first", "last"]) -> list[Problem]:
    """Return a warning about a first or last class that is the best one nearly everywhere, as a background is."""
    if scores.shape[1] < 2 or len(scores) < _MANY:
        return []
    best = scores.argmax(axis=1)
    for place, number in (("first", 0), ("last", scores.shape[1] - 1)):
        share = float(((best == number) & (scores[:, number] > 0.5)).mean())
        if share > 0.9 and place != declared:
            return [
                Problem(
                    "",
                    f"the {place} class in {output} is the best one of {100 * share:.0f}% of the candidates, with a "
                    "score above 0.5, as a class for no object is",
                    codes.BACKGROUND_SUSPECTED,
                    f"set model.decode.background to {place}, and leave it out of the labels; background is {declared}",
                )
            ]
    return []
