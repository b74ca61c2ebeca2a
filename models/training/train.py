"""Trains one network within a budget of time; on a GPU, one whole step is one CUDA graph.

A step is: make a batch, forward, loss, backward, Adam, moving average of the weights.  The schedules run over
the share of the budget that is spent, so the same options give a quick or a thorough run by their ``seconds``
alone.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .batches import StillBatches, WindowBatches
from .clips import WINDOW, Clip
from .crops import ImagePair
from .folded import FoldedNetwork
from .networks import make_network
from .presets import TrainingOptions
from .resample import Picture, y_psnr

_BETAS = (0.9, 0.99)
_LUMA_WEIGHTS = (65.481 / 255, 128.553 / 255, 24.966 / 255)  # BT.601 studio range, as in ``luma``
_LEAST_EPSILON, _EPSILON_GROWTH, _EPSILON_FROM = 1e-3, 100.0, 0.6
_LEAST_LEARNING_RATE = 1e-7
_WARM_UP_RUNS = 4  # before a capture: cuDNN chooses its algorithms, gradients and Adam's state are allocated
_STEPS_A_CHECK = 10  # on a GPU, between two looks at the clock
_STEPS_A_WAIT = 50  # on a GPU, so that the clock does not run far ahead of the device
_REPORTS = 10
_FIRST_REPORT_STEP = 200

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedNetwork:
    """The result of a run.

    Attributes:
        folded: the averaged weights as plain convolutions, for export.
        state: the averaged weights before folding, on the CPU, to start another run from.
        steps: steps that were run.
        loss: mean loss over the run.
        validation_psnr: mean Y-PSNR of the validation pairs, dB; NaN without pairs.
    """

    folded: FoldedNetwork
    state: Mapping[str, Tensor]
    steps: int
    loss: float
    validation_psnr: float


def learning_rate(options: TrainingOptions, progress: float, step: int) -> float:
    """Linear warm-up over steps times cosine decay over the spent share of the budget."""
    warm_up = min(1.0, (step + 1) / options.warmup_steps)
    decay = 0.5 + 0.5 * math.cos(math.pi * progress)
    return options.learning_rate * warm_up * decay + _LEAST_LEARNING_RATE


def charbonnier_epsilon(progress: float) -> float:
    """The loss's softness: 1e-3, nearly L1, for 60% of the budget, then growing to 0.1, towards L2 (PSNR)."""
    if progress < _EPSILON_FROM:
        return _LEAST_EPSILON
    growing = (progress - _EPSILON_FROM) / (1 - _EPSILON_FROM)
    return _LEAST_EPSILON * math.pow(_EPSILON_GROWTH, growing)


class CharbonnierLoss:
    """Charbonnier loss, sqrt(d^2 + epsilon^2), on luma plus a smaller share on RGB.

    Sources: P. Charbonnier et al., "Two deterministic half-quadratic regularization algorithms for computed
    imaging", ICIP 1994; for super-resolution W.-S. Lai et al., LapSRN, CVPR 2017.  Luma leads because it is
    what is scored.

    Args:
        rgb_weight: of the RGB term.
        device: where the pictures lie.
    """

    def __init__(self, rgb_weight: float, device: torch.device) -> None:
        self._rgb_weight = rgb_weight
        self._luma = torch.tensor(_LUMA_WEIGHTS, device=device)
        self.epsilon = torch.tensor(_LEAST_EPSILON, device=device)
        """On the device, so that it can change between replays of a captured step."""

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean loss, a scalar; both are float32 (N, 3k, H, W), RGB in 0..1."""
        n, channels, height, width = output.shape
        rgb = (output - target).reshape(n * channels // 3, 3, height, width)
        luma = torch.einsum("c,nchw->nhw", self._luma, rgb)
        softness = self.epsilon * self.epsilon
        luma_loss = torch.sqrt(luma * luma + softness).mean()
        rgb_loss = torch.sqrt(rgb * rgb + softness).mean()
        return luma_loss + self._rgb_weight * rgb_loss


class Trainer:
    """One training run.

    Args:
        options: what and how to train.
        crops: uint8 (N, 256, 256, 3), RGB.
        clips: real frames for the temporal network; the others ignore them.
        validation: pairs whose Y-PSNR is reported; nothing is chosen by it.
        start: weights to start from, as ``TrainedNetwork.state`` holds them; random when left out.
        device: a CPU or CUDA device.
    """

    def __init__(
        self,
        options: TrainingOptions,
        crops: Picture,
        clips: Sequence[Clip] = (),
        validation: Sequence[ImagePair] = (),
        start: Mapping[str, Tensor] | None = None,
        device: torch.device | None = None,
    ) -> None:
        self._options, self._validation = options, validation
        self._device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._cuda = self._device.type == "cuda"
        torch.manual_seed(options.seed)
        network = make_network(options.network)
        if start is not None:
            network.load_state_dict(start)
        self._network = network.to(self._device)
        if self._cuda:
            self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._average = make_network(options.network).to(self._device).requires_grad_(False)
        self._average.load_state_dict(network.state_dict())
        self._parameters: list[Tensor] = list(self._network.parameters())
        self._averaged: list[Tensor] = list(self._average.parameters())

        self._temporal = options.network == "temporal"
        self._batches: StillBatches | WindowBatches
        if self._temporal:
            self._batches = WindowBatches(crops, clips, options, self._device)
        else:
            self._batches = StillBatches(crops, options, self._device)
        self._loss = CharbonnierLoss(options.rgb_weight, self._device)
        self._summed_loss = torch.zeros((), device=self._device)
        # A tensor, so that the learning rate can change between replays of a captured step.
        base = options.learning_rate
        rate = torch.tensor(base, device=self._device) if self._cuda else base
        self._optimizer = torch.optim.Adam(
            self._parameters, lr=rate, betas=_BETAS, fused=self._cuda, capturable=self._cuda
        )

    def run(self) -> TrainedNetwork:
        """Trains until the budget is spent, and reports on the way."""
        with _training_precision():
            return self._run()

    def _run(self) -> TrainedNetwork:
        options = self._options
        mixed = options.mixed_precision and self._cuda
        step_once = self._captured(mixed)
        started, steps, next_report = time.perf_counter(), 0, 1 / _REPORTS
        while True:
            progress = self._progress(time.perf_counter() - started, steps)
            if progress >= 1:
                break
            self._set_learning_rate(learning_rate(options, progress, steps))
            self._loss.epsilon.fill_(charbonnier_epsilon(progress))
            if mixed and progress > options.full_precision_from:
                mixed = False
                step_once = self._captured(mixed)
            for _ in range(_STEPS_A_CHECK if self._cuda else 1):
                step_once()
                steps += 1
            if self._cuda and steps % _STEPS_A_WAIT == 0:
                torch.cuda.synchronize()
            if progress > next_report or steps == _FIRST_REPORT_STEP:
                if progress > next_report:
                    next_report += 1 / _REPORTS
                self._report(progress, steps, time.perf_counter() - started)
        result = TrainedNetwork(
            self._average.fold(),
            {name: value.detach().cpu().clone() for name, value in self._average.state_dict().items()},
            steps,
            float(self._summed_loss) / max(1, steps),
            self.validate(),
        )
        _log.info(
            "%s done: %d steps of %dx%dx%d in %.1f s, validation Y-PSNR %.3f dB",
            options.network,
            steps,
            options.batch,
            options.patch,
            options.patch,
            time.perf_counter() - started,
            result.validation_psnr,
        )
        return result

    def _progress(self, elapsed: float, steps: int) -> float:
        spent = elapsed / self._options.seconds
        return max(spent, steps / self._options.max_steps) if self._options.max_steps else spent

    def _set_learning_rate(self, value: float) -> None:
        for group in self._optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(value)
            else:
                group["lr"] = value

    def _step(self, mixed_precision: bool) -> None:
        """One step; everything stays on the device."""
        self._optimizer.zero_grad(set_to_none=False)
        with torch.no_grad():
            low, target = self._batches()
            if self._cuda:
                low = low.contiguous(memory_format=torch.channels_last)
        loss = self._loss(self._network(low, mixed_precision), target)
        loss.backward()
        self._optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self._averaged, self._parameters, 1 - self._options.ema_decay)
            self._summed_loss.add_(loss.detach())

    def _captured(self, mixed_precision: bool) -> Callable[[], None]:
        """A step as a CUDA graph where there is a GPU, else as it is.

        The warm-up runs on a side stream, as capturing requires.  Its steps train, but neither the schedules
        nor the mean loss count them.
        """
        if not self._cuda:
            return lambda: self._step(mixed_precision)
        loss_before = self._summed_loss.clone()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP_RUNS):
                self._step(mixed_precision)
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        self._summed_loss.copy_(loss_before)
        if not self._options.cuda_graph:
            return lambda: self._step(mixed_precision)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step(mixed_precision)
        return graph.replay

    def _report(self, progress: float, steps: int, elapsed: float) -> None:
        _log.info(
            "%s %5.1f%% step %d, %.1f steps/s, mean loss %.5f, validation Y-PSNR %.3f dB",
            self._options.network,
            100 * progress,
            steps,
            steps / elapsed,
            float(self._summed_loss) / steps,
            self.validate(),
        )

    def validate(self) -> float:
        """Mean Y-PSNR of the averaged weights on the validation pairs, dB, outputs rounded to 8 bits.

        The temporal network sees seven equal frames and is scored on the middle one.  NaN without pairs.
        """
        if not self._validation:
            return math.nan
        return float(np.mean([self._score(pair) for pair in self._validation]))

    @torch.no_grad()
    def _score(self, pair: ImagePair) -> float:
        x = torch.from_numpy(pair.low).to(self._device).permute(2, 0, 1)[None].float() / 255
        output = self._average(x.repeat(1, WINDOW, 1, 1))[:, 3:6] if self._temporal else self._average(x)
        picture = (output[0].clamp(0, 1) * 255).round().permute(1, 2, 0).cpu().numpy()
        return y_psnr(picture, pair.high)


@contextmanager
def _training_precision() -> Iterator[None]:
    """TF32 in convolutions, exact float32 in matrix products, cuDNN free to choose; put back afterwards.

    Matrix products shrink the pictures, and that has to be exact.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark
    matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = False, True, True
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = before
