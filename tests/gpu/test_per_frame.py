"""Test that classes, texts and embeddings are read on the GPU, in a recorded graph, as on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

from tests.stages.test_per_frame import classify, embed, read

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("count", [2, 1000, 21843])
def test_classes(count: int) -> None:
    logits = np.random.default_rng(3).normal(size=(8, 1, count)).astype(np.float32)
    cpu, cuda = (classify(*logits, top=5, activation="softmax", device=device) for device in ("cpu", "cuda"))
    for expected, actual in zip(cpu, cuda, strict=True):
        assert (actual.index, actual.labels) == (expected.index, expected.labels)
        assert np.allclose(actual.scores, expected.scores, atol=1e-6)


def test_texts() -> None:
    scores = np.random.default_rng(4).random(size=(8, 1, 40, 5), dtype=np.float32)
    for expected, actual in zip(read(*scores), read(*scores, device="cuda"), strict=True):
        assert (actual.index, actual.texts) == (expected.index, expected.texts)
        assert np.allclose(actual.scores, expected.scores, atol=1e-6)


def test_embeddings() -> None:
    vectors = np.random.default_rng(5).normal(size=(8, 1, 512)).astype(np.float32)
    for expected, actual in zip(embed(*vectors), embed(*vectors, device="cuda"), strict=True):
        assert actual.index == expected.index
        assert np.allclose(actual.values, expected.values, atol=1e-6)
