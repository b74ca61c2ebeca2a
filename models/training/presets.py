"""The options of a training run, and the seven sets of them that make the shipped files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from .crops import CROP_SIDE
from .degrade import margin
from .folded import KINDS
from .losses import LEAST_EPSILON, MOST_EPSILON
from .pairs import MIXED_SCALERS, SOFT_SHARE

# Nearly one filter for clean pictures: a small network that serves several loses on each of them.
_BICUBIC: Mapping[str, float] = MappingProxyType({"bicubic": 1.0})
_MOSTLY_BICUBIC: Mapping[str, float] = MappingProxyType(
    {"bicubic": 0.85, "area": 0.05, "lanczos": 0.05, "bilinear": 0.05}
)


@dataclass(frozen=True)
class TrainingOptions:
    """How one network is trained.

    Attributes:
        network: one of ``KINDS``.
        batch: samples a step.
        patch: side of the low-resolution samples, pixels.
        learning_rate: Adam's, after the warm-up and before the cosine decay.
        seconds: wall time over which the schedule runs.
        max_steps: end the schedule after so many steps if the time is not spent before; 0 for no such limit.
        mixed_precision: run the residual blocks in bfloat16, on a GPU, until ``full_precision_from``.
        full_precision_from: share of the schedule after which mixed precision ends.
        pair_share: share of the samples that come from the stored pairs; the others are crops.
        scalers: share of each shrinking filter among the crops.
        soft_share: share of the crops that are softened before they shrink.
        noisy_share: share of the crops that get noise.
        noise: its largest standard deviation, of 0..1.
        rgb_weight: weight of the loss on RGB beside the loss on luma.
        change_weight: weight of the loss on the differences between a window's frames.
        edge_weight: weight of the loss on the differences between neighbouring pixels.
        adversarial_weight: weight of what a critic says.
        last_epsilon: the loss's softness at the end: 0.1 is near L2, 0.001 stays near L1 throughout.
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
    pair_share: float = 0.0
    scalers: Mapping[str, float] = field(default_factory=lambda: MIXED_SCALERS)
    soft_share: float = 0.0
    noisy_share: float = 0.0
    noise: float = 1 / 255
    rgb_weight: float = 0.3
    change_weight: float = 0.0
    edge_weight: float = 0.0
    adversarial_weight: float = 0.0
    last_epsilon: float = MOST_EPSILON
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
        largest = (CROP_SIDE - 2 * margin(self.scale)) // self.scale
        if not 0 < self.patch <= largest:
            raise ValueError(f"patch is {self.patch}; expected 1 to {largest}")
        if self.batch < 1 or self.seconds <= 0:
            raise ValueError(f"batch {self.batch} and seconds {self.seconds} must be positive")
        if self.last_epsilon < LEAST_EPSILON:
            raise ValueError(f"last_epsilon is {self.last_epsilon}; expected {LEAST_EPSILON} or more")
        if self.network == "temporal" and self.pair_share != 1:
            raise ValueError("pair_share of a temporal network must be 1: crops do not move")

    @property
    def scale(self) -> int:
        """By which the network's pictures grow."""
        return 4 if self.network == "x4" else 2


# The presets for video keep the absolute error to the end, because towards the squared one the few sharp samples
# count most.  For looks, sharp_x2, it would be towards blur.
PRESETS: Mapping[str, TrainingOptions] = MappingProxyType(
    {
        "quality": TrainingOptions("quality", 32, 64, 6e-4, seconds=240, mixed_precision=True, scalers=_MOSTLY_BICUBIC),
        "fast": TrainingOptions("fast", 64, 64, 2e-3, seconds=130, scalers=_BICUBIC),
        "fast_video": TrainingOptions(
            "fast", 64, 64, 1.5e-3, seconds=400, pair_share=0.85, soft_share=SOFT_SHARE, last_epsilon=LEAST_EPSILON
        ),
        "temporal": TrainingOptions(
            "temporal",
            16,
            64,
            5e-4,
            seconds=950,
            mixed_precision=True,
            pair_share=1.0,
            change_weight=0.3,
            last_epsilon=LEAST_EPSILON,
        ),
        "quality_video": TrainingOptions(
            "quality",
            32,
            64,
            5e-4,
            seconds=950,
            mixed_precision=True,
            pair_share=0.9,
            soft_share=SOFT_SHARE,
            last_epsilon=LEAST_EPSILON,
        ),
        "x4_video": TrainingOptions(
            "x4",
            32,
            48,
            1e-3,
            seconds=300,
            mixed_precision=True,
            pair_share=0.85,
            soft_share=SOFT_SHARE,
            last_epsilon=LEAST_EPSILON,
        ),
        "sharp_x2": TrainingOptions(
            "quality",
            24,
            64,
            1e-4,
            seconds=150,
            mixed_precision=True,
            full_precision_from=2.0,
            pair_share=0.5,
            edge_weight=0.5,
            adversarial_weight=1e-2,
            last_epsilon=LEAST_EPSILON,
        ),
    }
)
"""The options by name, in the order in which they are best started."""

STARTED_FROM: Mapping[str, str] = MappingProxyType(
    {"fast_video": "fast", "quality_video": "quality", "temporal": "quality", "sharp_x2": "quality_video"}
)
"""Which preset's trained weights another one starts from."""

CONTINUED_RATE = 0.5
"""Factor of the learning rate of a run that continues from an exported file.

The whole rate suits a start from scratch, or from a network for other pictures; it would undo part of what the file
has learnt before it teaches anything.
"""

FILE_NAMES: Mapping[str, str] = MappingProxyType(
    {name: f"vsr_x2_{name}" for name in PRESETS} | {"x4_video": "vsr_x4_video", "sharp_x2": "vsr_x2_sharp"}
)
"""Names of the ONNX files without their suffix, by preset."""
