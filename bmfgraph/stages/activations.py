"""Define the functions that make probabilities of a model's numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from bmfgraph.nodes.fields import Activation

__all__ = ["ACTIVATIONS"]

ACTIVATIONS: Mapping[Activation, Callable[[torch.Tensor], torch.Tensor]] = {
    "none": lambda values: values,
    "sigmoid": torch.sigmoid,
    "exp": torch.exp,
    "softmax": lambda values: values.softmax(dim=-1),
}
"""By their names in the config; a softmax is over the last dim."""
