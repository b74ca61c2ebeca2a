"""Classes, texts and embeddings against plain loops in NumPy."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bmfgraph.errors import Problem
from bmfgraph.nodes.classify import ClassifyParams
from bmfgraph.nodes.embed import EmbedParams
from bmfgraph.nodes.fields import TensorAxes
from bmfgraph.nodes.read import ReadParams
from bmfgraph.plan.types import Device
from bmfgraph.stages.classify import Classify
from bmfgraph.stages.embed import Embed
from bmfgraph.stages.items import Frame, Sample
from bmfgraph.stages.per_frame import PerFrame
from bmfgraph.stages.read import Read
from bmfgraph.stages.results import Classes, Embedding, Texts

Array = NDArray[np.float32]
LETTERS = ("", "a", "b", "c", " ")


def results(stage: PerFrame[Any], *outputs: Array, device: Device = "cpu", frames: int = 1) -> list[Any]:
    """Return the results of outputs with the batch dim, each of which stands for ``frames`` frames."""
    stage.device = device
    stage.open()
    found: list[Any] = []
    for index, output in enumerate(outputs):
        members = tuple(Frame(index * frames + at) for at in range(frames))
        found += stage.process(Sample({"o": torch.from_numpy(output).to(device)}, members))
    return [*found, *stage.finish()]


def classify(
    *outputs: Array, top: int = 3, thresholds: tuple[float, ...] = (), device: Device = "cpu", **other: Any
) -> list[Classes]:
    """Return the classes of scores, [1, n] or in the order that ``axes`` says."""
    activation, background, axes = (
        other.pop("activation", "none"),
        other.pop("background", "none"),
        other.pop("axes", (0,)),
    )
    size = outputs[0].size
    labels = tuple(f"c{at}" for at in range(size - (background != "none")))
    output = TensorAxes("o", axes, (size,), activation)
    params = ClassifyParams(output, background, top, thresholds or (0.0,) * len(labels), labels)
    return results(Classify("n", params), *outputs, device=device, **other)


def read(*outputs: Array, blank: int = 0, threshold: float = 0.0, device: Device = "cpu", **other: Any) -> list[Texts]:
    """Return the texts of scores [1, time, classes]."""
    charset = LETTERS if blank == 0 else (*LETTERS[1:], "")
    output = TensorAxes("o", other.pop("axes", (0, 1)), (None, len(charset)), other.pop("activation", "none"))
    params = ReadParams(output, blank, charset, threshold, (10, 20, 40, 60))
    return results(Read("n", params), *outputs, device=device, **other)


def embed(*outputs: Array, normalise: Any = "l2", device: Device = "cpu", **other: Any) -> list[Embedding]:
    """Return the embeddings of outputs [1, n]."""
    output = TensorAxes("o", other.pop("axes", (0,)), (outputs[0].size,), "none")
    return results(Embed("n", EmbedParams(output, normalise)), *outputs, device=device, **other)


def best_classes(scores: Array, top: int, thresholds: Array) -> list[int]:
    """Return the best classes by the definition."""
    order = sorted(range(len(scores)), key=lambda at: -scores[at])
    return [at for at in order if scores[at] >= thresholds[at]][:top]


def softmax(values: Array) -> Array:
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    result: Array = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
    return result


@pytest.mark.parametrize("activation", ["none", "softmax", "sigmoid"])
@pytest.mark.parametrize("background", ["none", "first", "last"])
def test_classes_are_those_of_the_definition(activation: str, background: str) -> None:
    random = np.random.default_rng(1)
    logits = random.normal(size=(4, 1, 21)).astype(np.float32)
    sides = {"first": slice(1, None), "last": slice(None, -1), "none": slice(None)}
    thresholds = np.tile(np.array([0.01, 2.0, 0.2, 0.05], np.float32), 6)[: 21 - (background != "none")]
    found = classify(
        *logits,
        top=5,
        thresholds=tuple(map(float, thresholds)),
        activation=activation,
        background=background,
    )
    functions: dict[str, Callable[[Array], Any]] = {
        "none": lambda x: x,
        "softmax": softmax,
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    }
    for (values,), result in zip(logits, found, strict=True):
        scores = functions[activation](values)[sides[background]]
        wanted = best_classes(scores, 5, np.where(thresholds > 1, np.inf, thresholds))
        assert result.classes.tolist() == wanted
        assert np.allclose(result.scores, scores[wanted], atol=1e-6)
        assert result.labels == tuple(f"c{at}" for at in wanted)
        assert f"{result.scores.dtype} {result.classes.dtype}" == "float32 int64"


def test_equal_scores_keep_the_order_of_their_classes() -> None:
    (result,) = classify(np.array([[0.25, 0.5, 0.25, 0.5, 0.25]], np.float32), top=4)
    assert (result.classes.tolist(), result.scores.tolist()) == ([1, 3, 0, 2], [0.5, 0.5, 0.25, 0.25])


def test_a_score_at_the_threshold_counts_and_what_is_no_number_does_not() -> None:
    scores = np.array([[np.nan, 0.5, 0.0, -0.5, 0.25]], np.float32)
    (result,) = classify(scores, top=5)
    assert result.classes.tolist() == [1, 4, 2]
    (result,) = classify(scores, top=5, thresholds=(0.0, 0.5, 0.5, 0.5, 0.5))
    assert result.classes.tolist() == [1]
    (result,) = classify(scores, thresholds=(2.0,) * 5)
    assert (result.labels, result.scores.tolist()) == ((), [])


def test_axes_of_size_1_and_other_orders_are_read() -> None:
    scores = np.array([0.1, 0.7, 0.2], np.float32)
    for shape, axes in (((1, 3, 1, 1), (1, 2, 0)), ((1, 1, 1, 3), (0, 1, 2)), ((1, 1, 3, 1), (0, 2, 1))):
        (result,) = classify(scores.reshape(shape), axes=axes)
        assert result.classes.tolist() == [1, 2, 0]


def test_half_precision_outputs_are_read() -> None:
    (result,) = classify(np.array([[0.25, 0.75]], np.float16), activation="none")
    assert result.scores.tolist() == [0.75, 0.25]


def test_a_window_gives_its_result_to_each_of_its_frames() -> None:
    found = classify(np.array([[0.5, 0.25]], np.float32), np.array([[0.25, 0.5]], np.float32), top=1, frames=3)
    assert [(one.index, one.classes.tolist()) for one in found] == [
        (0, [0]),
        (1, [0]),
        (2, [0]),
        (3, [1]),
        (4, [1]),
        (5, [1]),
    ]


def steps(path: str, score: float = 0.5, blank: int = 0) -> Array:
    """Return scores [1, time, classes] whose best classes spell a path; "-" is the blank."""
    letters = "-abc_" if blank == 0 else "abc_-"
    scores = np.full((1, len(path), len(letters)), 0.125, np.float32)
    for at, letter in enumerate(path):
        scores[0, at, letters.index(letter)] = score
    return scores


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("-aa--b-", "ab"),
        ("aab", "ab"),
        ("a-a", "aa"),
        ("aaaa", "a"),
        ("a_b", "a b"),
        ("_a_", " a "),
        ("cc-c-cc", "ccc"),
        ("a", "a"),
    ],
)
@pytest.mark.parametrize("blank", [0, 4])
def test_repeats_are_merged_and_blanks_dropped(path: str, text: str, blank: int) -> None:
    (result,) = read(steps(path, blank=blank), blank=blank)
    assert (result.texts, result.scores.tolist(), result.corners.tolist()) == ((text,), [0.5], [[10, 20, 40, 60]])


def test_texts_are_those_of_the_definition() -> None:
    random = np.random.default_rng(2)
    outputs = [softmax(random.normal(size=(1, 24, 5)).astype(np.float32) * 2) for _ in range(20)]
    for (scores,), result in zip(outputs, read(*outputs), strict=True):
        groups = [
            (number, list(run)) for number, run in itertools.groupby(range(24), key=lambda at: scores[at].argmax())
        ]
        kept = [(LETTERS[number], scores[run[0], number]) for number, run in groups if number]
        assert result.texts == ("".join(letter for letter, _ in kept),)
        # The score of a character is that of its first step.
        assert result.scores[0] == pytest.approx(np.mean([score for _, score in kept]), abs=1e-6)


def test_nothing_or_too_little_gives_no_text() -> None:
    for result in read(steps("----"), steps("ab", 0.25), threshold=0.5):
        assert (result.texts, result.scores.shape, result.corners.shape) == ((), (0,), (0, 4))
    assert [one.texts for one in read(steps("----"), steps("ab", 0.5), threshold=0.5)] == [(), ("ab",)]


def test_logarithms_and_classes_before_time_are_read() -> None:
    logarithms = np.log(steps("ab")).transpose(0, 2, 1).copy()
    (result,) = read(logarithms, activation="exp", axes=(1, 0))
    assert result.texts == ("ab",)
    assert result.scores[0] == pytest.approx(0.5)


def test_embeddings_have_length_1_unless_told_otherwise() -> None:
    vector = np.array([[3, 0, -4]], np.float32)
    assert embed(vector)[0].values == pytest.approx([0.6, 0, -0.8])
    assert embed(vector, normalise="none")[0].values.tolist() == [3, 0, -4]
    assert embed(vector * 0)[0].values.tolist() == [0, 0, 0]
    assert embed(vector.reshape(1, 3, 1, 1), axes=(1, 2, 0))[0].values.shape == (3,)


@pytest.mark.parametrize(
    ("activation", "values", "words"),
    [
        ("none", [-3.0, 5.0, 1.0], "set model.outputs.o.activation to softmax; it is none"),
        ("softmax", [0.25, 0.5, 0.25], "set model.outputs.o.activation to none; it is softmax"),
        ("softmax", [-3.0, 5.0, 1.0], None),
        ("none", [0.25, 0.5, 0.25], None),
    ],
)
def test_the_first_scores_tell_a_wrong_activation(activation: Any, values: list[float], words: str | None) -> None:
    output = TensorAxes("o", (0,), (3,), activation)
    stage = Classify("n", ClassifyParams(output, "none", 1, (0.0,) * 3, ("a", "b", "c")))
    warnings: list[Problem] = []
    stage.receive_warning = warnings.append
    scores = np.array([values], np.float32)
    results(stage, scores, scores * np.nan)
    assert [(problem.code, problem.path, problem.hint) for problem in warnings] == (
        [] if words is None else [("W112", "pipeline.nodes.n", words)]
    )


def test_blanks_and_certain_answers_are_no_reason_for_a_warning() -> None:
    certain = np.eye(30, dtype=np.float32)[None, :1]
    blanks = np.tile(np.eye(5, dtype=np.float32)[0], (1, 40, 1))
    classify_params = ClassifyParams(TensorAxes("o", (0,), (30,), "none"), "none", 1, (0.0,) * 30, ("a",) * 30)
    read_params = ReadParams(TensorAxes("o", (0, 1), (None, 5), "none"), 0, LETTERS, 0.0, (0, 0, 4, 4))
    for stage, output in ((Classify("n", classify_params), certain[:, 0]), (Read("n", read_params), blanks)):
        warnings: list[Problem] = []
        stage.receive_warning = warnings.append
        results(stage, output)
        assert warnings == []


def test_a_label_that_is_not_kept_stays_away_whatever_its_score() -> None:
    (classes,) = classify(np.array([[9.0, 5.0, 1.0]], np.float32), thresholds=(2.0, 0.0, 0.0))
    assert classes.labels == ("c1", "c2")
