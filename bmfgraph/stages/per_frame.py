"""Read one small result for each frame from an output of a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import ClassVar, Generic, TypeVar

import torch

from bmfgraph.nodes.fields import TensorAxes
from bmfgraph.stages.activations import ACTIVATIONS
from bmfgraph.stages.cuda import AsyncDownload
from bmfgraph.stages.items import Frame, Result
from bmfgraph.stages.recording import TensorStage, for_each
from bmfgraph.stages.sanity import check_activation

__all__ = ["PerFrame"]

_Item = TypeVar("_Item", bound=Result)


class PerFrame(TensorStage, Generic[_Item]):
    """Convert each Sample to a Result of each of its frames.

    A subclass computes the result in :meth:`reduce`, on any device, and makes the item of it in :meth:`build`, on the
    CPU. Its params have the field ``output``.
    """

    scores: ClassVar[bool] = False
    """Whether the output holds scores of classes, whose first frame is looked at for signs of a wrong config."""

    def open(self) -> None:
        self._is_new = self.scores
        self._download: AsyncDownload[list[_Item]] = AsyncDownload(self.batch)
        self._output: TensorAxes = self.params.output

    def compute(self, tensors: dict[str, torch.Tensor], count: int) -> dict[str, torch.Tensor]:
        tensor = tensors[self._output.tensor]
        looked_at = {"output": tensor} if self.scores else {}
        return {"numbers": for_each(self._reduce, tensor)} | looked_at

    def items_of(self, groups: Sequence[tuple[Frame, ...]], tensors: dict[str, torch.Tensor]) -> Iterable[_Item]:
        needed = [tensors["numbers"], *([tensors["output"][0]] if self._is_new else [])]
        self._is_new = False
        if self.device == "cuda":
            return chain.from_iterable(self._download.put(needed, lambda copies: self._build(groups, *copies)))
        return self._build(groups, *needed)

    def finish(self) -> Iterable[_Item]:
        return chain.from_iterable(self._download.drain())

    def reduce(self, values: torch.Tensor) -> torch.Tensor:
        """Return the numbers that the result is made of.

        Args:
            values: The wanted axes of the output after its activation, float32.

        Returns:
            A small tensor whose shape does not depend on the values.
        """
        raise NotImplementedError(f"{type(self).__name__}.reduce")

    def build(self, frame: Frame, numbers: torch.Tensor) -> _Item:
        """Return the result of a frame.

        Args:
            frame: The frame.
            numbers: What :meth:`reduce` returned, on the CPU.
        """
        raise NotImplementedError(f"{type(self).__name__}.build")

    def _ordered(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the wanted axes of the output, float32."""
        ordered = tensor.permute(self._output.axes)
        extra = len(self._output.axes) - len(self._output.sizes)
        return ordered.reshape(ordered.shape[extra:]).float()

    def _reduce(self, tensor: torch.Tensor) -> torch.Tensor:
        return self.reduce(ACTIVATIONS[self._output.activation](self._ordered(tensor)))

    def _build(
        self, groups: Sequence[tuple[Frame, ...]], numbers: torch.Tensor, first: torch.Tensor | None = None
    ) -> list[_Item]:
        if first is not None:
            values = self._ordered(first)
            for problem in check_activation(
                values.reshape(-1, values.shape[-1]).numpy(),
                activation=self._output.activation,
                output=self._output.tensor,
                exclusive=True,
            ):
                self.warn(problem)
        return [self.build(frame, own) for group, own in zip(groups, numbers, strict=True) for frame in group]
