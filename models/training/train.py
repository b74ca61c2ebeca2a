"""Trains one network within a budget of time, in one go or in several; on a GPU, one step is one CUDA graph.

A step is: make a batch, forward, loss, backward, Adam, moving average of the weights.  The schedules run over
the share of the budget that is spent, so the same options give a quick or a thorough run by their ``seconds``
alone.  All that a run needs to be continued lies in one checkpoint file.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .batches import Batches
from .folded import FoldedNetwork
from .losses import LEAST_EPSILON, Critic, PictureLoss, relativistic_loss
from .networks import make_network, start_from
from .presets import TrainingOptions
from .validation import Scores, Validation

_BETAS = (0.9, 0.99)
_CRITIC_RATE = 2.0  # of the network's learning rate
_CRITIC_WARM_UP = 0.1  # share of the budget over which the critic's word gains its weight
_EPSILON_FROM = 0.6  # share of the budget after which the loss softens
_LEAST_LEARNING_RATE = 1e-7
_WARM_UP_RUNS = 4  # before a capture: cuDNN chooses its algorithms, gradients and Adam's state are allocated
_STEPS_A_CHECK = 10  # on a GPU, between two looks at the clock
_STEPS_A_WAIT = 50  # on a GPU, so that the clock does not run far ahead of the device
_REPORTS = 25

_log = logging.getLogger(__name__)


class CaptureError(Exception):
    """A step cannot be captured as a CUDA graph; the process should start anew without."""


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Attributes:
        steps: steps that were run, over all calls.
        seconds: time that was spent on them.
        done: whether the budget is spent.
        loss: mean loss since the last report.
        scores: of the averaged weights.
    """

    steps: int
    seconds: float
    done: bool
    loss: float
    scores: Scores

    def line(self) -> str:
        """The progress as one JSON object."""
        numbers = {"loss": self.loss, **self.scores._asdict()}
        rounded = {name: None if math.isnan(value) else round(value, 5) for name, value in numbers.items()}
        return json.dumps({"step": self.steps, "seconds": round(self.seconds, 2), "done": self.done, **rounded})


def learning_rate(options: TrainingOptions, progress: float, step: int) -> float:
    """Linear warm-up over steps times cosine decay over the spent share of the budget."""
    warm_up = min(1.0, (step + 1) / options.warmup_steps)
    decay = 0.5 + 0.5 * math.cos(math.pi * progress)
    return options.learning_rate * warm_up * decay + _LEAST_LEARNING_RATE


def charbonnier_epsilon(progress: float, last: float) -> float:
    """The loss's softness: 1e-3, nearly L1, for 60% of the budget, then growing to ``last``."""
    if progress < _EPSILON_FROM:
        return LEAST_EPSILON
    growing = (progress - _EPSILON_FROM) / (1 - _EPSILON_FROM)
    return LEAST_EPSILON * math.pow(last / LEAST_EPSILON, growing)


class Trainer:
    """One training run.

    Args:
        options: what and how to train.
        make_batches: the training data on the device.
        checkpoint: the file to continue from, where it exists, and to write.  The learning curve lies beside it
            as JSON lines, ``.jsonl``, and the last of them as ``.json``.
        validation: what is scored on the way.
        start: what to start from, see ``start_from``; random weights when left out.  Not used where the checkpoint
            exists.
        device: a CPU or CUDA device.
    """

    def __init__(
        self,
        options: TrainingOptions,
        make_batches: Batches,
        checkpoint: Path,
        validation: Validation | None = None,
        start: Mapping[str, Tensor] | FoldedNetwork | None = None,
        device: torch.device | None = None,
    ) -> None:
        self._options, self._batches, self._validation, self._file = options, make_batches, validation, checkpoint
        self._device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._cuda = self._device.type == "cuda"
        self._steps, self._spent = 0, 0.0
        torch.manual_seed(options.seed)
        self._network = make_network(options.network).to(self._device)
        if start is not None:
            start_from(self._network, start)
        if self._cuda:
            self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._average = copy.deepcopy(self._network).requires_grad_(False)
        self._parameters: list[Tensor] = list(self._network.parameters())
        self._averaged: list[Tensor] = list(self._average.parameters())
        self._optimizer = self._adam(self._parameters)
        self._critic = Critic().to(self._device) if options.adversarial_weight else None
        self._critic_optimizer = self._adam(list(self._critic.parameters())) if self._critic else None
        self._critic_weight = torch.zeros((), device=self._device)
        self._loss = PictureLoss(options.rgb_weight, options.edge_weight, options.change_weight, self._device)
        self._summed_loss = torch.zeros((), device=self._device)
        if checkpoint.exists():
            self._restore()
        torch.manual_seed(options.seed + self._steps)

    def _adam(self, parameters: list[Tensor]) -> torch.optim.Adam:
        # A tensor on a GPU, so that the learning rate can change between replays of a captured step.
        base = self._options.learning_rate
        rate = torch.tensor(base, device=self._device) if self._cuda else base
        return torch.optim.Adam(parameters, lr=rate, betas=_BETAS, fused=self._cuda, capturable=self._cuda)

    @property
    def _parts(self) -> dict[str, Any]:
        """What is stored, by name: objects with ``state_dict`` and ``load_state_dict``."""
        parts: dict[str, Any] = {"network": self._network, "average": self._average, "optimizer": self._optimizer}
        if self._critic:
            parts |= {"critic": self._critic, "critic_optimizer": self._critic_optimizer}
        return parts

    def _restore(self) -> None:
        stored = torch.load(self._file, map_location=self._device)
        for name, part in self._parts.items():
            part.load_state_dict(stored[name])
        self._steps, self._spent = stored["steps"], stored["seconds"]
        for optimizer in (self._optimizer, self._critic_optimizer):
            for group in optimizer.param_groups if optimizer else ():
                rate = float(group["lr"])
                group["lr"] = torch.tensor(rate, device=self._device) if self._cuda else rate
        _log.info("%s: continued at step %d, %.1f s", self._file, self._steps, self._spent)

    def save(self) -> None:
        """Writes the checkpoint; a broken write leaves the one before."""
        states = {name: part.state_dict() for name, part in self._parts.items()}
        new = self._file.with_suffix(".new")
        torch.save({**states, "steps": self._steps, "seconds": self._spent}, new)
        new.replace(self._file)

    def run(self, stop: Callable[[], bool] = lambda: False) -> Progress:
        """Trains until the budget is spent or ``stop`` says so, reports on the way, and writes the checkpoint.

        Raises:
            CaptureError: a step cannot be captured; what was trained before is in the checkpoint.
        """
        with _training_precision():
            return self._run(stop)

    def _run(self, stop: Callable[[], bool]) -> Progress:
        mixed = self._is_mixed()
        self._schedule()
        step_once = None
        reported, next_report, clock = self._steps, self._progress(), time.perf_counter()
        while self._progress() < 1 and not stop():
            if step_once is None or mixed != self._is_mixed():
                mixed = self._is_mixed()
                if self._steps:
                    self.save()
                step_once = self._captured(mixed)
                clock = time.perf_counter()
            self._schedule()
            for _ in range(_STEPS_A_CHECK if self._cuda else 1):
                step_once()
                self._steps += 1
            if self._cuda and self._steps % _STEPS_A_WAIT == 0:
                torch.cuda.synchronize()
            now = time.perf_counter()
            self._spent, clock = self._spent + now - clock, now
            if self._progress() >= next_report and self._progress() < 1:
                next_report = self._progress() + 1 / _REPORTS
                reported = self._report(reported)[0]
                clock = time.perf_counter()
        _, progress = self._report(reported)
        self.save()
        self._file.with_suffix(".json").write_text(progress.line() + "\n", encoding="utf-8")
        return progress

    def _is_mixed(self) -> bool:
        options = self._options
        return options.mixed_precision and self._cuda and self._progress() <= options.full_precision_from

    def _progress(self) -> float:
        spent = self._spent / self._options.seconds
        return max(spent, self._steps / self._options.max_steps) if self._options.max_steps else spent

    def _schedule(self) -> None:
        """Sets learning rates, the loss's softness and the critic's weight."""
        options, progress = self._options, self._progress()
        rate = learning_rate(options, progress, self._steps)
        for optimizer, factor in ((self._optimizer, 1.0), (self._critic_optimizer, _CRITIC_RATE)):
            for group in optimizer.param_groups if optimizer else ():
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(factor * rate)
                else:
                    group["lr"] = factor * rate
        self._loss.epsilon.fill_(charbonnier_epsilon(progress, options.last_epsilon))
        self._critic_weight.fill_(options.adversarial_weight * min(1.0, progress / _CRITIC_WARM_UP))

    def _step(self, mixed_precision: bool) -> None:
        """One step; everything stays on the device."""
        self._optimizer.zero_grad(set_to_none=False)
        with torch.no_grad():
            low, target = self._batches()
            if self._cuda:
                low = low.contiguous(memory_format=torch.channels_last)
        output = self._network(low, mixed_precision)
        loss = self._loss(output, target)
        whole = loss
        if self._critic:
            real, made = self._scores(target, output, low, mixed_precision)
            whole = loss + self._critic_weight * relativistic_loss(made, real)
        whole.backward()
        self._optimizer.step()
        if self._critic and self._critic_optimizer:
            self._critic_optimizer.zero_grad(set_to_none=False)
            real, made = self._scores(target, output.detach(), low, mixed_precision)
            relativistic_loss(real, made).backward()
            self._critic_optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self._averaged, self._parameters, 1 - self._options.ema_decay)
            self._summed_loss.add_(loss.detach())

    def _scores(self, real: Tensor, made: Tensor, low: Tensor, mixed_precision: bool) -> tuple[Tensor, Tensor]:
        assert self._critic
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=mixed_precision):
            return self._critic(real, low).float(), self._critic(made, low).float()

    def _captured(self, mixed_precision: bool) -> Callable[[], None]:
        """A step as a CUDA graph where there is a GPU, else as it is.

        The warm-up runs on a side stream, as capturing requires.  Its steps train, but neither the schedules
        nor the mean loss count them.
        """
        if not self._cuda or not self._options.cuda_graph:
            return lambda: self._step(mixed_precision)
        loss_before = self._summed_loss.clone()
        try:
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(_WARM_UP_RUNS):
                    self._step(mixed_precision)
            torch.cuda.current_stream().wait_stream(side)
            torch.cuda.synchronize()
            self._summed_loss.copy_(loss_before)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self._step(mixed_precision)
            graph.replay()
            torch.cuda.synchronize()
        except RuntimeError as error:
            raise CaptureError(str(error)) from error
        return graph.replay

    def _report(self, since: int) -> tuple[int, Progress]:
        """Scores the averaged weights, and adds a line to the learning curve."""
        if self._cuda:
            torch.cuda.synchronize()
        steps = self._steps - since
        loss = float(self._summed_loss) / steps if steps else math.nan
        self._summed_loss.zero_()
        temporal = self._options.network == "temporal"
        scores = self._validation(self._average, temporal) if self._validation else Scores()
        progress = Progress(self._steps, self._spent, self._progress() >= 1, loss, scores)
        with self._file.with_suffix(".jsonl").open("a", encoding="utf-8") as file:
            file.write(progress.line() + "\n")
        _log.info("%s %5.1f%% %s", self._file.stem, 100 * self._progress(), progress.line())
        return self._steps, progress


def trained(checkpoint: Path) -> Mapping[str, Tensor]:
    """The averaged weights of a checkpoint, on the CPU."""
    state: Mapping[str, Tensor] = torch.load(checkpoint, map_location="cpu")["average"]
    return state


def folded(network: str, checkpoint: Path) -> FoldedNetwork:
    """The averaged weights of a checkpoint as plain convolutions."""
    made = make_network(network)
    made.load_state_dict(trained(checkpoint))
    return made.fold()


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
