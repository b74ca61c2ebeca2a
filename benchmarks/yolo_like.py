"""Write a detector as large as YOLOv8n, with random weights, for measurements of speed.

    python benchmarks/yolo_like.py detector.onnx

It takes 1x3x640x640 and gives 1x84x8400 as YOLOv8 does: four numbers of the box in pixels and 80 scores for each
candidate. The widths and depths of its stages give about as many parameters and multiplications as YOLOv8n has
(3.2 M and 4.4 G, by its authors). Its scores let some dozens of candidates of an ordinary picture pass 0.25.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import torch
from torch import Tensor, nn

SIDE, CLASSES = 640, 80
STRIDES = (8, 16, 32)
WIDTHS, DEPTHS = (16, 32, 64, 128, 256), (1, 2, 4, 4, 2)
STEP, MIDDLE = 40.0, 5.75  # of the numbers before the last sigmoid


def conv(inputs: int, outputs: int, side: int = 3, stride: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, side, stride, side // 2)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return nn.Sequential(layer, nn.SiLU())


class Stage(nn.Module):
    """A convolution of stride 2, and residual pairs of convolutions."""

    def __init__(self, inputs: int, outputs: int, depth: int) -> None:
        super().__init__()
        self.shrink = conv(inputs, outputs, stride=2)
        self.pairs = nn.ModuleList(
            nn.Sequential(conv(outputs, outputs // 2), conv(outputs // 2, outputs)) for _ in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.shrink(x)
        for pair in self.pairs:
            x = x + pair(x)
        return x


class Detector(nn.Module):
    """Stages, and a head for each of the last three."""

    def __init__(self) -> None:
        super().__init__()
        inputs = (3, *WIDTHS)
        self.stages = nn.ModuleList(Stage(*sizes) for sizes in zip(inputs, WIDTHS, DEPTHS, strict=False))
        self.heads = nn.ModuleList(
            nn.Sequential(conv(width, 80), conv(80, 80), nn.Conv2d(80, 4 + CLASSES, 1)) for width in WIDTHS[2:]
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(list(self._candidates(x)), dim=2)

    def _candidates(self, x: Tensor) -> Iterator[Tensor]:
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        for head, stride, feature in zip(self.heads, STRIDES, features[2:], strict=True):
            side = SIDE // stride
            axis = (torch.arange(side) + 0.5) * stride
            centres = torch.stack([axis.repeat(side), axis.repeat_interleave(side)])[None]
            out = head(feature).flatten(2)
            box, scores = out[:, :4] / STEP, out[:, 4:] / STEP
            middle = centres + box[:, :2].tanh() * stride
            yield torch.cat([middle, box[:, 2:].sigmoid() * 8 * stride, (scores - MIDDLE).sigmoid()], dim=1)


def main() -> None:
    torch.manual_seed(3)
    network = Detector().eval()
    picture = torch.rand(1, 3, SIDE, SIDE)
    torch.onnx.export(
        network,
        (picture,),
        sys.argv[1],
        input_names=["images"],
        output_names=["output0"],
        opset_version=17,
        dynamo=False,
    )
    print(f"{sum(weight.numel() for weight in network.parameters()) / 1e6:.1f} M parameters")


if __name__ == "__main__":
    main()
