"""The options of a training run, and the four sets of them that made the shipped files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .crops import CROP_SIDE
from .degrade import CODED_SIDE_MULTIPLE
from .folded import KINDS
from .resample import MARGIN_BY_TWO


@dataclass(frozen=True)
class TrainingOptions:
    """How one network is trained.

    Attributes:
        network: "fast", "quality" or "temporal".
        batch: samples a step.
        patch: side of the low-resolution samples, pixels, a multiple of 16.
        learning_rate: Adam's, after the warm-up and before the cosine decay.
        seconds: wall time over which the schedule runs.
        max_steps: end the schedule after so many steps if the time is not spent before; 0 for no such limit.
        mixed_precision: run the residual blocks in bfloat16, on a GPU, until ``full_precision_from``.
        full_precision_from: share of the schedule after which mixed precision ends.
        coded_share: share of the still samples that are coded by ``BlockCodec``.
        lowest_quality: lowest quality of the coded still samples; the highest is 95.
        area_share: share of the still samples that are shrunk by 2x2 means instead of bicubically.
        rgb_weight: weight of the loss on RGB beside the loss on luma.
        ema_decay: of the exponential moving average of the weights, which is what is kept.
        warmup_steps: steps over which the learning rate rises.
        seed: of torch's random generators.
        cuda_graph: on a GPU, replay a whole step as one CUDA graph.
    """

    network: str
    batch: int
    patch: int
    learning_rate: float
    seconds: float
    max_steps: int = 0
    mixed_precision: bool = False
    full_precision_from: float = 0.85
    coded_share: float = 0.0
    lowest_quality: float = 40.0
    area_share: float = 0.0
    rgb_weight: float = 0.3
    ema_decay: float = 0.999
    warmup_steps: int = 500
    seed: int = 1
    cuda_graph: bool = True

    def __post_init__(self) -> None:
        """Checks the options.

        Raises:
            ValueError: an unknown network, a patch that does not fit, or no time to train in.
        """
        if self.network not in KINDS:
            raise ValueError(f"unknown network {self.network!r}; expected one of {', '.join(KINDS)}")
        largest = (CROP_SIDE - 2 * MARGIN_BY_TWO) // 2 // CODED_SIDE_MULTIPLE * CODED_SIDE_MULTIPLE
        if not 0 < self.patch <= largest or self.patch % CODED_SIDE_MULTIPLE:
            expected = f"a multiple of {CODED_SIDE_MULTIPLE} up to {largest}"
            raise ValueError(f"patch is {self.patch}; expected {expected}")
        if self.batch < 1 or self.seconds <= 0:
            raise ValueError(f"batch {self.batch} and seconds {self.seconds} must be positive")


PRESETS: Mapping[str, TrainingOptions] = MappingProxyType(
    {
        # The first three ran on one H200; the last on two CPU cores, from the trained "fast".
        "fast": TrainingOptions("fast", batch=64, patch=64, learning_rate=2e-3, seconds=135),
        "quality": TrainingOptions(
            "quality", batch=32, patch=64, learning_rate=6e-4, seconds=300, mixed_precision=True
        ),
        "temporal": TrainingOptions(
            "temporal", batch=48, patch=48, learning_rate=6e-4, seconds=150, mixed_precision=True
        ),
        "fast_video": TrainingOptions(
            "fast",
            batch=16,
            patch=48,
            learning_rate=6e-4,
            seconds=720,
            coded_share=0.4,
            lowest_quality=55.0,
            area_share=0.4,
            ema_decay=0.995,
            warmup_steps=100,
        ),
    }
)
"""The options as run for the shipped files, by the name of the file: ``vsr_x2_<name>.onnx``."""

STARTED_FROM: Mapping[str, str] = MappingProxyType({"fast_video": "fast"})
"""Which preset's trained weights another one starts from."""
