"""The x2 super-resolution networks as they are trained, and their folding into plain convolutions.

All of them predict, at the low resolution, the four pixels that each input pixel becomes, and rearrange them
by a pixel shuffle (W. Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient
Sub-Pixel CNN", CVPR 2016).  A 5x5 convolution from the input starts as exact bicubic interpolation, so that
training starts there and only has to learn what bicubic lacks.

The modules' attribute names are the layers' names in the exported ONNX files; renaming one changes the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .folded import FoldedNetwork
from .resample import FloatArray, cubic_kernel

_BASE_CHANNELS = slice(6, 15)  # channels of the window's frames 2, 3 and 4, counted from 0


def bicubic_phases(side: int = 5) -> Tensor:
    """Convolution kernels that interpolate by two bicubically, before a pixel shuffle.

    Args:
        side: the kernels' side, odd, at least 5 for the whole cubic kernel.

    Returns:
        float32 (12, 3, side, side): for each of the colours the four phases, row by row, each summing to one.
    """
    offsets = np.arange(-(side // 2), side // 2 + 1)
    phases = [cubic_kernel(offsets - shift) for shift in (-0.25, 0.25)]
    kernels = np.zeros((12, 3, side, side), np.float32)
    for colour in range(3):
        for row in range(2):
            for column in range(2):
                vertical, horizontal = (phase / phase.sum() for phase in (phases[row], phases[column]))
                kernels[4 * colour + 2 * row + column, colour] = np.outer(vertical, horizontal)
    return torch.from_numpy(kernels)


class Conv(nn.Module):
    """A k x k convolution with bias and "same" zero padding.

    Args:
        inputs: input channels.
        outputs: output channels.
        side: the kernel's side, odd.
        gain: factor on He initialisation; small ones keep a branch near zero at the start.
    """

    def __init__(self, inputs: int, outputs: int, side: int = 3, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, side, side))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        self.weight.data *= gain
        self.bias = nn.Parameter(torch.zeros(outputs))

    def kernel(self) -> Tensor:
        """The convolution's weights, (outputs, inputs, side, side)."""
        return self.weight

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        return F.conv2d(x, self.weight, self.bias, padding=self.weight.shape[-1] // 2)


class RepConv(nn.Module):
    """A 3x3 convolution that is trained as a sum of branches, folded in weight space at every step.

    The branches are a 3x3 convolution, a 1x1 convolution that widens followed by a 3x3 one, and, where the
    widths agree, the identity.  They change how gradients flow, not what can be expressed: the sum is one 3x3
    convolution.

    Sources: X. Ding et al., "RepVGG", CVPR 2021; X. Zhang et al., "Edge-oriented Convolution Block for
    Real-time Super Resolution on Mobile Devices" (ECBSR), ACM MM 2021.  Unlike there, there are no batch
    norms, no biases inside and no edge filters, and the kernels are summed before the convolution, not the
    outputs after it.

    Args:
        inputs: input channels.
        outputs: output channels.
        identity: whether to add the identity; needs as many inputs as outputs.
        gain: factor on the initial kernels.
    """

    _WIDENING = 2
    # On either branch, so that their sum starts about as large as one He-initialised kernel.
    _BRANCH_GAIN = 0.7

    def __init__(self, inputs: int, outputs: int, identity: bool = True, gain: float = 1.0) -> None:
        super().__init__()
        wide = self._WIDENING * max(inputs, outputs)
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        self.weight.data *= self._BRANCH_GAIN * gain
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.widen = nn.Parameter(torch.empty(wide, inputs))
        self.narrow = nn.Parameter(torch.empty(outputs, wide, 3, 3))
        nn.init.normal_(self.widen, std=(1 / inputs) ** 0.5)
        nn.init.normal_(self.narrow, std=(1 / (9 * wide)) ** 0.5 * self._BRANCH_GAIN)
        self.narrow.data *= gain
        self.identity: Tensor | None
        centre = F.pad(torch.ones(1, 1, 1, 1), (1, 1, 1, 1))
        self.register_buffer("identity", torch.eye(outputs)[:, :, None, None] * centre if identity else None)

    def kernel(self) -> Tensor:
        """The branches folded into one kernel, (outputs, inputs, 3, 3)."""
        kernel = self.weight + torch.einsum("oekl,ei->oikl", self.narrow, self.widen)
        return kernel if self.identity is None else kernel + self.identity

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        return F.conv2d(x, self.kernel(), self.bias, padding=1)


class FastNetwork(nn.Module):
    """Seven 3x3 convolutions of 16 channels and one 5x5 from the input.

    Args:
        channels: width of the inner layers.
        depth: number of inner layers.
    """

    def __init__(self, channels: int = 16, depth: int = 5) -> None:
        super().__init__()
        self.convs = nn.ModuleList([RepConv(3, channels, identity=False)])
        self.convs.extend(RepConv(channels, channels) for _ in range(depth))
        self.tail = RepConv(channels, 12, identity=False, gain=0.02)
        self.skip = nn.Parameter(bicubic_phases())

    def forward(self, x: Tensor, mixed_precision: bool = False) -> Tensor:
        """(N, 3, H, W) to (N, 3, 2H, 2W), RGB in 0..1; ``mixed_precision`` has no effect on these layers."""
        features = x
        for conv in self.convs:
            features = F.relu(conv(features))
        return F.pixel_shuffle(self.tail(features) + F.conv2d(x, self.skip, padding=2), 2)

    def fold(self) -> FoldedNetwork:
        """The network as plain convolutions."""
        return FoldedNetwork("fast", (), _folded_tensors(self, self.skip))


class ResidualNetwork(nn.Module):
    """Residual blocks whose features at a few depths are joined, with a long skip; for one frame or a window.

    The blocks follow EDSR (B. Lim et al., CVPR Workshops 2017: no normalisation, small residuals), the
    joining of depths RDN and its successors.  A window is fused early: all its frames enter the first
    convolution.

    Args:
        channels: width.
        blocks: number of residual blocks.
        taps: after how many blocks features are taken out, ascending.
        frames: 1, or 7 for a window of which frames 2, 3 and 4 (counted from 0) come out.
    """

    def __init__(self, channels: int, blocks: int, taps: tuple[int, ...], frames: int = 1) -> None:
        super().__init__()
        self.frames, self.taps = frames, taps
        self.frames_out = 1 if frames == 1 else 3
        self.head = Conv(3 * frames, channels)
        self.c1 = nn.ModuleList([Conv(channels, channels) for _ in range(blocks)])
        self.c2 = nn.ModuleList([Conv(channels, channels, gain=0.1) for _ in range(blocks)])
        self.fuse = Conv(channels * len(taps), channels, side=1, gain=0.7)
        self.post = Conv(channels, channels, gain=0.3)
        self.tail = Conv(channels, 12 * self.frames_out, gain=0.1)
        self.skip = nn.Parameter(bicubic_phases())

    def forward(self, x: Tensor, mixed_precision: bool = False) -> Tensor:
        """Upscales RGB in 0..1.

        Args:
            x: float32 (N, 3 * frames, H, W), a window's frames one after the other.
            mixed_precision: run the blocks in bfloat16.

        Returns:
            float32 (N, 3, 2H, 2W) for one frame, (N, 9, 2H, 2W) for a window.
        """
        shallow = features = self.head(x)
        joined = []
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=mixed_precision):
            for depth, (first, second) in enumerate(zip(self.c1, self.c2, strict=True), start=1):
                features = features + second(F.relu(first(features)))
                if depth in self.taps:
                    joined.append(features)
            deep = self.post(F.relu(self.fuse(torch.cat(joined, 1))))
            residual = self.tail(shallow + deep)
        return F.pixel_shuffle(residual.float() + self._bicubic(x), 2)

    def _bicubic(self, x: Tensor) -> Tensor:
        """The base pictures' phases, (N, 12 * frames_out, H, W), all frames by the same kernels."""
        n, _, height, width = x.shape
        base = x if self.frames == 1 else x[:, _BASE_CHANNELS].reshape(n * self.frames_out, 3, height, width)
        return F.conv2d(base, self.skip, padding=2).reshape(n, 12 * self.frames_out, height, width)

    def fold(self) -> FoldedNetwork:
        """The network as plain convolutions."""
        kind = "quality" if self.frames == 1 else "temporal"
        return FoldedNetwork(kind, self.taps, _folded_tensors(self, self.skip))


Network = FastNetwork | ResidualNetwork


def _folded_tensors(network: nn.Module, skip: Tensor) -> Mapping[str, FloatArray]:
    tensors = {"skip": skip.detach().float().cpu().numpy().copy()}
    for name, module in network.named_modules():
        if isinstance(module, (Conv, RepConv)):
            tensors[f"{name}.w"] = module.kernel().detach().float().cpu().numpy().copy()
            tensors[f"{name}.b"] = module.bias.detach().float().cpu().numpy().copy()
    return MappingProxyType(tensors)


def make_network(kind: str) -> Network:
    """Makes an untrained network of the shipped size, with weights from torch's global random generator.

    Args:
        kind: "fast", "quality" or "temporal".

    Raises:
        ValueError: the kind is unknown.
    """
    if kind == "fast":
        return FastNetwork()
    if kind == "quality":
        return ResidualNetwork(channels=48, blocks=11, taps=(3, 6, 9, 11))
    if kind == "temporal":
        return ResidualNetwork(channels=64, blocks=7, taps=(2, 4, 6, 7), frames=7)
    raise ValueError(f"unknown kind of network {kind!r}; expected fast, quality or temporal")
