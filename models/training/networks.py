"""The super-resolution networks as they are trained, and their folding into plain convolutions.

All of them predict, at the low resolution, the pixels that each input pixel becomes, and rearrange them by a
pixel shuffle (W. Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
CNN", CVPR 2016).  A 5x5 convolution from the input starts as exact bicubic interpolation, so that training
starts there and only has to learn what bicubic lacks.

The modules' attribute names are the layers' names in the exported ONNX files.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .clips import WINDOW
from .folded import FoldedNetwork
from .resample import FloatArray, cubic_kernel

_FRAMES_OUT = 3
_TRIPLETS = WINDOW - 2


def bicubic_phases(scale: int = 2, side: int = 5) -> Tensor:
    """Convolution kernels that interpolate bicubically, before a pixel shuffle.

    Args:
        scale: by which the picture grows.
        side: the kernels' side, odd, at least 5 for the whole cubic kernel.

    Returns:
        float32 (3 * scale^2, 3, side, side): for each colour the phases, row by row, each summing to one.
    """
    offsets = np.arange(-(side // 2), side // 2 + 1)
    phases = [cubic_kernel(offsets - ((i + 0.5) / scale - 0.5)) for i in range(scale)]
    kernels = np.zeros((3 * scale**2, 3, side, side), np.float32)
    for colour in range(3):
        for row in range(scale):
            for column in range(scale):
                vertical, horizontal = (phase / phase.sum() for phase in (phases[row], phases[column]))
                kernels[scale**2 * colour + scale * row + column, colour] = np.outer(vertical, horizontal)
    return torch.from_numpy(kernels)


class Conv(nn.Module):
    """A k x k convolution with bias and "same" zero padding.

    Args:
        inputs: input channels.
        outputs: output channels.
        side: the kernel's side, odd.
        gain: factor on He initialisation; small ones keep a branch near zero at the start.
        stride: 2 halves the size, rounding up.
    """

    def __init__(self, inputs: int, outputs: int, side: int = 3, gain: float = 1.0, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(outputs, inputs, side, side))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        self.weight.data *= gain
        self.bias = nn.Parameter(torch.zeros(outputs))

    def kernel(self) -> Tensor:
        """The convolution's weights, (outputs, inputs, side, side)."""
        return self.weight

    def unfold(self, kernel: Tensor) -> None:
        """Sets the weights so that ``kernel`` gives these."""
        self.weight.copy_(kernel)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        return F.conv2d(x, self.weight, self.bias, self.stride, self.weight.shape[-1] // 2)


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

    def unfold(self, kernel: Tensor) -> None:
        """Sets the 3x3 branch so that ``kernel`` gives these; the others stay as they are, and learn on."""
        self.weight.add_(kernel - self.kernel())

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
    """Residual blocks whose features at a few depths are joined, with a long skip.

    The blocks follow EDSR (B. Lim et al., CVPR Workshops 2017: no normalisation, small residuals), the
    joining of depths RDN and its successors.

    Args:
        channels: width.
        blocks: number of residual blocks.
        taps: after how many blocks features are taken out, ascending.
        scale: by which the picture grows, 2 or 4.
    """

    def __init__(self, channels: int, blocks: int, taps: tuple[int, ...], scale: int = 2) -> None:
        super().__init__()
        self.taps, self.scale = taps, scale
        self.head = Conv(3, channels)
        self.c1 = nn.ModuleList([Conv(channels, channels) for _ in range(blocks)])
        self.c2 = nn.ModuleList([Conv(channels, channels, gain=0.1) for _ in range(blocks)])
        self.fuse = Conv(channels * len(taps), channels, side=1, gain=0.7)
        self.post = Conv(channels, channels, gain=0.3)
        self.tail = Conv(channels, 3 * scale**2, gain=0.1)
        self.skip = nn.Parameter(bicubic_phases(scale))

    def forward(self, x: Tensor, mixed_precision: bool = False, extra: Tensor | None = None) -> Tensor:
        """Upscales RGB in 0..1.

        Args:
            x: float32 (N, 3, H, W).
            mixed_precision: run the blocks in bfloat16.
            extra: features to add to the first layer's, (N, channels, H, W).

        Returns:
            float32 (N, 3, scale * H, scale * W).
        """
        shallow = self.head(x) if extra is None else self.head(x) + extra
        features, joined = shallow, []
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=mixed_precision):
            for depth, (first, second) in enumerate(zip(self.c1, self.c2, strict=True), start=1):
                features = features + second(F.relu(first(features)))
                if depth in self.taps:
                    joined.append(features)
            deep = self.post(F.relu(self.fuse(torch.cat(joined, 1))))
            residual = self.tail(shallow + deep)
        return F.pixel_shuffle(residual.float() + F.conv2d(x, self.skip, padding=2), self.scale)

    def fold(self) -> FoldedNetwork:
        """The network as plain convolutions."""
        kind = "quality" if self.scale == 2 else "x4"
        return FoldedNetwork(kind, self.taps, _folded_tensors(self, self.skip))


class CoarsePath(nn.Module):
    """Adds features from half the resolution, where a layer sees twice as far at a quarter of the cost.

    Args:
        channels: width at full resolution.
        wide: width at half the resolution.
        blocks: residual blocks there.
    """

    def __init__(self, channels: int, wide: int, blocks: int) -> None:
        super().__init__()
        self.down = Conv(channels, wide, stride=2)
        self.c1 = nn.ModuleList([Conv(wide, wide) for _ in range(blocks)])
        self.c2 = nn.ModuleList([Conv(wide, wide, gain=0.1) for _ in range(blocks)])
        self.up = Conv(wide, 4 * channels, gain=0.3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the same shape."""
        features = F.relu(self.down(x))
        for first, second in zip(self.c1, self.c2, strict=True):
            features = features + second(F.relu(first(features)))
        return x + F.pixel_shuffle(self.up(features), 2)[..., : x.shape[2], : x.shape[3]]


class TemporalNetwork(nn.Module):
    """A still network whose first features get what five neighbouring frames tell, fused in two stages.

    As in FastDVDnet (M. Tassano et al., CVPR 2020) the first stage sees every three consecutive frames, the second
    every three results of the first, and there is no explicit motion compensation: coarse paths give the stages a
    view of some 40 pixels.  Unlike there, the result is not a picture but features that are added to those of a
    still network's first layer, so that training can start from a trained still network.

    The frames at window positions 2, 3 and 4, counted from 0, come out.

    Args:
        trunk: the still network.
        near: width of the first stage.
        wide: width of the coarse paths.
    """

    def __init__(self, trunk: ResidualNetwork, near: int = 32, wide: int = 64) -> None:
        super().__init__()
        channels = trunk.post.weight.shape[0]
        self.trunk = trunk
        self.enter = Conv(9, near)
        self.near = CoarsePath(near, wide, 3)
        self.join = Conv(3 * near, channels)
        self.far = CoarsePath(channels, wide, 2)
        self.merge = Conv(channels, channels, gain=0.05)

    def forward(self, x: Tensor, mixed_precision: bool = False) -> Tensor:
        """(N, 21, H, W), the frames one after the other, to (N, 9, 2H, 2W), RGB in 0..1."""
        triplets = torch.cat([x[:, 3 * i : 3 * i + 9] for i in range(_TRIPLETS)])
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=mixed_precision):
            seen = self.near(F.relu(self.enter(triplets))).chunk(_TRIPLETS)
            joined = torch.cat([torch.cat(seen[i : i + 3], 1) for i in range(_FRAMES_OUT)])
            extra = self.merge(self.far(F.relu(self.join(joined))))
        frames = torch.cat([x[:, 3 * i : 3 * i + 3] for i in range(2, 2 + _FRAMES_OUT)])
        output: Tensor = self.trunk(frames, mixed_precision, extra)
        return torch.cat(output.chunk(_FRAMES_OUT), 1)

    def fold(self) -> FoldedNetwork:
        """The network as plain convolutions."""
        return FoldedNetwork("temporal", self.trunk.taps, _folded_tensors(self, self.trunk.skip))


Network = FastNetwork | ResidualNetwork | TemporalNetwork


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
        kind: "fast", "quality", "x4" or "temporal".

    Raises:
        ValueError: the kind is unknown.
    """
    if kind == "fast":
        return FastNetwork()
    if kind == "quality":
        return ResidualNetwork(channels=48, blocks=11, taps=(3, 6, 9, 11))
    if kind == "x4":
        return ResidualNetwork(channels=32, blocks=3, taps=(1, 2, 3), scale=4)
    if kind == "temporal":
        return TemporalNetwork(ResidualNetwork(channels=48, blocks=11, taps=(3, 6, 9, 11)))
    raise ValueError(f"unknown kind of network {kind!r}; expected fast, quality, x4 or temporal")


def start_from(network: Network, start: Mapping[str, Tensor] | FoldedNetwork) -> None:
    """Loads trained weights.

    Args:
        network: what gets them.
        start: a state of the same kind of network, for a temporal one also that of a still one alone; or a folded
            network of the same kind, which then computes the same.

    Raises:
        ValueError: the folded network is of another kind or size.
        RuntimeError: the state does not fit.
    """
    if isinstance(start, FoldedNetwork):
        _unfold(network, start)
        return
    part = network.trunk if isinstance(network, TemporalNetwork) and "skip" in start else network
    part.load_state_dict(start)


def _unfold(network: Network, folded: FoldedNetwork) -> None:
    own = network.fold()
    shapes, expected = ({k: v.shape for k, v in some.tensors.items()} for some in (folded, own))
    if (folded.kind, folded.taps, shapes) != (own.kind, own.taps, expected):
        raise ValueError(f"the weights of a network of kind {folded.kind!r} do not fit one of kind {own.kind!r}")
    with torch.no_grad():
        skip = network.trunk.skip if isinstance(network, TemporalNetwork) else network.skip
        tensors = {name: torch.from_numpy(tensor).to(skip.device) for name, tensor in folded.tensors.items()}
        skip.copy_(tensors["skip"])
        for name, module in network.named_modules():
            if isinstance(module, (Conv, RepConv)):
                module.unfold(tensors[f"{name}.w"])
                module.bias.copy_(tensors[f"{name}.b"])
